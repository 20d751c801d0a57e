"""What supervisors end by themselves, so that nothing remains when nobody asks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.backends.local.conftest import LocalWorld, exists
from tests.backends.local.test_survival import core, finished
from zoe_jupyter.backends.base import Bounds, SeenState
from zoe_jupyter.backends.local.supervisor import house as house_module
from zoe_jupyter.backends.local.supervisor.house import House
from zoe_jupyter.backends.local.supervisor.lock import Lock
from zoe_jupyter.backends.local.supervisor.loop import Loop
from zoe_jupyter.testing.backend_contract import DEAF, FOREVER, Runner, eventually


async def test_nothing_remains_after_a_day_without_a_core(world: LocalWorld) -> None:
    """The day lasts one second here. Nobody looks: the supervisor ends everything, and itself."""
    with core(world, "silence", DEAF) as process:
        assert await finished(process) == b"done\n"
        assert world.marked("one/app.main-0")
        process.kill()
        process.wait()

        async def is_gone() -> bool:
            return not world.marked("one")

        await eventually(is_gone)
    state = json.loads((world.run_dir("one") / "state.json").read_text())
    assert state["services"]["app.main-0"]["reason"]["code"] == "expired"
    assert state["services"]["app.main-0"]["reason"]["text"].startswith(
        "ended by its supervisor: no core was heard from for"
    )
    backend = await world.open()
    (seen,) = (await backend.observe()).services
    assert seen.reason is not None
    assert (seen.state, seen.reason.code) == (SeenState.EXITED, "expired")
    await backend.close()


async def test_a_core_that_is_stopped_counts_as_silent(world: LocalWorld) -> None:
    with core(world, "silence", FOREVER) as process:
        assert await finished(process) == b"done\n"
        os.kill(process.pid, signal.SIGSTOP)

        async def is_gone() -> bool:
            return not world.marked("one/app.main-0")

        await eventually(is_gone)


async def test_the_lifetime_ends_an_execution_without_a_core(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one")
    await runner.backend.bound("one", Bounds(ends_at=time.time() + 1, silence_s=3600))
    supervisor = (await runner.until("one", "app.main-0", SeenState.READY)).handle["supervisor"]["pid"]
    await runner.backend.close()

    async def is_gone() -> bool:
        return not exists(supervisor)

    await eventually(is_gone)
    runner.backend = await world.open()
    seen = await runner.ended("one")
    assert seen.reason is not None
    assert (seen.reason.code, seen.reason.text) == ("expired", "ended by its supervisor: its lifetime is over")


async def test_new_bounds_take_the_place_of_old_ones(runner: Runner) -> None:
    order = runner.order("one", bounds=Bounds(ends_at=time.time() + 1))
    await runner.launch(order)
    await runner.backend.bound("one", Bounds(ends_at=time.time() + 3600))
    await asyncio.sleep(1.5)
    assert (await runner.until("one", "app.main-0", SeenState.READY)).exit_code is None
    await runner.launch(replace(order, service="app.main-1", bounds=Bounds()))
    assert (await runner.until("one", "app.main-1", SeenState.READY)).exit_code is None


async def test_bounding_what_is_unknown_is_no_error_and_makes_nothing(runner: Runner, world: LocalWorld) -> None:
    await runner.backend.bound("one", Bounds())
    assert not world.run_dir("one").exists()
    assert world.marked() == []


async def test_after_it_expired_an_execution_can_be_started_again(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one", bounds=Bounds(silence_s=0.5))
    await runner.backend.close()
    await asyncio.to_thread(wait_until_gone, world)
    runner.backend = await world.open()
    expired = await runner.ended("one")
    assert expired.reason is not None
    assert (expired.attempt, expired.reason.code) == (1, "expired")
    again = await runner.start("one", attempt=2)
    assert (again.attempt, again.reason, exists(again.handle["pid"])) == (2, None, True)


def test_after_a_sleep_of_the_machine_the_core_has_its_turn_before_anything_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lifetime that was over in the sleep is the core's to end, or to prolong: it was not heard, as nobody could be."""
    awake, slept = time.monotonic(), 0.0
    monkeypatch.setattr(house_module, "time", SimpleNamespace(monotonic=lambda: awake, time=lambda: awake + slept))
    monkeypatch.setattr(house_module, "running_s", lambda: awake + slept)
    settings = {
        "deployment": "d", "execution": "e", "log_limit_bytes": 1, "log_files": 1, "niceness": 0, "places": [],
        "process_limit": 1, "bounds": {"ends_at": None, "silence_s": 86400.0},
    }  # fmt: skip
    house = House(Loop(), str(tmp_path), settings, umask=0o077, lock=Lock(str(tmp_path / "lock")))
    house.bound({"ends_at": awake + 60.0, "silence_s": 86400.0})

    awake, slept = awake + 20.0, 8 * 3600.0
    house.check_bounds()
    assert not house.is_closing
    house.bound({"ends_at": awake + slept + 60.0, "silence_s": 86400.0})
    awake += 50.0
    house.check_bounds()
    assert not house.is_closing

    house.heard()
    awake += 15.0
    house.check_bounds()
    assert not house.is_closing
    awake += 11.0
    house.check_bounds()
    assert (house.is_closing, house.why_expired) == (True, "its lifetime is over")


def wait_until_gone(world: LocalWorld) -> None:
    end = time.monotonic() + 20
    while world.marked("one"):
        assert time.monotonic() < end, "services outlived their bounds"
        time.sleep(0.05)


def test_an_interpreter_without_anything_can_run_the_supervisor(world: LocalWorld) -> None:
    """It needs nothing but the standard library, and takes nothing else of Zoe along."""
    program = (
        "import sys, types; package = types.ModuleType('z'); package.__path__ = [sys.argv[1]]; sys.modules['z'] = package\n"
        "import z.main\n"
        "assert not any(name.startswith(('zoe_jupyter', 'asyncio', 'logging', 'inspect', 'dataclasses')) for name in sys.modules), sys.modules"
    )
    from zoe_jupyter.backends.local.supervisors import PROGRAM

    subprocess.run([sys.executable, "-I", "-S", "-c", program, str(PROGRAM.parent)], check=True)
