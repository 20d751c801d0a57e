"""Elastic services: they fill what is left in equal shares, and give way to any core."""

from __future__ import annotations

from tests.scheduler.world import W, admitted, codes, demand, job, node, plan
from zoe_jupyter.scheduler.plan import Start


def test_they_come_after_every_core() -> None:
    decided = plan([node("n", 4)], job("a", demand(1, 3), at=1), job("b", demand(2), at=2))
    assert decided.start == {"a": Start(core={W: {"n": 1}}, elastic={W: {"n": 1}}), "b": Start(core={W: {"n": 2}})}


def test_shares_are_equal_and_the_odd_one_goes_to_the_first() -> None:
    decided = plan([node("n", 9)], job("a", demand(1, 9), at=1), job("b", demand(1, 9), at=2))
    assert {key: start.elastic[W]["n"] for key, start in decided.start.items()} == {"a": 4, "b": 3}


def test_who_holds_fewer_is_served_first() -> None:
    rich = admitted("rich", demand(1, 9), core={W: {"n": 1}}, elastic={W: {"n": 3}})
    poor = admitted("poor", demand(1, 9), core={W: {"n": 1}}, elastic={W: {"n": 1}}, at=5)
    decided = plan([node("n", 9)], rich, poor)
    assert {key: more.elastic for key, more in decided.grow.items()} == {"poor": {W: {"n": 2}}, "rich": {W: {"n": 1}}}


def test_nobody_gets_more_than_wanted() -> None:
    decided = plan([node("n", 9)], job("a", demand(1, 1), at=1), job("b", demand(1, 4), at=2))
    assert {key: start.elastic[W]["n"] for key, start in decided.start.items()} == {"a": 1, "b": 4}


def test_a_shape_that_has_no_room_does_not_stop_smaller_ones() -> None:
    big, small = demand(0, 2, cores=3, process="a.big"), demand(1, 2, process="a.small")
    decided = plan([node("n", 4)], job("a", small, big))
    assert decided.start["a"].elastic == {"a.small": {"n": 2}}
    assert plan([node("n", 4)], job("a", demand(1, process="a.core"), demand(0, 9))).start["a"].elastic == {W: {"n": 3}}
    huge = demand(0, 2, cores=5, process="a.huge")
    assert plan([node("n", 4)], job("a", small, huge)).start["a"].elastic == {"a.small": {"n": 2}}


def test_processes_of_one_job_grow_side_by_side() -> None:
    decided = plan([node("n", 5)], job("a", demand(1, 4, process="a.x"), demand(0, 4, process="a.y")))
    assert decided.start["a"].elastic == {"a.x": {"n": 2}, "a.y": {"n": 2}}


def test_they_go_where_most_is_free() -> None:
    nodes = [node("full", 4, 16), node("free", 4, 16)]
    running = admitted("r", demand(1), core={W: {"full": 2}})
    decided = plan(nodes, running, admitted("e", demand(0, 4), at=1))
    assert decided.grow["e"].elastic == {W: {"free": 3, "full": 1}}


def test_a_running_execution_grows_when_there_is_room() -> None:
    decided = plan([node("n", 4)], admitted("r", demand(1, 2), core={W: {"n": 1}}))
    assert decided.grow == {"r": Start(core={}, elastic={W: {"n": 2}})}


