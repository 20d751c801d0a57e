"""What is carried over from one decision to the next."""

from __future__ import annotations

from tests.scheduler.world import NOW, W, admitted, demand, job, node
from zoe_jupyter.scheduler.decide import Memo, decide
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.snapshot import Snapshot


def test_a_memo_forgets_when_the_machines_change() -> None:
    """Else an execution would be told for ever that it is too large, after a larger machine came."""
    memo = Memo()
    jobs = (job("a", demand(5), at=1), job("b", demand(5), at=2))
    small = Snapshot((node("n", 4),), jobs)
    assert [decide(small, Fifo(), NOW, memo).waiting["b"].code for _ in range(2)] == ["exceeds_cluster"] * 2

    large = Snapshot((node("n", 4), node("m", 6)), jobs)
    assert list(decide(large, Fifo(), NOW, memo).start) == ["a", "b"]
    assert decide(large, Fifo(), NOW, memo) == decide(large, Fifo(), NOW)
    assert decide(small, Fifo(), NOW, memo) == decide(small, Fifo(), NOW)


def test_a_memo_follows_each_change() -> None:
    """Jobs that start, grow, give back and vanish, and shapes that nobody needs any more."""
    memo = Memo()
    nodes = (node("n", 8), node("m", 8))
    for number in range(1200):
        held = admitted(
            "r", demand(1, 3), core={W: {"n": 1}}, elastic={W: {"n": number % 3}}, leaving={W: {"m": number % 2}}
        )
        jobs = [job("a", demand(1, cores=1 + number / 1000)), *([held] if number % 5 else [])]
        if number == 1100:
            jobs += [job(f"j{i}", demand(1, cores=i / 900)) for i in range(900)]
        snapshot = Snapshot(nodes, tuple(jobs))
        if number % 100 < 4 or number == 1100:
            assert decide(snapshot, Fifo(), NOW, memo) == decide(snapshot, Fifo(), NOW)
        else:
            memo.read(snapshot)
