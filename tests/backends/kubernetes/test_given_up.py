"""Who was to go long ago, and is on a node that does not do what it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.backends.kubernetes.test_upkeep import WHO, known, only, patient, pod
from zoe_jupyter.backends.base import Seen, SeenState
from zoe_jupyter.backends.kubernetes.known import Known
from zoe_jupyter.backends.kubernetes.upkeep import Overdue
from zoe_jupyter.model.execution import Reason

LEAVING = {"deletionTimestamp": "2026-01-31T12:00:00Z"}


def overdue(found: Known) -> Seen:
    """Its node does not do what it is told."""
    late = Overdue(found)
    late.look(1000.0)
    for attempt, reason in late.look(2000.0):
        found.give_up(attempt, reason)
    return only(found)


@pytest.mark.parametrize("made", [pod, patient])
def test_who_is_given_up_may_still_run_until_it_is_known_to_have_ended(made: Callable[..., dict[str, Any]]) -> None:
    """Whether somebody takes its place before that is not the backend's to say."""
    found = known(made(**LEAVING))
    seen = overdue(found)
    assert (seen.state, seen.is_blameless, seen.may_run) == (SeenState.EXITED, True, True)

    found.take(WHO.name, made(phase="Failed", code=0, **LEAVING))
    assert only(found) == replace(seen, may_run=False)
    found.take(WHO.name, None)
    assert only(found) == replace(seen, may_run=False)


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("verdict", [None, Reason("not_ready", "not ready after 5 s")])
def test_who_was_to_go_anyway_and_was_given_up_says_in_the_end_how_it_ended(
    verdict: Reason | None, *, ends: bool
) -> None:
    found = known(pod(**LEAVING))
    found.asked.add(WHO)
    if verdict is not None:
        found.condemn(WHO, verdict)
    assert overdue(found).may_run

    if ends:
        found.take(WHO.name, pod(phase="Failed", code=143, **LEAVING))
        assert (only(found).reason and only(found).exit_code, only(found).may_run) == (143, False)
    found.take(WHO.name, None)
    seen = only(found)
    assert (seen.is_blameless, seen.may_run) == (False, False)
    assert seen.reason == verdict or (verdict is None and (not ends or seen.exit_code == 143))


def test_nobody_waits_for_one_whose_time_is_over() -> None:
    found, reason = known(pod(**LEAVING)), Reason("expired", "ended: no Zoe was heard for too long")
    found.condemn(WHO, reason)

    seen = overdue(found)
    assert (seen.state, seen.reason, seen.is_blameless, seen.may_run) == (SeenState.EXITED, reason, False, False)