class TestShrink:
    def test_what_is_above_the_wanted_is_taken_back_where_there_is_most(self) -> None:
        running = admitted("r", demand(1, 1), core={W: {"a": 1}}, elastic={W: {"a": 1, "b": 3}})
        decided = plan([node("a"), node("b")], running)
        assert (decided.shrink, decided.grow) == ({"r": {W: {"b": 3}}}, {}) or decided.shrink == {
            "r": {W: {"a": 1, "b": 2}}
        }
        assert sum(decided.shrink["r"][W].values()) == 3

    def test_no_more_is_taken_for_a_core_than_it_takes(self) -> None:
        running = admitted("r", demand(1, 3), core={W: {"n": 1}}, elastic={W: {"n": 3}})
        decided = plan([node("n", 4)], running, job("new", demand(2), at=5))
        assert decided.shrink == {"r": {W: {"n": 2}}}
        assert (decided.start, decided.grow) == ({}, {})
        assert decided.waiting["new"].text.endswith("room is being made for it")

    def test_only_where_the_core_will_go(self) -> None:
        running = admitted("r", demand(1, 6), core={W: {"a": 1}}, elastic={W: {"a": 3, "b": 3}})
        decided = plan([node("a", 4), node("b", 4)], running, job("new", demand(1, cores=4), at=5))
        assert decided.shrink == {"r": {W: {"b": 3}}}

    def test_services_elsewhere_are_spared(self) -> None:
        running = admitted("r", demand(1, 6), core={W: {"a": 1}}, elastic={W: {"a": 3, "b": 3}})
        nodes = [node("a", 4, labels={"disk": "fast"}), node("b", 3)]
        decided = plan(nodes, running, job("new", demand(2, labels={"disk": "fast"}), at=5))
        assert decided.shrink == {"r": {W: {"a": 2}}}

    def test_those_who_hold_most_give_first(self) -> None:
        rich = admitted("rich", demand(1, 5), core={W: {"n": 1}}, elastic={W: {"n": 5}})
        poor = admitted("poor", demand(1, 2), core={W: {"n": 1}}, elastic={W: {"n": 2}}, at=1)
        decided = plan([node("n", 9)], rich, poor, job("new", demand(3), at=5))
        assert decided.shrink == {"rich": {W: {"n": 3}}}

    def test_nothing_is_taken_where_it_would_not_help(self) -> None:
        running = admitted("r", demand(2, 2), core={W: {"n": 2}}, elastic={W: {"n": 2}})
        decided = plan([node("n", 4)], running, job("new", demand(3), at=5))
        assert decided.shrink == {}
        assert codes(decided) == {"new": "waits_for_resources"}

    def test_not_again_for_room_that_comes_anyway(self) -> None:
        running = admitted("r", demand(1, 1), core={W: {"n": 1}}, elastic={W: {"n": 1}}, leaving={W: {"n": 2}})
        decided = plan([node("n", 4)], running, job("new", demand(2), at=5))
        assert (decided.shrink, decided.start) == ({}, {})
        assert decided.waiting["new"].text.endswith("room is being made for it")

    def test_what_leaves_makes_up_for_a_part(self) -> None:
        running = admitted("r", demand(1, 2), core={W: {"n": 1}}, elastic={W: {"n": 2}}, leaving={W: {"n": 1}})
        assert plan([node("n", 4)], running, job("new", demand(2), at=5)).shrink == {"r": {W: {"n": 1}}}

    def test_what_the_user_gave_up_makes_room_too(self) -> None:
        running = admitted("r", demand(1, 0), core={W: {"n": 1}}, elastic={W: {"n": 2}})
        decided = plan([node("n", 4)], running, job("new", demand(3), at=5))
        assert decided.shrink == {"r": {W: {"n": 2}}}
        assert decided.waiting["new"].text.endswith("room is being made for it")

    def test_elastic_services_on_nodes_that_are_gone_help_nobody(self) -> None:
        running = admitted("r", demand(1, 3), core={W: {"n": 1}}, elastic={W: {"n": 1, "z": 2}}, leaving={W: {"z": 1}})
        assert plan([node("n", 2)], running, job("new", demand(1), at=5)).shrink == {"r": {W: {"n": 1}}}


def test_room_that_is_kept_for_a_core_is_not_given_to_elastic_services() -> None:
    """Else they would grow and shrink in turns for ever."""
    running = admitted("r", demand(1, 3), core={W: {"n": 1}}, leaving={W: {"n": 2}})
    decided = plan([node("n", 6)], running, job("new", demand(4), at=5))
    assert decided.grow == {"r": Start(core={}, elastic={W: {"n": 1}})}

    decided = plan([node("n", 6)], running, job("new", demand(5), at=5))
    assert decided.grow == {}


def test_while_a_core_waits_for_other_cores_elastic_services_use_what_is_free() -> None:
    running = admitted("r", demand(2, 3), core={W: {"n": 2}})
    decided = plan([node("n", 4)], running, job("new", demand(3), at=5))
    assert decided.grow == {"r": Start(core={}, elastic={W: {"n": 2}})}


def test_a_node_that_shrank_below_what_it_holds_gets_nothing() -> None:
    running = admitted("r", demand(4, 1), core={W: {"n": 4}})
    assert plan([node("n", 2)], running, job("new", demand(1), at=5)).start == {}
    assert plan([node("n", 2)], running).grow == {}


def test_a_node_without_anything_to_give_takes_only_what_needs_nothing() -> None:
    free = demand(1, 2, cores=0, gib=0)
    assert plan([node("n", 0, 0)], job("a", free)).start == {"a": Start(core={W: {"n": 1}}, elastic={W: {"n": 2}})}
