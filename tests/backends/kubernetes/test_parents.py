"""What an execution's parent must have in it, and how it is told that a core lives."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.backends.kubernetes.test_upkeep import NOON, SITE, known, pod
from zoe_jupyter.backends.base import Bounds, Unreachable
from zoe_jupyter.backends.kubernetes import KubernetesBackend, asking, manifests, names
from zoe_jupyter.backends.kubernetes.objects import Objects
from zoe_jupyter.backends.kubernetes.parents import Heartbeat, Moments, began_at, bounds_of, parent_of, renewal
from zoe_jupyter.model.errors import Fatal

DAY_S = 86400.0


class Clock:
    """Of a machine; ``set_by_s`` says how far it was set since noon."""

    def __init__(self, after_s: float = 0.0) -> None:
        self.running_s = 1000.0 + after_s
        self.set_by_s = 0.0
        self.moments = Moments(
            wall=lambda: NOON - 1000.0 + self.running_s + self.set_by_s, running=lambda: self.running_s
        )


def written(**changes: Any) -> str:
    """What is kept in a parent, as an earlier Zoe wrote it but for these."""
    return json.dumps({"ends_at": None, "silence_s": 100.0, "heard_at": NOON + 20, **changes})


def parent(bounds: str) -> dict[str, Any]:
    found = manifests.parent(SITE, "x1", Bounds(), NOON)
    found["metadata"] |= {"uid": "u", "creationTimestamp": "2026-01-31T12:00:00Z"}
    found["metadata"]["annotations"][names.BOUNDS] = bounds
    return found


def test_a_parent_that_an_earlier_zoe_made_is_renewed_and_says_from_then_on_when_it_was_made() -> None:
    """It counts from the cluster's word, as that Zoe did."""
    earlier = parent(written())
    assert parent_of("lab", earlier) is earlier

    change = renewal(earlier, Bounds(ends_at=None, silence_s=100.0), Clock(50).moments)

    assert change["spec"] == {"activeDeadlineSeconds": 210}
    assert began_at(change) == NOON
    assert "creationTimestamp" not in change["metadata"]


@pytest.mark.parametrize(
    "bounds",
    [
        *(written(**{name: bad}) for name in ("silence_s", "heard_at", "began_at") for bad in ("x", None, [], 10**400)),
        *(written(**{name: float("nan")}) for name in ("ends_at", "silence_s", "heard_at", "began_at")),
        *(written(ends_at=bad) for bad in ("x", [], float("inf"))),
        written(heard_at=1e308, silence_s=1e308),
        written(heard_at=1e308, began_at=-1e308),
        *("", "[]", "null", "{}", "[" * 100_000),
    ],
    ids=lambda text: text[:50],
)
async def test_a_job_with_other_than_moments_in_it_is_nobodys_parent(bounds: str) -> None:
    """Neither when it is heard of, nor when it is found where a parent is to be made."""
    job = parent(bounds)
    assert parent_of("lab", job) is None

    jobs = AsyncMock(items={})
    objects = Objects(AsyncMock(create=AsyncMock(return_value=job)), SITE, jobs=jobs)
    with pytest.raises(Fatal, match="not Zoe's"):
        await objects.ensure("x1", "ada", Bounds())
    jobs.put.assert_not_called()


