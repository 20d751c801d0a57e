"""Supervisors are forked by a process that is ready to be one, and start without it where it is of no use."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backends.local.conftest import environ, exists, status
from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.backends.local import nursery as nursery_module
from zoe_jupyter.backends.local.nursery import Nursery
from zoe_jupyter.backends.local.supervisor.files import read_state
from zoe_jupyter.testing.backend_contract import Runner

SETTINGS = {
    "deployment": "nursed", "execution": "one", "log_limit_bytes": 1000, "log_files": 1, "niceness": 0, "places": [],
    "process_limit": 100, "bounds": {"ends_at": None, "silence_s": 60.0},
}  # fmt: skip


class Place:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nursery = Nursery()

    def start(self, name: str = "one") -> bytes | None:
        run_dir = self.folder / name
        run_dir.mkdir(exist_ok=True)
        (run_dir / "supervisor.json").write_text(json.dumps({**SETTINGS, "execution": name}))
        return self.nursery.start(run_dir, f"nursed/{name}", limit_s=30)

    def supervisor(self, name: str = "one") -> int:
        return int(read_state(str(self.folder / name))["supervisor"]["pid"])

    @property
    def pid(self) -> int:
        assert self.nursery._process is not None
        return self.nursery._process.pid

    def close(self) -> None:
        self.nursery.close()
        for run_dir in self.folder.iterdir():
            state = read_state(str(run_dir))
            if state and exists(state["supervisor"]["pid"]):
                os.kill(state["supervisor"]["pid"], signal.SIGKILL)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Its nursery may take its time: a busy machine is slow to start one."""
    monkeypatch.setattr(nursery_module, "SILENT_S", 30.0)
    place = Place(tmp_path)
    yield place
    place.close()


def test_each_supervisor_is_known_by_its_folder_and_its_mark(place: Place) -> None:
    for name in ("one", "another"):
        assert place.start(name) == b"ready"
    for name in ("one", "another"):
        pid = place.supervisor(name)
        assert status(pid, "cmdline").rstrip("\0").split("\0")[-1] == str(place.folder / name)
        marks = [entry for entry in environ(pid).split(b"\0") if entry.startswith(b"ZOE_")]
        assert marks == [f"ZOE_SUPERVISOR=nursed/{name}".encode()]
    assert place.start("one") == b"busy"


def test_supervisors_outlive_the_nursery_and_it_outlives_no_core(place: Place) -> None:
    place.start()
    process = place.nursery._process
    assert process is not None
    assert place.nursery._door is not None
    place.nursery._door.close()  # what the kernel does for a core that is killed
    assert process.wait(10) == 0
    assert exists(place.supervisor())


def test_a_nursery_that_died_is_replaced(place: Place) -> None:
    place.start()
    os.kill(place.pid, signal.SIGKILL)
    assert place.start("two") == b"ready"
    assert exists(place.supervisor("two"))


DIES_SLOWLY = """
import os, pathlib, runpy, socket, sys, time
was_here = pathlib.Path({folder!r}, "was-here")
if was_here.exists():
    sys.argv[0] = {program!r}
    runpy.run_path({program!r}, run_name="__main__")
else:
    was_here.touch()
    socket.recv_fds(socket.socket(fileno=0), 4096, 1)
    os.closerange(0, 20)
    time.sleep(60)
"""
"""As a killed process on a busy machine: the kernel closes what it had open some time before it can be seen to be dead."""


def test_a_nursery_that_is_not_quite_dead_yet_is_replaced(
    place: Place, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("program")
    program = folder / "program.py"
    program.write_text(DIES_SLOWLY.format(folder=str(folder), program=str(nursery_module.PROGRAM)))
    monkeypatch.setattr(nursery_module, "PROGRAM", program)
    assert place.start() == b"ready"
    assert exists(place.supervisor())


def test_a_stuck_nursery_is_given_up(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.start()
    stuck = place.pid
    os.kill(stuck, signal.SIGSTOP)
    with monkeypatch.context() as soon:
        soon.setattr(nursery_module, "SILENT_S", 0.3)
        assert place.start("two") is None
    assert not exists(stuck)
    assert place.start("two") == b"ready"


def test_a_folder_whose_name_is_too_long_to_be_shown_is_left_to_a_start_without_it(tmp_path: Path) -> None:
    nursery = Nursery()
    assert nursery.start(tmp_path / ("x" * 200) / ("y" * 200) / ("z" * 200), "nursed/one", limit_s=1) is None
    assert nursery._process is None


def test_a_fork_that_cannot_show_its_mark_is_not_used(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a kernel that does not tell where it keeps a process's variables."""
    with monkeypatch.context() as odd:
        odd.setattr(nursery_module, "SUPERVISOR_MARK", "ZOE_ELSEWHERE")
        assert place.start() is None
    assert place.start() is None, "it is not tried again"


async def test_services_start_also_where_there_is_no_nursery(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Nursery, "start", lambda *_, **__: None)
    assert (await runner.start("e1", command=("sleep", "60"))).state is SeenState.READY
