"""GPUs that two services never get."""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path

import pytest

from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.backends.local import machine
from zoe_jupyter.backends.local.machine import gpus
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.testing.backend_contract import Runner

TELL = "import os, time; print('sees', repr(os.environ['CUDA_VISIBLE_DEVICES'])); time.sleep(600)"


def drive(folder: Path, *models: str) -> Path:
    """What the driver says of GPUs of these models."""
    for number, model in enumerate(models):
        place = folder / "proc/driver/nvidia/gpus" / f"0000:0{number}:00.0"
        place.mkdir(parents=True)
        (place / "information").write_text(f"Model: \t\t {model}\nIRQ:   \t\t 1\n")
    return folder / "proc/driver/nvidia/gpus"


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two GPUs that no other test has."""
    found = [f"GPU-{uuid.uuid4()}" for _ in range(2)]
    monkeypatch.setattr(machine, "_GPUS", str(drive(tmp_path, "NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3")))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(found))
    return found


class TestKnown:
    def test_without_a_driver_there_are_none(self, tmp_path: Path) -> None:
        assert gpus({}, root=str(tmp_path)) == ()
        assert gpus({"CUDA_VISIBLE_DEVICES": "0,1"}, root=str(tmp_path)) == ()

    def test_all_that_the_driver_knows(self, tmp_path: Path) -> None:
        drive(tmp_path, "A", "A", "A")
        assert gpus({}, root=str(tmp_path)) == ("0", "1", "2")

    def test_where_the_driver_tells_nothing_its_devices_are_counted(self, tmp_path: Path) -> None:
        (tmp_path / "dev").mkdir()
        for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null"):
            (tmp_path / "dev" / name).touch()
        assert gpus({}, root=str(tmp_path)) == ("0", "1")

    @pytest.mark.parametrize(
        ("said", "expected"),
        [
            ("", ()),
            ("-1", ()),
            ("1", ("1",)),
            ("2, 0", ("2", "0")),
            ("0,-1,1", ("0",)),
            ("1,1", ("1",)),
            ("GPU-8932f937,MIG-0f3a", ("GPU-8932f937", "MIG-0f3a")),
        ],
    )
    def test_no_others_than_the_server_may_see(self, tmp_path: Path, said: str, expected: tuple[str, ...]) -> None:
        drive(tmp_path, "A", "A", "A")
        assert gpus({"CUDA_VISIBLE_DEVICES": said}, root=str(tmp_path)) == expected


async def test_the_node_tells_how_many_and_of_what_type(runner: Runner, names: list[str]) -> None:
    node = (await runner.backend.nodes())[0]
    assert node.capacity.gpus == len(names)
    assert node.labels["gpu"] == "NVIDIA-H100-80GB-HBM3"
    assert runner.backend.capabilities().has_gpus


async def test_each_service_sees_its_own_and_the_next_waits(runner: Runner, names: list[str]) -> None:
    one = Resources(1_000_000, 1 << 26, 1)
    seen = [await runner.start(name, code=TELL, resources=one) for name in ("first", "second")]
    assert sorted(each.handle["gpus"][0] for each in seen) == sorted(names)
    for name, each in zip(("first", "second"), seen, strict=True):
        await runner.said(name, "app.main-0", f"sees '{each.handle['gpus'][0]}'".encode())
    third = runner.order("third", code=TELL, resources=one)
    with pytest.raises(Retryable, match=r"1 of the GPUs .* are wanted, 0 are free"):
        await runner.launch(third)
    await runner.backend.stop("first", "app.main-0", 1, grace_s=0)
    await runner.ended("first")
    await runner.launch(third)
    await runner.said("third", "app.main-0", f"sees '{seen[0].handle['gpus'][0]}'".encode())


async def test_who_asked_for_none_sees_none(runner: Runner, names: list[str]) -> None:
    await runner.start("one", code=TELL)
    await runner.said("one", "app.main-0", b"sees ''")


async def test_they_are_free_again_when_the_supervisor_was_killed(runner: Runner, names: list[str]) -> None:
    both = Resources(1_000_000, 1 << 26, 2)
    seen = await runner.start("one", code=TELL, resources=both)
    os.kill(seen.handle["supervisor"]["pid"], signal.SIGKILL)
    await runner.ended("one")
    await runner.launch(runner.order("one", attempt=2, code=TELL, resources=both))
    again = await runner.until("one", "app.main-0", SeenState.READY, attempt=2)
    assert sorted(again.handle["gpus"]) == sorted(names)
