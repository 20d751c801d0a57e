"""What is carried over from one decision to the next."""

from __future__ import annotations

from tests.scheduler.world import NOW, demand, job, node
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
