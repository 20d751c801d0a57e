"""Real GPUs, through the whole of Zoe: who asked for some computes on them, who did not sees none, and who comes late waits."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zoe_jupyter.backends.local.machine import gpus
from zoe_jupyter.testing.chaos import ChaosHarness, Server, until

pytestmark = pytest.mark.skipif(not gpus(os.environ), reason="no GPU here; any machine with NVIDIA's driver will do")

COUNT = """
import ctypes, pathlib, time
cuda, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(0)
error = cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count))
if count.value:
    device, context, memory = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_uint64()
    for number in range(count.value):
        assert cuda.cuDeviceGet(ctypes.byref(device), number) == 0
        assert cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), device) == 0
        assert cuda.cuCtxSetCurrent(context) == 0
        assert cuda.cuMemAlloc_v2(ctypes.byref(memory), 1 << 20) == 0
pathlib.Path({told!r}).write_text(f"{{count.value}} {{error}}")
while {name!r} == "all" and not pathlib.Path({go!r}).exists():
    time.sleep(0.05)
"""
LIMIT_S = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    home = ChaosHarness(tmp_path)
    home.furnish()
    server = home.serve()
    try:
        yield server
        home.settle(server, is_idle=True)
    finally:
        server.end()


def start(server: Server, folder: Path, name: str, wanted: int) -> dict[str, Any]:
    code = COUNT.format(told=str(folder / name), go=str(folder / "go"), name=name)
    body = {"use": "python-job", "name": name, "parameters": {"code": code, "gpus": wanted}}
    found: dict[str, Any] = server.ask("POST", "executions", body)
    return found


def outcome(server: Server, execution: dict[str, Any]) -> Any:
    def ended() -> Any:
        found = server.ask("GET", f"executions/{execution['id']}")
        return found if found["state"] == "ended" else None

    found = until(ended, LIMIT_S, lambda: server.ask("GET", f"executions/{execution['id']}"))
    return found["outcome"], found["reason"]


@pytest.mark.timeout(240)
def test_gpus_belong_to_who_asked_for_them(server: Server, tmp_path: Path) -> None:
    count = len(gpus(os.environ))
    every = start(server, tmp_path, "all", count)
    until((tmp_path / "all").exists, LIMIT_S, lambda: server.ask("GET", f"executions/{every['id']}"))
    assert (tmp_path / "all").read_text() == f"{count} 0"
    none = start(server, tmp_path, "none", 0)
    assert outcome(server, none)[0] == "succeeded"
    assert (tmp_path / "none").read_text().split()[0] == "0"
    late = start(server, tmp_path, "late", 1)
    waiting = server.ask("GET", f"executions/{late['id']}")
    assert waiting["state"] == "queued"
    assert "GPU" in waiting["queue"]["reason"]["text"]
    (tmp_path / "go").touch()
    assert outcome(server, every)[0] == "succeeded"
    assert outcome(server, late)[0] == "succeeded"
    assert (tmp_path / "late").read_text() == "1 0"


def test_more_than_there_are_is_refused_with_the_number(server: Server, tmp_path: Path) -> None:
    count = len(gpus(os.environ))
    with pytest.raises(AssertionError, match=rf"{count + 1} GPUs?"):
        start(server, tmp_path, "many", count + 1)