@pytest.mark.parametrize("told_at", ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00Z", "2026-01-31T11:00:00Z"])
def test_a_parent_is_told_that_a_core_lives_whatever_the_clock_of_the_cluster(told_at: str) -> None:
    parent = manifests.parent(SITE, "x1", Bounds(ends_at=None, silence_s=100.0), NOON)
    parent["metadata"] |= {"uid": "u", "creationTimestamp": told_at}

    change = renewal(parent, Bounds(ends_at=None, silence_s=200.0), Clock(50).moments)

    assert bounds_of(parent) == (Bounds(None, 100.0), NOON)
    assert bounds_of(change) == (Bounds(None, 200.0), NOON + 50)
    assert change["spec"] == {"activeDeadlineSeconds": 310}
    assert (change["metadata"]["name"], change["metadata"]["uid"]) == (parent["metadata"]["name"], "u")


def made(execution_id: str = "x1", *, ends_at: float | None = None) -> dict[str, Any]:
    """At noon, as the cluster has it."""
    found = manifests.parent(SITE, execution_id, Bounds(ends_at=ends_at, silence_s=100.0), NOON)
    found["metadata"]["uid"] = "u"
    return found


def changed(parent: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    annotations = parent["metadata"]["annotations"] | change["metadata"]["annotations"]
    return {**parent, "metadata": {**parent["metadata"], "annotations": annotations}, "spec": change["spec"]}


@pytest.mark.parametrize("by_s", [-10 * DAY_S, -510.0, -7.0, 0.0, 7.0, 510.0, 10 * DAY_S])
def test_whatever_a_clock_is_set_by_the_cluster_waits_as_long_as_before(by_s: float) -> None:
    clock = Clock()
    found = made(ends_at=NOON + 1000)
    name = found["metadata"]["name"]
    clock.moments.hear(name, found)
    assert not clock.moments.is_due(found)

    clock.running_s += 20
    clock.set_by_s = by_s
    assert clock.moments.is_due(found) is (by_s != 0)
    change = renewal(found, None, clock.moments)
    assert change["spec"] == {"activeDeadlineSeconds": 20 + 100 + manifests.SLACK_S}
    assert (bounds_of(change), began_at(change)) == ((Bounds(NOON + 1000 + by_s, 100.0), NOON + 20 + by_s), NOON + by_s)
    told = renewal(found, Bounds(ends_at=NOON + 70 + by_s, silence_s=100.0), clock.moments)
    assert told["spec"] == {"activeDeadlineSeconds": 70 + manifests.SLACK_S}

    found = changed(found, change)
    clock.moments.hear(name, found)
    assert not clock.moments.is_due(found)
    clock.running_s += 20
    clock.set_by_s = 0.0
    assert renewal(found, None, clock.moments)["spec"] == {"activeDeadlineSeconds": 40 + 100 + manifests.SLACK_S}


def test_a_core_whose_clock_is_behind_that_of_the_one_before_removes_nothing() -> None:
    found = made()
    clock = Clock()
    clock.set_by_s = -DAY_S
    clock.moments.hear(found["metadata"]["name"], found)

    assert clock.moments.is_due(found)
    assert renewal(found, None, clock.moments)["spec"] == {"activeDeadlineSeconds": 100 + manifests.SLACK_S}


async def test_who_lives_is_told_in_time_by_a_clock_that_jumps_both_ways() -> None:
    clock, told = Clock(), [1000.0]
    parents = {"x1": made()}

    async def renew(execution_id: str) -> None:
        change = renewal(parents["x1"], None, clock.moments)
        parents["x1"] = changed(parents["x1"], change)
        assert change["spec"]["activeDeadlineSeconds"] == clock.running_s - 1000 + 100 + manifests.SLACK_S
        told.append(clock.running_s)

    heartbeat = Heartbeat(parents, clock.moments, renew)
    for by_s in (0, 0, -DAY_S, 0, 0, 0, DAY_S, 0, 0, 3 * DAY_S, 0, 0, 0, 0, -600, 0, 0, 0):
        clock.running_s += 10
        clock.set_by_s += by_s
        await heartbeat.beat()
        assert heartbeat.silent() == set()
    assert max(after - before for before, after in pairwise(told)) <= 30
    assert len(told) < 12


async def test_bounds_that_were_told_before_the_clock_was_set_are_not_told_anew() -> None:
    """Who starts a service may not know yet that somebody set it."""
    clock, found = Clock(), made(ends_at=NOON + 1000)
    jobs = SimpleNamespace(items={found["metadata"]["name"]: found}, put=lambda _: None)
    server = AsyncMock()
    objects = Objects(server, SITE, jobs=jobs, moments=clock.moments)  # type: ignore[arg-type]
    before, after = Bounds(NOON + 1000, 100.0), Bounds(NOON + 1000 + DAY_S, 100.0)
    await objects.rebind("x1", before)
    clock.set_by_s = DAY_S
    jobs.items[found["metadata"]["name"]] = changed(found, renewal(found, None, clock.moments))

    await objects.rebind("x1", before)
    server.apply.assert_not_awaited()
    await objects.rebind("x1", after)
    assert bounds_of(server.apply.await_args.args[1])[0] == after


@pytest.mark.parametrize(
    "error", [Fatal("the cluster does not allow it"), Unreachable("not within 30 s"), OverflowError()]
)
async def test_one_execution_that_cannot_be_renewed_holds_up_no_others(error: Exception) -> None:
    clock, told = Clock(), list[str]()

    async def renew(execution_id: str) -> None:
        told.append(execution_id)
        if execution_id == "b":
            raise error

    heartbeat = Heartbeat({name: made(name) for name in ("a", "b", "c")}, clock.moments, renew)
    clock.running_s += 1
    await heartbeat.beat()
    assert told == []
    clock.running_s += 29
    await heartbeat.beat()
    assert told == ["a", "b", "c"]
    clock.running_s += 1
    await heartbeat.beat()
    assert told == ["a", "b", "c", "a", "c"]
    clock.running_s += 9
    await heartbeat.beat()
    assert told[5:] == ["a", "b", "c"]


async def test_one_for_which_nobody_answers_holds_up_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "SETTLE_S", 0.05)
    clock, told = Clock(30), list[str]()

    async def renew(execution_id: str) -> None:
        told.append(execution_id)
        if execution_id == "a":
            await asyncio.Event().wait()

    heartbeat = Heartbeat({name: made(name) for name in ("a", "b")}, clock.moments, renew)
    for _ in range(3):
        await asyncio.wait_for(heartbeat.beat(), 5)
    assert told == ["a", "b", "b", "b"]
    await heartbeat.close()


async def test_others_are_told_that_a_zoe_lives_before_what_expired_meanwhile_is_ended(tmp_path: Path) -> None:
    """There may be hundreds of those, and each takes its time."""
    backend: Any = KubernetesBackend(deployment="lab", data_dir=tmp_path, namespace="zoe")
    order = list[str]()
    backend._known, backend._objects = known(pod()), AsyncMock()
    backend._logs = SimpleNamespace(begun=AsyncMock(side_effect=lambda _: order.append("ended")))
    backend._heartbeat = SimpleNamespace(
        silent=lambda: {"x1"}, beat=AsyncMock(side_effect=lambda: order.append("told"))
    )
    backend._deadlines = SimpleNamespace(write=lambda: None)
    backend._hindered = SimpleNamespace(overdue=lambda now: [])
    backend._overdue = backend._crowded = SimpleNamespace(look=lambda now: [])
    backend._machines = SimpleNamespace(are_current=False, is_pool=False, is_closed=lambda node: False)
    backend._nodes = SimpleNamespace(lost={})

    await backend._tick()
    assert order == ["told", "ended"]
    backend._objects.remove_pod.assert_awaited_once()
