"""What ran here as a workload, through the API."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.client.running import RunningZoe
from zoe_jupyter.cli.app import ABSENT, FAILED, OK, main
from zoe_jupyter.client.api import Api
from zoe_jupyter.model.errors import UserError
from zoe_jupyter.model.execution import Outcome, State
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.simulator.history import read_history, read_nodes


def _ran(zoe: RunningZoe, *, created_at: float, started_at: float, ended_at: float, done_s: float = 0.0) -> str:
    name = str(Api().submit({"use": "spark"})["id"])
    zoe.change(
        name, state=State.ENDED, outcome=Outcome.SUCCEEDED, services={}, created_at=created_at, started_at=started_at,
        ended_at=ended_at, done_s=done_s,
    )  # fmt: skip
    return name


def test_ended_executions_are_applications(zoe: RunningZoe) -> None:
    late = _ran(zoe, created_at=200, started_at=210, ended_at=260)
    early = _ran(zoe, created_at=100, started_at=110, ended_at=150, done_s=30)
    Api().submit({"use": "spark"})
    found = read_history(Api())
    assert [(one.id, one.submit_s, one.run_s, one.owner) for one in found] == [
        (early, 100, 30, "ann"),
        (late, 200, 50, "ann"),
    ]
    assert [(each.process, each.core, each.elastic) for each in found[0].demands] == [
        ("spark.master", 1, 0),
        ("spark.worker", 1, 1),
    ]
    assert found[0].demands[1].resources == Resources(1_000_000, 1 << 30)


def test_the_classes_that_the_admin_named_keep_their_numbers(zoe: RunningZoe) -> None:
    urgent = _ran(zoe, created_at=100, started_at=110, ended_at=150)
    zoe.change(urgent, priority=500, priority_class="urgent")
    assert [one.priority for one in read_history(Api())] == [500]


def test_what_was_expected_of_them_is_what_the_policy_is_told(zoe: RunningZoe) -> None:
    for estimate_s in (None, 90.0):
        zoe.change(_ran(zoe, created_at=100, started_at=110, ended_at=150), estimate_s=estimate_s)
    assert {(one.run_s, one.estimate_s) for one in read_history(Api())} == {(40, None), (40, 90)}


def test_machines_that_take_no_work_are_left_out(zoe: RunningZoe) -> None:
    assert [node.name for node in read_nodes(Api())] == [zoe.core.node.name]
    zoe.core.node = replace(zoe.core.node, is_enabled=False)
    with pytest.raises(UserError, match="no machine takes work now"):
        read_nodes(Api())


def test_the_history_is_replayed_on_the_machines_of_today(zoe: RunningZoe, capsys: pytest.CaptureFixture[str]) -> None:
    _ran(zoe, created_at=100, started_at=110, ended_at=150)
    assert main(["simulate", "--history", "--json"]) == OK
    assert json.loads(capsys.readouterr().out)["fifo"]["turnaround_s"]["mean"] == pytest.approx(40, abs=40)


def test_without_a_history_there_is_nothing_to_replay(zoe: RunningZoe, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--history"]) == FAILED
    assert "nothing has run and ended here yet" in capsys.readouterr().err
    zoe.down()
    assert main(["simulate", "--history"]) == ABSENT
