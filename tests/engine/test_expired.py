"""An execution that its backend has removed, since its time was over while no core was there, has ended for that."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.engine.test_observing import Idle
from zoe_jupyter.backends.base import Observation
from zoe_jupyter.engine.observing import compare
from zoe_jupyter.lifecycle.effects import Launch
from zoe_jupyter.model.execution import Outcome, ServiceState, State
from zoe_jupyter.testing.house import House

SERVICE = "job.main-0"


async def test_it_is_started_no_more_and_cleaned(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    look = house.backend.observe

    async def observe() -> Observation:
        left = {} if execution.id in house.backend.cleaned else {execution.id: "no Zoe was heard of"}
        return replace(await look(), expired=left)

    house.backend.vanish(execution.id, SERVICE)
    monkeypatch.setattr(house.backend, "observe", observe)
    await house.reopen()

    ended = await house.until_state(State.ENDED, execution)
    assert ended.outcome is Outcome.EXPIRED
    assert ended.reason is not None
    assert ended.reason.text == "ended since no Zoe was heard of"
    await house.until(lambda _: execution.id in house.backend.cleaned, execution)
    assert len(house.backend.launched) == 1


async def test_what_is_started_anew_is_another(house: House) -> None:
    """It was suspended while no core was there, say: what is to be launched has not been removed."""
    execution = await house.until_state(State.RUNNING, await house.submit("job"))
    anew = replace(execution.services[SERVICE], state=ServiceState.STARTING, attempt=2, handle={})
    living = {execution.id: replace(execution, services={SERVICE: anew})}
    expired = Observation([], expired={execution.id: "no Zoe was heard of"})

    findings = compare(living, expired, Idle(), looked_at=1e6)
    assert (findings.events, findings.again) == ({}, {execution.id: [Launch(SERVICE, 2)]})
