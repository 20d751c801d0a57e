"""What follows from one look at a backend, and from what it does not tell."""

from __future__ import annotations

from dataclasses import replace

from zoe_jupyter.backends.base import Observation, Seen, SeenState
from zoe_jupyter.engine.observing import Findings, compare
from zoe_jupyter.lifecycle.effects import Stop
from zoe_jupyter.lifecycle.events import Event, ServiceExited, ServiceLaunched, ServiceTroubled
from zoe_jupyter.lifecycle.step import step
from zoe_jupyter.model.execution import Execution, Reason, Service, ServiceState
from zoe_jupyter.testing.house import House, running

TWO_WORKERS = ["cluster.head-0", "cluster.worker-0", "cluster.worker-1"]


class Idle:
    """Nothing is being done."""

    def is_busy(self, execution_id: str, service: str) -> bool:
        return False

    def was_confirmed_after(self, execution_id: str, service: str, attempt: int, moment: float) -> bool:
        return False

    def was_cleaned_after(self, execution_id: str, moment: float) -> bool:
        return False


async def test_what_hindered_a_service_is_over_once_its_backend_says_so_no_more(house: House) -> None:
    execution = await house.get(await house.until(lambda now: running(now) == TWO_WORKERS, await house.submit()))
    name, service = next(iter(execution.services.items()))
    hindered = replace(service, state=ServiceState.STARTING, reason=Reason("unscheduled", "no room"))
    living = {execution.id: replace(execution, services={name: hindered})}
    item = Seen(execution.id, name, 1, SeenState.STARTING, handle=service.handle)

    findings = compare(living, Observation([item]), Idle(), looked_at=1e6)
    assert findings.events == {execution.id: [ServiceTroubled(name, 1, None)]}

    ill = {execution.id: replace(execution, services={name: replace(hindered, reason=Reason("out_of_memory", "x"))})}
    assert compare(ill, Observation([item]), Idle(), looked_at=1e6).events == {}


async def test_from_which_image_a_service_runs_is_taken_in_once_the_backend_can_tell(house: House) -> None:
    execution = await house.get(await house.until(lambda now: running(now) == TWO_WORKERS, await house.submit()))
    name, service = next(iter(execution.services.items()))
    image = "registry.site/zoe/spark@sha256:12ab"
    item = Seen(execution.id, name, 1, SeenState.READY, handle={"pod": "p"}, host="h", ports={"ui": 1}, image=image)

    (event,) = found_of(execution, service, item)
    assert event == ServiceLaunched(name, 1, {"pod": "p"}, host="h", ports={"ui": 1}, image=image)

    told, _ = step(execution, event, 0.0)
    now = told.services[name]
    assert (now.image, now.handle, now.state) == (image, {"pod": "p"}, ServiceState.RUNNING)
    assert found_of(told, now, replace(item, image="sha256:34cd")) == []


def found_of(execution: Execution, service: Service, item: Seen) -> list[Event]:
    living = {execution.id: replace(execution, services={service.name: service})}
    return compare(living, Observation([item]), Idle(), looked_at=1e6).events.get(execution.id, [])


async def test_who_is_silent_is_not_missed_however_long(house: House) -> None:
    execution = await house.until(lambda now: running(now) == TWO_WORKERS, await house.submit())
    living = {execution.id: await house.get(execution)}
    silent = Observation([], {execution.id: "its supervisor does not answer"}, frozenset())
    long_ago = {(execution.id, name, 1): 0.0 for name in TWO_WORKERS}

    findings = compare(living, silent, Idle(), looked_at=1e6, before=Findings(missing=long_ago))
    assert (findings.events, findings.missing, findings.again) == ({}, {}, {})

    seen_by_all = replace(silent, unreachable={})
    findings = compare(living, seen_by_all, Idle(), looked_at=1e6, before=Findings(missing=long_ago))
    assert len(findings.events[execution.id]) == len(TWO_WORKERS)


async def test_of_an_execution_that_is_told_in_part_the_part_is_judged_and_the_rest_is_said_to_be_unknown(
    house: House,
) -> None:
    """One container that its engine never tells of, on one machine, would keep the ends of all others from being seen."""
    execution = await house.until(lambda now: running(now) == TWO_WORKERS, await house.submit())
    living, why = {execution.id: await house.get(execution)}, "the engine e has not said yet how its containers are"
    hung, *others = living[execution.id].services
    items = [Seen(execution.id, name, 1, SeenState.EXITED, exit_code=1) for name in others]
    look = Observation(items, {execution.id: why})

    first = compare(living, look, Idle(), looked_at=1e6)
    assert [(type(event), event.service) for event in first.events[execution.id]] == [
        (ServiceExited, name) for name in others
    ]
    later = compare(living, replace(look, services=()), Idle(), looked_at=1e6 + 30, before=first).events[execution.id]
    (troubled,) = later
    assert isinstance(troubled, ServiceTroubled)
    assert troubled.reason is not None
    assert (troubled.service, troubled.reason.text) == (hung, f"it is not known how {hung} is: {why}")

    told, _ = step(living[execution.id], troubled, 0.0)
    assert told.services[hung].reason == troubled.reason
    back = Observation([Seen(execution.id, hung, 1, SeenState.READY)], {execution.id: why})
    again = compare({execution.id: told}, back, Idle(), looked_at=1e6 + 40, before=first).events[execution.id]
    assert again == [ServiceTroubled(hung, 1, None)]


async def test_who_was_left_out_of_the_first_look_is_asked_once_more_when_it_is_seen(house: House) -> None:
    execution = await house.until(lambda now: running(now) == TWO_WORKERS, await house.submit())
    living = {execution.id: (await house.get(execution))}
    name, service = next(iter(living[execution.id].services.items()))
    stopping = replace(service, state=ServiceState.STOPPING)
    living = {execution.id: replace(living[execution.id], services={name: stopping})}
    seen = Observation([Seen(execution.id, name, 1, SeenState.READY)])

    for unreachable in ({execution.id: "not told"}, {service.node: "its engine is silent"}):
        first = compare(living, Observation([], unreachable), Idle(), looked_at=1e6)
        second = compare(living, seen, Idle(), looked_at=1e6 + 1, before=first)
        third = compare(living, seen, Idle(), looked_at=1e6 + 2, before=second)
        assert [type(effect) for effect in second.again[execution.id]] == [Stop]
        assert (first.again, third.again) == ({}, {})
