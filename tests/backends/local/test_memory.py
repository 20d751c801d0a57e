"""Memory limits of whole process trees, by control group and by watching."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.backends.local.conftest import LocalWorld, exists, status
from zoe_jupyter.backends.base import Seen, SeenState
from zoe_jupyter.backends.local.supervisor import cages
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.testing.backend_contract import GREEDY, Runner, eventually

MIB = 1024**2
LIMIT = Resources(microcores=500_000, memory_bytes=96 * MIB)
GREEDY_CHILDREN = """
import subprocess, sys
code = "import time; kept = b'x' * (40 * 2**20); time.sleep(600)"
for _ in range(4):
    subprocess.Popen([sys.executable, "-c", code])
import time; time.sleep(600)
"""
SHARED = """
import os, time
kept = b"x" * (60 * 2**20)
for _ in range(3):
    if os.fork() == 0:
        time.sleep(600)
print("shared", flush=True)
time.sleep(600)
"""
GREEDY_CHILD = """
import subprocess, sys, time
code = "kept = b'x' * (200 * 2**20)"
print("child", subprocess.run([sys.executable, "-c", code]).returncode, flush=True)
print("goes on", flush=True)
time.sleep(600)
"""


def is_caged() -> bool:
    return any(place.controller == "memory" for place in cages.places())


@pytest.fixture(params=["cgroup", "watched"])
def world(request: pytest.FixtureRequest, world: LocalWorld) -> LocalWorld:
    if request.param == "cgroup" and not is_caged():
        pytest.skip("this user may not make control groups")
    world.options["is_caged"] = request.param == "cgroup"
    world.kind = request.param
    return world


def assert_out_of_memory(seen: Seen) -> None:
    assert seen.reason is not None
    assert seen.reason.code == "out_of_memory"
    assert seen.reason.text.startswith("out of memory: used ")
    assert seen.reason.text.endswith(" of 96 MiB")
    assert seen.reason.numbers["limit"] == 96 * MIB
    assert seen.reason.numbers["used"] >= 96 * MIB


async def test_a_greedy_process_is_ended_and_the_rest_untouched(runner: Runner, world: LocalWorld) -> None:
    others = [await runner.start("one", "app.other-0", resources=LIMIT), await runner.start("two", resources=LIMIT)]
    handle = await runner.launch(runner.order("one", code=GREEDY, resources=LIMIT))
    assert handle["memory"] == world.kind
    assert runner.backend.capabilities().limits["memory"] == world.kind
    assert_out_of_memory(await runner.ended("one"))
    for other in others:
        now = await runner.seen(other.execution_id, other.service)
        assert now is not None
        assert (now.state, now.reason, now.handle["pid"]) == (SeenState.READY, None, other.handle["pid"])
        assert exists(other.handle["pid"])


async def test_children_count_too(runner: Runner, world: LocalWorld) -> None:
    await runner.launch(runner.order("one", code=GREEDY_CHILDREN, resources=LIMIT))
    if world.kind == "watched":
        assert_out_of_memory(await runner.ended("one"))
        return

    async def is_noted() -> bool:
        seen = await runner.seen("one")
        return seen is not None and seen.handle["oom_kills"] > 0

    await eventually(is_noted)


async def test_pages_that_processes_share_count_once(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one", code=SHARED, resources=LIMIT)
    await runner.said("one", "app.main-0", b"shared")
    end = time.monotonic() + 3
    while time.monotonic() < end:
        seen = await runner.seen("one")
        assert seen is not None
        assert seen.reason is None
        assert (await runner.backend.usage())[0].processes == 4


async def test_a_child_that_ran_out_of_memory_is_told_when_the_service_goes_on(
    runner: Runner, world: LocalWorld
) -> None:
    if world.kind == "watched":
        pytest.skip("who is watched is ended as a whole")
    await runner.start("one", code=GREEDY_CHILD, resources=LIMIT)
    await runner.said("one", "app.main-0", b"goes on")

    async def is_noted() -> bool:
        seen = await runner.seen("one")
        return seen is not None and seen.reason is not None and seen.handle["oom_kills"] == 1

    await eventually(is_noted)
    seen = await runner.seen("one")
    assert seen is not None
    assert seen.reason is not None
    assert (seen.state, seen.reason.code) == (SeenState.READY, "out_of_memory")
    assert seen.reason.numbers == {"kills": 1, "used": 96 * MIB, "limit": 96 * MIB}
    assert seen.reason.text == (
        "out of memory: used 96 MiB of 96 MiB; the kernel killed 1 of its processes, and it goes on"
    )
    assert b"child -9" in await runner.output("one")
    assert b"[zoe] the kernel killed a process of this service: out of memory" in await runner.output("one")


@pytest.mark.parametrize(("microcores", "expected"), [(3_000_000, ("3072", "300")), (200_000, ("1024", "100"))])
async def test_cores_are_shares_of_one_core_at_least(
    runner: Runner, world: LocalWorld, microcores: int, expected: tuple[str, str]
) -> None:
    seen = await runner.start("one", resources=Resources(microcores=microcores, memory_bytes=LIMIT.memory_bytes))
    if world.kind == "watched":
        assert os.getpriority(os.PRIO_PROCESS, seen.handle["pid"]) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 5)
        return
    shares = [(group / "cpu.shares").read_text() for group in world.groups() if (group / "cpu.shares").exists()]
    weights = [(group / "cpu.weight").read_text() for group in world.groups() if (group / "cpu.weight").exists()]
    assert [text.strip() for text in shares + weights] in ([expected[0]], [expected[1]])


async def test_services_go_before_everything_else_when_the_machine_runs_out(runner: Runner, world: LocalWorld) -> None:
    seen = await runner.start("one")
    assert int(status(seen.handle["pid"], "oom_score_adj")) >= 300


def test_a_cage_finds_its_way_in_version_2(tmp_path) -> None:
    """A tree of files in the place of a kernel with version 2 only, as an ordinary user with a delegated group sees it."""
    own = tmp_path / "fs" / "user.slice" / "user@7.service" / "app.slice"
    own.mkdir(parents=True)
    (tmp_path / "cgroup").write_text("0::/user.slice/user@7.service/app.slice\n")
    (tmp_path / "mountinfo").write_text(f"30 23 0:26 / {tmp_path}/fs rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")
    groups, points = cages._own_groups(str(tmp_path / "cgroup")), cages._mount_points(str(tmp_path / "mountinfo"))
    parents = [place.parent for place in cages._candidates("memory", groups, points)]
    assert parents == [str(own.parent), str(own.parent.parent), str(tmp_path / "fs")]
    assert all(place.version == 2 for place in cages._candidates("memory", groups, points))


@pytest.mark.skipif(not cages.own_group(), reason="no control group here may be written to")
def test_readying_the_kernel_for_moves_leaves_the_process_where_it_is() -> None:
    before = Path("/proc/self/cgroup").read_text()
    cages.rouse(cages.own_group())
    assert Path("/proc/self/cgroup").read_text() == before


def test_who_is_in_a_group_that_is_not_seen_is_not_moved(tmp_path: Path) -> None:
    """As in a container that sees another part of the tree than it is in."""
    (tmp_path / "cgroup").write_text("4:memory:/elsewhere\n")
    (tmp_path / "mountinfo").write_text(f"30 23 0:26 /ours {tmp_path} rw - cgroup cgroup rw,memory\n")
    (tmp_path / "cgroup.procs").write_text("1\n")
    assert cages.own_group(str(tmp_path / "cgroup"), str(tmp_path / "mountinfo")) == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="control groups are Linux's")
def test_nothing_is_removed_that_zoe_did_not_make(tmp_path) -> None:
    folder = tmp_path / "not-ours"
    folder.mkdir()
    assert cages.remove([str(folder)]) == []
    assert folder.exists()
