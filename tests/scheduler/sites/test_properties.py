"""Of sites that live, with everything that may happen to them: no decision breaks a promise."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.scheduler.rules.promises import (
    a_reservation_goes_to_nobody_behind,
    cores_are_whole,
    nobody_is_in_the_way,
    nothing_is_given_twice,
    numbers_are_true,
    what_is_taken_back_is_for_somebody,
)
from tests.scheduler.rules.worlds import within_limits
from tests.scheduler.sites.site import Site
from zoe_jupyter.scheduler.decide import decide


@given(st.integers(0, 10**6))
@settings(max_examples=300, deadline=None)
def test_no_decision_breaks_a_promise(seed: int) -> None:
    """A site of one's own: ``list(Site(seed).live())``."""
    site = Site(seed)
    for snapshot, plan in site.live():
        nothing_is_given_twice(snapshot, plan)
        nobody_is_in_the_way(snapshot, plan, site.now)
        cores_are_whole(snapshot, plan)
        within_limits(snapshot, plan)
        what_is_taken_back_is_for_somebody(snapshot, plan)
        numbers_are_true(snapshot, plan, site.now)
        a_reservation_goes_to_nobody_behind(snapshot, plan)
        assert decide(replace(snapshot, jobs=snapshot.jobs[::-1]), site.policy, site.now) == plan
