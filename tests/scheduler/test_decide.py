"""Who starts, in what order, and who holds nobody up."""

from __future__ import annotations

import pytest

from tests.scheduler.world import NOW, W, admitted, codes, demand, job, node, plan
from zoe_jupyter.scheduler.decide import decide
from zoe_jupyter.scheduler.plan import Start
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot


def test_a_core_starts_whole_or_not_at_all() -> None:
    assert plan([node("n", 4)], job("a", demand(4))).start == {"a": Start(core={W: {"n": 4}})}
    assert plan([node("n", 4)], job("a", demand(5))).start == {}


def test_an_exact_fit_fits() -> None:
    decided = plan([node("n", 2, 4, gpus=1)], job("a", demand(1, cores=2, gib=4, gpus=1)))
    assert list(decided.start) == ["a"]


def test_who_needs_nothing_starts_at_once() -> None:
    """A workflow is an execution without services of its own."""
    assert plan([], job("flow")).start == {"flow": Start(core={})}


def test_first_in_first_out_within_priorities() -> None:
    jobs = [job("late", demand(2), at=2), job("early", demand(2), at=1), job("urgent", demand(2), at=3, priority=200)]
    decided = plan([node("n", 4)], *jobs)
    assert list(decided.start) == ["urgent", "early"]
    assert codes(decided) == {"late": "waits_for_resources"}


def test_the_id_settles_what_came_in_one_moment() -> None:
    jobs = [job("b", demand(1)), job("a", demand(1))]
    assert Fifo().order(jobs, Snapshot((), tuple(jobs)), NOW) == ["a", "b"]


def test_others_pass_by_the_first_until_it_has_waited_long_enough() -> None:
    """Then room is kept for it; and as nobody knows how long the other one takes, it does not get that."""
    jobs = [
        job("big", demand(4), at=900),
        job("small", demand(1), at=901),
        admitted("x", demand(1), core={W: {"n": 1}}),
    ]
    decided = plan([node("n", 4)], *jobs)
    assert list(decided.start) == ["small"]
    assert codes(decided) == {"big": "waits_for_resources"}

    decided = plan([node("n", 4)], *jobs, now=1200)
    assert decided.start == {}
    assert codes(decided) == {"big": "waits_for_resources", "small": "reserved"}
    assert decided.waiting["small"].numbers == {"position": 2, "first": "big"}


@pytest.mark.parametrize(
    ("hopeless", "code"),
    [
        (demand(1, gib=64), "exceeds_every_node"),
        (demand(5), "exceeds_cluster"),
        (demand(1, labels={"disk": "fast"}), "no_matching_node"),
    ],
)
def test_who_can_never_run_holds_nobody_up(hopeless: object, code: str) -> None:
    decided = plan([node("n", 4)], job("never", hopeless, at=1), job("next", demand(1), at=2))  # type: ignore[arg-type]
    assert list(decided.start) == ["next"]
    assert codes(decided) == {"never": code}


def test_who_is_to_be_tried_later_holds_nobody_up() -> None:
    decided = plan([node("n", 4)], job("later", demand(4), at=1, not_before=NOW + 12), job("next", demand(1), at=2))
    assert list(decided.start) == ["next"]
    assert decided.waiting["later"].text == "it begins in 12 s"
    assert list(plan([node("n", 4)], job("later", demand(4), not_before=NOW)).start) == ["later"]


def test_labels_choose_the_node() -> None:
    nodes = [node("a", 8), node("b", 4, labels={"disk": "fast", "zone": "x"})]
    assert plan(nodes, job("j", demand(1, labels={"disk": "fast"}))).start["j"].core == {W: {"b": 1}}


def test_a_disabled_node_gets_nothing_and_keeps_what_it_has() -> None:
    nodes = [node("old", 8, is_enabled=False), node("new", 2)]
    running = admitted("r", demand(1, 1), core={W: {"old": 1}}, elastic={W: {"old": 1}})
    decided = plan(nodes, running, job("j", demand(2), at=1))
    assert decided.start == {"j": Start(core={W: {"new": 2}})}
    assert (decided.grow, decided.shrink) == ({}, {})


def test_nothing_is_done_while_the_machines_cannot_be_reached() -> None:
    running = admitted("r", demand(1, 0), elastic={W: {"n": 3}})
    decided = plan([node("n", 4)], running, job("j", demand(1)), is_reachable=False)
    assert (decided.start, decided.grow, decided.shrink) == ({}, {}, {})
    assert codes(decided) == {"r": "backend_unreachable", "j": "backend_unreachable"}
    told = plan([], job("j", demand(1)), is_reachable=False, silence="Permission denied").waiting["j"].text
    assert told == "the machines cannot be reached: Permission denied; it starts when they answer again"


def test_without_any_machine_all_wait() -> None:
    for nodes in ([], [node("n", is_enabled=False)]):
        decided = plan(nodes, job("j", demand(1)))
        assert decided.waiting["j"].text == "no machine takes work at the moment; wait, or ask the admin"


class TestLostCore:
    def test_is_replaced_before_anybody_starts(self) -> None:
        decided = plan(
            [node("n", 2)], job("new", demand(1), priority=900), admitted("r", demand(2), core={W: {"n": 1}})
        )
        assert decided.grow == {"r": Start(core={W: {"n": 1}})}
        assert codes(decided) == {"new": "waits_for_resources"}

    def test_goes_where_there_is_room(self) -> None:
        lame = admitted("lame", demand(2), core={W: {"n": 1}})
        assert plan([node("n", 1), node("m", 1)], lame).grow == {"lame": Start(core={W: {"m": 1}})}

    def test_gets_room_from_elastic_services(self) -> None:
        other = admitted("other", demand(1, 1), core={W: {"n": 1}}, elastic={W: {"n": 1}})
        lame = admitted("lame", demand(2), core={W: {"n": 1}})
        decided = plan([node("n", 3)], other, lame, job("new", demand(1), at=5))
        assert decided.shrink == {"other": {W: {"n": 1}}}
        assert codes(decided) == {"lame": "waits_for_resources", "new": "behind_others"}

    def test_that_fits_nowhere_waits_first(self) -> None:
        lame = admitted("lame", demand(2, 4, cores=2), core={W: {"n": 1}})
        other = admitted("other", demand(1, 0, cores=1), core={W: {"n": 1}})
        decided = plan([node("n", 4)], lame, other, job("new", demand(1), at=5))
        assert codes(decided) == {"lame": "waits_for_resources", "new": "reserved"}
        assert decided.grow == {}


class _Forgetful:
    """A policy that leaves jobs out and names some that are not there."""

    def order(self, waiting: list[Job], snapshot: Snapshot, now: float) -> list[ExecutionId]:
        return ["ghost", *(job.id for job in waiting if job.id == "c")]


def test_whom_a_policy_forgets_comes_last_and_not_never() -> None:
    jobs = tuple(job(name, demand(1)) for name in ("b", "a", "c"))
    decided = decide(Snapshot((node("n", 4),), jobs), _Forgetful(), NOW)
    assert list(decided.start) == ["c", "a", "b"]
