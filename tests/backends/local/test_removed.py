"""What somebody removes under a supervisor that is at work: its socket, its state, its lock, its whole folder."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from tests.backends.local.conftest import LocalWorld, exists
from tests.backends.local.test_survival import supervisor_of
from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.backends.local.nursery import Nursery
from zoe_jupyter.backends.local.supervisor.lock import Lock
from zoe_jupyter.testing.backend_contract import FOREVER, Runner, eventually


@pytest.mark.parametrize("what", [["control.sock"], ["state.json"], ["lock"], ["control.sock", "state.json", "lock"]])
async def test_it_comes_back_and_the_next_core_finds_what_runs(
    runner: Runner, world: LocalWorld, what: list[str]
) -> None:
    before = await runner.start("one")
    await runner.backend.close()
    for name in what:
        (world.run_dir("one") / name).unlink()
    runner.backend = await world.open()

    async def is_back() -> bool:
        return all((world.run_dir("one") / name).exists() for name in what)

    await eventually(is_back, deadline_s=10)
    seen = await runner.until("one", "app.main-0", SeenState.READY)
    assert seen.handle["pid"] == before.handle["pid"]
    again = await runner.launch(runner.order("one"))
    assert again["pid"] == before.handle["pid"]
    assert len(world.marked("one")) == 2
    await runner.backend.stop("one", "app.main-0", 1, grace_s=5)
    await runner.ended("one")


async def test_who_starts_it_again_in_a_new_folder_is_the_only_one(runner: Runner, world: LocalWorld) -> None:
    before = await runner.start("one")
    old = await supervisor_of(runner)
    await runner.backend.close()
    shutil.rmtree(world.run_dir("one"))
    runner.backend = await world.open()
    assert await runner.seen("one") is None
    seen = await runner.start("one", attempt=2)

    async def is_alone() -> bool:
        return not exists(before.handle["pid"]) and len(world.marked("one")) == 2

    await eventually(is_alone, deadline_s=10)
    if await supervisor_of(runner) != old:
        assert not exists(old)
    state = json.loads((world.run_dir("one") / "state.json").read_text())
    assert state["services"]["app.main-0"]["attempt"] == 2
    assert (await runner.until("one", "app.main-0", SeenState.READY, attempt=2)).handle["pid"] == seen.handle["pid"]


@pytest.mark.parametrize("trap", ["os.mkfifo(path)", "os.symlink('/proc/self/environ', path)", "os.mkdir(path)"])
@pytest.mark.parametrize("has_nursery", [True, False])
async def test_what_a_service_puts_where_the_next_supervisor_writes_holds_up_nobody(
    runner: Runner, world: LocalWorld, monkeypatch: pytest.MonkeyPatch, trap: str, *, has_nursery: bool
) -> None:
    if not has_nursery:
        monkeypatch.setattr(Nursery, "start", lambda *_, **__: None)
    names = ["supervisor.log", "supervisor.json", "control.sock", "lock"]
    if "mkdir" not in trap:
        names.append("services/app.main-0/key.new")
    paths = [str(world.run_dir("one") / name) for name in names]
    clear = "if os.path.exists(path): os.unlink(path)"
    code = f"import os\nfor path in {paths!r}:\n    {clear}\n    {trap}\nprint('trap', flush=True)\n{FOREVER}"
    await runner.start("one", code=code)
    await runner.said("one", "app.main-0", b"trap")
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    await runner.ended("one")

    await asyncio.wait_for(runner.start("one", attempt=2, files={"key": "k"}), 20)
    await asyncio.wait_for(runner.start("another"), 5)


def test_a_lock_that_somebody_else_has_by_now_is_not_held(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    first, second = Lock(path), Lock(path)
    assert first.take()
    assert first.is_held()
    assert not second.take()
    os.unlink(path)
    assert second.take()
    assert not first.is_held()
    assert second.is_held()
    os.unlink(path)
    assert second.is_held(), "it is made anew"
    assert os.path.exists(path)
    assert not first.take()
    shutil.rmtree(tmp_path)
    assert not second.is_held()
