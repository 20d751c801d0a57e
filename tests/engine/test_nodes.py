"""Maintenance: an admin takes a machine out of use, and puts it back."""

from __future__ import annotations

import pytest

from zoe_jupyter.model.errors import Forbidden, NotFound
from zoe_jupyter.model.execution import State
from zoe_jupyter.testing.house import ADMIN, ALICE, House


async def test_nothing_new_starts_on_a_disabled_node_and_what_runs_goes_on(house: House) -> None:
    before = await house.until_state(State.RUNNING, await house.submit("job"))

    use = await house.core.set_node_enabled("local", ADMIN, is_enabled=False)
    assert (use.node.is_enabled, use.services) == (False, 1)
    after = await house.until_state(State.QUEUED, await house.submit("job"))
    await house.until(lambda _: bool(house.core.waiting(after.id)), after)
    place = house.core.waiting(after.id)
    assert place is not None
    assert place.reason.code == "no_matching_node"
    assert (await house.get(before)).state is State.RUNNING

    await house.core.set_node_enabled("local", ADMIN, is_enabled=True)
    await house.until_state(State.RUNNING, after)


async def test_a_node_stays_disabled_over_a_restart(house: House) -> None:
    await house.core.set_node_enabled("local", ADMIN, is_enabled=False)
    await house.reopen()
    assert [use.node.is_enabled for use in await house.core.cluster()] == [False]
    await house.core.set_node_enabled("local", ADMIN, is_enabled=True)
    await house.reopen()
    assert [use.node.is_enabled for use in await house.core.cluster()] == [True]


async def test_only_admins_may_and_each_change_is_one_event(house: House) -> None:
    with pytest.raises(Forbidden, match="only an admin"):
        await house.core.set_node_enabled("local", ALICE, is_enabled=False)
    with pytest.raises(NotFound, match="there is no node 'moon'; there is local"):
        await house.core.set_node_enabled("moon", ADMIN, is_enabled=False)
    since = house.core.last_seq()
    for is_enabled in (False, False, True, True):
        await house.core.set_node_enabled("local", ADMIN, is_enabled=is_enabled)
    told = [event async for event in house.core.events(ADMIN, since=since, follow=False)]
    assert [(event.kind, dict(event.data)) for event in told] == [
        ("node.disabled", {"node": "local", "by": "root"}),
        ("node.enabled", {"node": "local", "by": "root"}),
    ]
    assert [event async for event in house.core.events(ALICE, since=since, follow=False)] == []
