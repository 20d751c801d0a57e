"""What an execution's parent must have in it, and how it is told that a core lives."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.backends.kubernetes.test_upkeep import NOON, SITE
from zoe_jupyter.backends.base import Bounds
from zoe_jupyter.backends.kubernetes import manifests, names
from zoe_jupyter.backends.kubernetes.objects import Objects
from zoe_jupyter.backends.kubernetes.upkeep import Heartbeat, began_at, bounds_of, parent_of, renewal
from zoe_jupyter.model.errors import Fatal


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

    change = renewal(earlier, Bounds(ends_at=None, silence_s=100.0), NOON + 50)

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

    change = renewal(parent, Bounds(ends_at=None, silence_s=200.0), NOON + 50)

    assert bounds_of(parent) == (Bounds(None, 100.0), NOON)
    assert bounds_of(change) == (Bounds(None, 200.0), NOON + 50)
    assert change["spec"] == {"activeDeadlineSeconds": 310}
    assert (change["metadata"]["name"], change["metadata"]["uid"]) == (parent["metadata"]["name"], "u")


@pytest.mark.parametrize("error", [Fatal("the cluster does not allow it"), OverflowError("a moment too far")])
async def test_one_execution_that_cannot_be_renewed_holds_up_no_others(error: Exception) -> None:
    parents = {
        name: manifests.parent(SITE, name, Bounds(ends_at=None, silence_s=100.0), NOON) for name in ("a", "b", "c")
    }
    told: list[str] = []

    async def renew(execution_id: str, bounds: Bounds, now: float) -> None:
        told.append(execution_id)
        if execution_id == "b":
            raise error

    heartbeat = Heartbeat(parents, renew)
    await heartbeat.beat(NOON + 1)
    assert told == []
    await heartbeat.beat(NOON + 30)
    assert told == ["a", "b", "c"]
    await heartbeat.beat(NOON + 31)
    assert told == ["a", "b", "c", "a", "c"]
    await heartbeat.beat(NOON + 40)
    assert told[5:] == ["a", "b", "c"]
