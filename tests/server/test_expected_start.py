"""When one that waits may start comes from the decision to whoever asks."""

from __future__ import annotations

from tests.scheduler.world import NOW, W, admitted, demand, job, node, plan
from zoe_jupyter.engine.door import Waiting
from zoe_jupyter.server.present import waiting_body
from zoe_jupyter.testing.executions import make_execution


def test_it_is_told_where_run_times_are_known() -> None:
    busy = admitted("x", demand(1, cores=4), core={W: {"a": 1}}, run_s=60.0, started_at=NOW, done_at=NOW)
    reason = plan([node("a")], busy, job("first", demand(1, cores=4))).waiting["first"]
    assert waiting_body(Waiting("first", 1, reason), make_execution(1)).starts_at == NOW + 60
