"""What every store must do with quotas, machines to be drained, and what one decision leaves for the next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from zoe_jupyter.model.execution import Outcome, State
from zoe_jupyter.model.quota import Limit, Quota
from zoe_jupyter.store.repository import EventDraft, NewExecution, Store
from zoe_jupyter.testing.executions import make_execution


class SettledContract:
    """Part of ``StoreContract``, which has the fixtures."""

    def test_what_is_settled_is_there_for_the_next_core(self, store: Store, another: Callable[[], Store]) -> None:
        quota = Quota(share=Limit(gpus=1), limit=Limit(executions=3, run_s=60.5))
        draft = EventDraft("quota.changed", "", "", {"of": "ada"})
        assert [e.kind for e in store.put_quota("ada", quota, by="ann", now=1.0, events=[draft])] == ["quota.changed"]
        store.put_quota("group:physics", Quota(), by="ann", now=1.0)
        store.put_quota("group:physics", None, by="ann", now=2.0)
        store.drain_node("a", 5.0, by="ann")
        store.drain_node("a", 7.0, by="bob")
        store.save((), (), kept={"usage": "{}", "reservation": "null"})
        store.save((), (), kept={"usage": '{"ada": 1.5}'})
        found = another().settled()
        assert (found.quotas, found.drained_nodes) == ({"ada": quota}, {"a": 7.0})
        assert found.kept == {"usage": '{"ada": 1.5}', "reservation": "null"}
        store.drain_node("a", None, by="ann")
        assert another().settled().drained_nodes == {}

    def test_runs_that_ended_well_tell_how_long_they_took(self, store: Store) -> None:
        for number, outcome in enumerate((Outcome.SUCCEEDED, Outcome.FAILED, Outcome.STOPPED)):
            execution = make_execution(number, entry="dask", state=State.ENDED, outcome=outcome, done_s=10.0 + number)
            ended = replace(execution, ended_at=float(number))
            store.submit(NewExecution(ended, None, "", (), {}, None), now=0.0)
        assert store.runs(10) == [("dask", "ada", 10.0), ("dask", "ada", 12.0)]
        assert store.runs(1) == [("dask", "ada", 12.0)]
