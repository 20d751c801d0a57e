"""The limit on processes and threads: by control group, by the kernel's limit for a user, and by watching."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from tests.backends.local.conftest import LocalWorld, exists
from zoe_jupyter.backends.base import Seen, SeenState
from zoe_jupyter.backends.local.supervisor import cages, crowd
from zoe_jupyter.backends.local.supervisor.processes import read, scan
from zoe_jupyter.testing.backend_contract import FOREVER, Runner, eventually

LIMIT = 40
BOMB = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("bomb", flush=True)
while True:
    try:
        if os.fork() == 0:
            os.setsid()
    except OSError:
        time.sleep(0.001)
"""
SLOW_BOMB = """
import os, time
while True:
    time.sleep(0.02)
    if os.fork() == 0:
        time.sleep(600)
"""
THREADS = """
import threading, time
for _ in range(60):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
"""


def has_pids() -> bool:
    return any(place.controller == "pids" for place in cages.places())


caged = pytest.mark.skipif(not has_pids(), reason="this user may not make control groups that count processes")


def assert_refused(seen: Seen) -> None:
    assert seen.reason is not None
    assert seen.reason.code == "process_limit"
    assert "could start no more processes: it has the 40 that it may have, threads included" in seen.reason.text
    assert seen.reason.numbers["limit"] == LIMIT


async def troubled(runner: Runner) -> Seen:
    found: list[Seen] = []

    async def is_told() -> bool:
        seen = await runner.seen("one")
        found[:] = [seen] if seen is not None else []
        return seen is not None and seen.reason is not None

    await eventually(is_told)
    return found[0]


@caged
async def test_a_fork_bomb_stays_within_its_limit_is_told_and_ends_when_asked(
    runner: Runner, world: LocalWorld
) -> None:
    world.options["process_limit"] = LIMIT
    runner.backend = await world.open()
    assert runner.backend.capabilities().limits["processes"] == "cgroup"
    bystander = await runner.start("one", "app.other-0")
    await runner.start("one", code=BOMB)
    seen = await troubled(runner)
    assert seen.state is SeenState.READY
    assert_refused(seen)
    samples = {sample.service: sample.processes for sample in await runner.backend.usage()}
    assert samples["app.main-0"] <= LIMIT
    assert b"[zoe] this service could start no more processes" in await runner.output("one")
    began = time.monotonic()
    await runner.backend.stop("one", "app.main-0", 1, grace_s=0.2)
    assert (await runner.ended("one")).exit_code == 137
    assert time.monotonic() - began < 10
    assert not world.marked("one/app.main-0")
    assert exists(bystander.handle["pid"])


@caged
@pytest.mark.parametrize("way", ["stop", "clean"])
async def test_a_fork_bomb_whose_supervisor_was_killed_is_ended_all_the_same(
    runner: Runner, world: LocalWorld, way: str
) -> None:
    world.options["process_limit"] = LIMIT
    runner.backend = await world.open()
    seen = await runner.start("one", code=BOMB)
    await troubled(runner)
    os.kill(seen.handle["supervisor"]["pid"], signal.SIGKILL)
    await runner.ended("one")
    assert world.marked("one/app.main-0")
    if way == "stop":
        await runner.backend.stop("one", "app.main-0", 1, grace_s=0)
    else:
        await runner.backend.clean("one", keep_logs=False)
    assert not world.marked("one/app.main-0")


@caged
async def test_threads_count_and_who_fails_for_want_of_them_is_told_so(runner: Runner, world: LocalWorld) -> None:
    world.options["process_limit"] = LIMIT
    runner.backend = await world.open()
    await runner.launch(runner.order("one", code=THREADS + "raise SystemExit(3)"))
    seen = await runner.ended("one")
    assert_refused(seen)
    assert seen.exit_code == 1
    assert seen.reason is not None
    assert seen.reason.text.startswith("exited with 1 after it could start no more")
    assert "can't start new thread" in "\n".join(seen.reason.numbers["log"])


async def test_without_control_groups_who_has_too_many_is_ended_with_the_numbers(
    runner: Runner, world: LocalWorld
) -> None:
    world.options.update(process_limit=LIMIT, is_caged=False)
    runner.backend = await world.open()
    if runner.backend.capabilities().limits["processes"] != "watched":
        pytest.skip("the kernel keeps this user's limit")
    await runner.launch(runner.order("one", code=SLOW_BOMB))
    seen = await runner.ended("one")
    assert seen.reason is not None
    assert seen.reason.code == "process_limit"
    assert seen.reason.numbers["used"] > seen.reason.numbers["limit"] == LIMIT
    assert f"may have {LIMIT}" in seen.reason.text
    assert not world.marked("one/app")


async def test_all_of_a_bomb_is_killed_also_where_nothing_keeps_it_from_forking(
    runner: Runner, world: LocalWorld
) -> None:
    """Each one that is killed leaves room for two: all are stopped first."""
    world.options.update(process_limit=0, is_caged=False)
    runner.backend = await world.open()
    assert runner.backend.capabilities().limits["processes"] == "none"
    respawn = "import os, time\nfor _ in range(60):\n    os.fork() or time.sleep(0.01)\nwhile True:\n    time.sleep(0.01)\n    os.fork() or os._exit(0)"
    await runner.start("one", code=respawn.replace("range(60)", "range(5)"))
    await runner.backend.stop("one", "app.main-0", 1, grace_s=0)
    await runner.ended("one", deadline_s=10)
    assert not world.marked("one/app")


async def test_no_limit_is_no_limit(runner: Runner, world: LocalWorld) -> None:
    world.options["process_limit"] = 0
    runner.backend = await world.open()
    await runner.start("one", code=THREADS + "print('all', flush=True)\n" + FOREVER)
    await runner.said("one", "app.main-0", b"all")
    seen = await runner.until("one", "app.main-0", SeenState.READY)
    found = read(seen.handle["pid"])
    assert found is not None
    assert (found.threads, seen.reason) == (61, None)


def test_threads_and_the_users_other_processes_are_counted() -> None:
    me = read(os.getpid())
    assert me is not None
    assert me.threads == len(os.listdir("/proc/self/task"))
    processes = scan()
    others = crowd.of_others(processes, [os.getpid()])
    assert others == crowd.of_others(processes, []) - processes[os.getpid()].threads


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="namespaces are Linux's")
def test_the_kernels_limit_for_a_user_is_used_only_where_it_means_that_user() -> None:
    assert crowd.kind() == ("watched" if os.getuid() == 0 or not crowd._is_first("pid") else "rlimit")
