"""What is kept in mind from one decision to the next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.scheduler.world import W, admitted, demand, node
from zoe_jupyter.engine.living import Living
from zoe_jupyter.engine.outlook import Outlook
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.scheduler.decide import can_ever_fit
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.snapshot import Snapshot
from zoe_jupyter.testing.executions import make_execution


def test_what_was_used_counts_half_after_the_time_that_the_site_says(tmp_path: Path) -> None:
    outlook = Outlook(Settings(data_dir=tmp_path, usage_half_life_s=100.0), Living())
    busy = Snapshot((node("n", 4),), (admitted("a", demand(2), core={W: {"n": 2}}, owner="ada"),))
    for now in (0.0, 10.0):
        outlook.carry(busy, Plan(), now)
    assert used(outlook) == {"ada": pytest.approx(5.0)}
    outlook.carry(Snapshot((node("n", 4),), ()), Plan(), 110.0)
    assert used(outlook) == {"ada": pytest.approx(2.5)}


def test_what_a_group_used_is_not_what_a_user_of_its_name_did(tmp_path: Path) -> None:
    outlook = Outlook(Settings(data_dir=tmp_path, usage_half_life_s=1e9), Living())
    busy = admitted("a", demand(2), core={W: {"n": 2}}, owner="ada", group="lab")
    for now in (0.0, 10.0):
        outlook.carry(Snapshot((node("n", 4),), (busy,)), Plan(), now)
    again = Outlook(Settings(data_dir=tmp_path), Living())
    again.recall({"usage": '{"ada": 5.0, "group:lab": 4.0}'})
    for each, lab in ((outlook, 5.0), (again, 4.0)):
        found = each.snapshot([], quotas={}, is_reachable=True, now=0.0)
        assert found.usage == {"ada": pytest.approx(5.0)}
        assert found.group_usage == {"lab": pytest.approx(lab)}


def test_who_is_only_supposed_shares_one_node_as_it_would_once_it_is_submitted(tmp_path: Path) -> None:
    supposed = make_execution(1)
    for is_multi_node, on_one in ((False, 1), (True, 0)):
        outlook = Outlook(Settings(data_dir=tmp_path), Living(), is_multi_node=is_multi_node)
        nodes = [node("n", 4), node("m", 4)]
        snapshot = outlook.snapshot(nodes, quotas={}, is_reachable=True, now=0.0, supposed=[supposed])
        assert [job.id for job in snapshot.jobs] == [supposed.id]
        assert {len(demand.nodes) for demand in snapshot.jobs[0].demands} == {on_one}
        assert outlook.snapshot(nodes, quotas={}, is_reachable=True, now=0.0).jobs == ()


def test_what_fits_beside_nothing_but_zoe_may_wait_for_others_to_leave(tmp_path: Path) -> None:
    outlook = Outlook(Settings(data_dir=tmp_path), Living())
    crowded = replace(node("n1", 0.5), whole=node("n1", 2).capacity)
    assert outlook.never_fits([demand(1, cores=1)], [crowded]) is None
    assert outlook.never_fits([demand(1, cores=3)], [crowded]) is not None
    waiting = can_ever_fit([demand(1, cores=1)], [crowded])
    assert waiting is not None
    assert "beside what is not Zoe's" in waiting.text
    assert waiting.text.endswith("or wait")


def used(outlook: Outlook) -> object:
    return outlook.snapshot([], quotas={}, is_reachable=True, now=0.0).usage
