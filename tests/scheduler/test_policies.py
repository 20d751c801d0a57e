"""Who goes first under each policy."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.scheduler.world import NOW, W, admitted, demand, job, node
from zoe_jupyter import plugins
from zoe_jupyter.scheduler.policies.base import assumption
from zoe_jupyter.scheduler.policies.fair import HORIZON_S, Fair
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.policies.hrrn import Hrrn
from zoe_jupyter.scheduler.policies.sjf import Sjf
from zoe_jupyter.scheduler.policies.srpt import Srpt
from zoe_jupyter.scheduler.snapshot import Job, Snapshot

POLICIES = {"fair": Fair, "fifo": Fifo, "hrrn": Hrrn, "sjf": Sjf, "srpt": Srpt}


def order(policy: str, *jobs: Job, **more: object) -> str:
    snapshot = Snapshot((node("n", 10, 100),), jobs, **more)  # type: ignore[arg-type]
    waiting = [each for each in jobs if not each.is_admitted]
    return " ".join(POLICIES[policy]().order(waiting, snapshot, NOW))


def lasting(name: str, run_s: float | None, at: float = 0.0, **more: object) -> Job:
    return replace(job(name, demand(1), at=at), run_s=run_s, **more)  # type: ignore[arg-type]


def test_all_are_found_by_their_short_names() -> None:
    assert {
        name: plugins.load("zoe_jupyter.policies", name) for name in plugins.names("zoe_jupyter.policies")
    } == POLICIES


def test_first_in_first_out() -> None:
    assert order("fifo", lasting("c", 1, 3), lasting("a", 9, 2), lasting("b", 5, 2)) == "a b c"


def test_the_shortest_first() -> None:
    jobs = lasting("long", 90), lasting("late", 10, 5), lasting("early", 10, 4), lasting("worked", 20, 0, done_s=19)
    assert order("sjf", *jobs) == "early late worked long"


def test_the_least_work_left_first() -> None:
    """What is left counts, and what services did since it was last told."""
    jobs = lasting("new", 30), lasting("again", 100, done_s=80), lasting("over", 10, done_s=50)
    assert order("srpt", *jobs) == "over again new"
    running = replace(admitted("r", demand(1, 3), elastic={W: {"n": 1}}), run_s=100, started_at=900.0, done_at=960.0)
    snapshot = Snapshot((), ())
    for done_s, first in ((61.0, "r"), (59.0, "w")):
        both = [lasting("w", 20), replace(running, done_s=done_s)]
        assert Srpt().order(both, snapshot, NOW)[0] == first


def test_the_highest_response_ratio_first() -> None:
    jobs = lasting("short", 100, NOW - 50), lasting("long", 1000, NOW - 900), lasting("no-time", 0, NOW - 0.75)
    assert order("hrrn", *jobs) == "long no-time short"


@pytest.mark.parametrize("policy", ["sjf", "srpt", "hrrn"])
def test_what_nobody_knows_is_taken_for_an_hour(policy: str) -> None:
    jobs = lasting("shorter", 3599, 10), lasting("unknown", None, 10), lasting("longer", 3601, 10)
    assert order(policy, *jobs) == "shorter unknown longer"
    assert "hour" in assumption(POLICIES[policy]())


def test_first_in_first_out_assumes_nothing() -> None:
    assert assumption(Fifo()) == ""


class TestFair:
    def of(self, name: str, owner: str, at: float = 0.0, cores: float = 1, gib: float = 1, group: str = "") -> Job:
        return replace(job(name, demand(1, cores=cores, gib=gib), at=at), owner=owner, group=group)

    def test_users_take_turns(self) -> None:
        jobs = [self.of(f"a{i}", "alice", i) for i in range(3)] + [self.of("b0", "bob", 9)]
        assert order("fair", *jobs) == "a0 b0 a1 a2"

    def test_of_each_what_it_takes_most_of_counts(self) -> None:
        """A tenth of the memory is as much as a tenth of the cores."""
        jobs = [self.of(f"a{i}", "alice", i, cores=1, gib=0) for i in range(3)]
        jobs += [self.of(f"b{i}", "bob", i, cores=0, gib=20) for i in range(2)]
        assert order("fair", *jobs) == "a0 b0 a1 a2 b1"

    def test_what_was_used_lately_counts(self) -> None:
        jobs = [self.of("a", "alice", 0), self.of("b", "bob", 1)]
        assert order("fair", *jobs, usage={"alice": 1.0}) == "b a"

    def test_what_is_held_counts(self) -> None:
        held = admitted("r", demand(1, 1), core={W: {"n": 1}}, elastic={W: {"n": 1}})
        assert order("fair", held, self.of("a", "alice", 0), self.of("b", "bob", 1)) == "b a"

    def test_groups_take_turns_and_then_their_users(self) -> None:
        jobs = [self.of(f"{name}{i}", name, i, group="lab") for name in "ab" for i in range(2)]
        jobs += [self.of(f"c{i}", "c", 5 + i) for i in range(2)]
        assert order("fair", *jobs) == "c0 a0 c1 b0 a1 b1"
        busy = replace(admitted("r", demand(1), core={W: {"n": 1}}), owner="a", group="lab")
        assert order("fair", busy, *jobs) == "c0 c1 b0 a0 b1 a1"
        assert order("fair", *jobs, usage={"c": HORIZON_S}) == "a0 b0 a1 b1 c0 c1"

    def test_a_user_who_is_called_like_a_group_pays_for_itself_only(self) -> None:
        jobs = [self.of("z", "lab", 1), self.of("a", "alice", 2, group="lab"), self.of("b", "bob", 3)]
        assert order("fair", *jobs, group_usage={"lab": HORIZON_S}) == "b z a"
        assert order("fair", *jobs, usage={"lab": HORIZON_S}) == "b a z"
        busy = replace(admitted("r", demand(1), core={W: {"n": 1}}), owner="alice", group="lab")
        assert order("fair", busy, *jobs) == "b z a"

    def test_in_whatever_order_the_snapshot_names_them(self) -> None:
        """A seventh, three and five of them do not come to the same the other way round."""
        hers, his = (
            [
                admitted(f"{owner}{cores}", demand(cores), core={W: {"n": cores}}, owner=owner, run_s=1.0)
                for cores in (1, 3, 5)
            ]
            for owner in ("alice", "bob")
        )
        waiting = [self.of("a", "alice"), self.of("b", "bob")]
        for held in ([*hers, *his], [*hers[::-1], *his], [*hers, *his[::-1]]):
            assert Fair().order(waiting, Snapshot((node("n", 7),), (*held, *waiting)), NOW) == ["a", "b"]

    def test_an_empty_cluster_is_shared_too(self) -> None:
        assert Fair().order([self.of("a", "alice")], Snapshot((), ()), NOW) == ["a"]
