"""From what a backend saw to what happened: compares an observation with what is believed, and finds what nobody wants any more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from zoe_jupyter.backends.base import Observation, Seen, SeenState
from zoe_jupyter.lifecycle.effects import Drain, Effect, Launch, Stop
from zoe_jupyter.lifecycle.events import Event, ServiceExited, ServiceLaunched, ServiceReady, ServiceTroubled
from zoe_jupyter.model.application import OnLost
from zoe_jupyter.model.execution import HINDRANCES, UNTOLD, Execution, Goal, Reason, Service, ServiceState

ALIVE = frozenset({ServiceState.STARTING, ServiceState.RUNNING, ServiceState.DRAINING, ServiceState.STOPPING})


BELIEVED_S = 1.5
"""What ran and is not seen any more is gone when looks from so long a time agree: some backends' lists lag behind."""
UNTOLD_S = 30.0
"""A backend that does not tell for so long how a service is, though it answers, is told of."""
Attempt = tuple[str, str, int]
"""(execution, service, attempt)"""


class Doings(Protocol):
    """What is under way now, which a look from before it cannot contradict."""

    def is_busy(self, execution_id: str, service: str) -> bool: ...

    def was_confirmed_after(self, execution_id: str, service: str, attempt: int, moment: float) -> bool: ...

    def was_cleaned_after(self, execution_id: str, moment: float) -> bool: ...


@dataclass
class Findings:
    """What follows from one look."""

    events: dict[str, list[Event]] = field(default_factory=dict)
    again: dict[str, list[Effect]] = field(default_factory=dict)
    """Effects that an earlier core may have left undone."""
    orphans: list[Attempt] = field(default_factory=list)
    """What runs although nobody wants it."""
    missing: dict[Attempt, float] = field(default_factory=dict)
    """What should be there and is not seen, and since when (loop time)."""
    untold: dict[Attempt, float] = field(default_factory=dict)
    """Of what the backend did not tell how it is, and since when (loop time)."""
    unresumed: set[Attempt] = field(default_factory=set)
    """Of what nothing has been known since this core began."""
    remnants: set[str] = field(default_factory=set)
    """Executions that do not live and of which the backend still keeps something."""

    @property
    def dead(self) -> set[str]:
        """Executions that do not live, and yet are there."""
        return self.remnants | {execution_id for execution_id, _, _ in self.orphans}

    def services(self, execution_id: str) -> tuple[str, ...]:
        """What runs of it although nobody wants it."""
        return tuple(sorted(service for own, service, _ in self.orphans if own == execution_id))

    def without(self, left_alone: Collection[str]) -> Findings:
        orphans = [orphan for orphan in self.orphans if orphan[0] not in left_alone]
        return replace(self, orphans=orphans, remnants=self.remnants.difference(left_alone))


def compare(
    executions: Mapping[str, Execution],
    observation: Observation,
    doings: Doings,
    *,
    looked_at: float,
    before: Findings | None = None,
) -> Findings:
    """Say what happened; ``looked_at`` is the loop time at which the look began.

    ``before``: what followed from the look before; None: this is the first one of this core.
    """
    findings, earlier = Findings(), before or Findings()
    seen = {(item.execution_id, item.service, item.attempt): item for item in observation.services}
    for execution in executions.values():
        for service in (each for each in execution.services.values() if each.state in ALIVE):
            attempt = (execution.id, service.name, service.attempt)
            item, is_new = seen.get(attempt), before is None or attempt in earlier.unresumed
            if _is_left_out(execution, service, item, observation):
                _leave_out(findings, service, attempt, observation, looked_at, earlier)
                findings.unresumed |= {attempt} if is_new else set()
            elif not _is_given_up(findings, execution, service, observation):
                _judge(findings, execution, service, item, doings, looked_at, earlier.missing)
                if is_new and (item is None or item.state is not SeenState.EXITED):
                    _resume(findings, execution, service)
    for item in observation.services:
        _find_orphan(findings, executions.get(item.execution_id), item, doings)
    for execution_id in observation.kept - executions.keys() - observation.unreachable.keys():
        _find_remnant(findings, execution_id, doings, looked_at)
    return findings


def _is_left_out(execution: Execution, service: Service, item: Seen | None, observation: Observation) -> bool:
    """Whether nothing is known of it now; what its site has given up is not waited for."""
    is_over = service.node in observation.lost or (bool(service.handle) and execution.id in observation.expired)
    is_told = service.node not in observation.unreachable and (
        item is not None or execution.id not in observation.unreachable
    )
    return not is_told and not is_over


def _leave_out(
    findings: Findings,
    service: Service,
    attempt: Attempt,
    observation: Observation,
    looked_at: float,
    earlier: Findings,
) -> None:
    """It may be there; where its machine answers and says for long nothing of it, that is told."""
    why = observation.unreachable.get(attempt[0])
    if why is None:
        return
    since = findings.untold[attempt] = earlier.untold.get(attempt, looked_at)
    reason = Reason(UNTOLD, f"it is not known how {service.name} is: {why}", {"service": service.name})
    if looked_at - since >= UNTOLD_S and service.reason != reason:
        findings.events.setdefault(attempt[0], []).append(ServiceTroubled(service.name, service.attempt, reason))


def _is_given_up(findings: Findings, execution: Execution, service: Service, observation: Observation) -> bool:
    """Whether it has ended, or counts as if it had, since its backend or its machine are done with it."""
    if service.handle and execution.id in observation.expired:
        _expire(findings, execution, service, observation.expired[execution.id])
    elif service.node in observation.lost:
        _give_up(findings, execution, service, observation.lost[service.node])
    else:
        return False
    return True


def _expire(findings: Findings, execution: Execution, service: Service, why: str) -> None:
    """Its backend has ended it, and nobody can tell how. What is started anew since has no handle yet."""
    reason = Reason("expired", f"ended since {why}", {"service": service.name})
    findings.events.setdefault(execution.id, []).append(ServiceExited(service.name, service.attempt, None, reason))


def _give_up(findings: Findings, execution: Execution, service: Service, why: str) -> None:
    """Its machine is lost. Whoever may go on elsewhere does, and who is to end has ended; should the machine come back, what ran there is an orphan."""
    if _is_waited_for(execution):
        return
    reason = Reason(
        "lost", f"its machine {service.node} is lost: {why}", {"service": service.name, "node": service.node}
    )
    findings.events.setdefault(execution.id, []).append(
        ServiceExited(service.name, service.attempt, None, reason, is_blameless=True)
    )


def _is_waited_for(execution: Execution) -> bool:
    """Whether nothing of it may run twice, wherever it is; who is to end for good is not wanted any more."""
    return execution.application.on_lost is OnLost.WAIT and execution.target.goal is not Goal.STOP


def _judge(
    findings: Findings,
    execution: Execution,
    service: Service,
    item: Seen | None,
    doings: Doings,
    looked_at: float,
    missing: Mapping[Attempt, float],
) -> None:
    if item is not None:
        is_kept = item.may_run and _is_waited_for(execution)
        events = list(_kept(service, item) if is_kept else _seen(service, item))
        if events:
            findings.events.setdefault(execution.id, []).extend(events)
        return
    if doings.is_busy(execution.id, service.name) or doings.was_confirmed_after(
        execution.id, service.name, service.attempt, looked_at
    ):
        return
    if service.state is ServiceState.STARTING and not service.handle:
        findings.again.setdefault(execution.id, []).append(Launch(service.name, service.attempt))
        return
    is_expected = service.state in (ServiceState.STOPPING, ServiceState.DRAINING)
    attempt = (execution.id, service.name, service.attempt)
    since = missing.get(attempt, looked_at)
    if not is_expected and looked_at - since < BELIEVED_S:
        findings.missing[attempt] = since
        return
    reason = (
        None
        if is_expected
        else Reason(
            "lost",
            f"{service.name} vanished: its machine was restarted, or somebody removed it",
            {"service": service.name},
        )
    )
    findings.events.setdefault(execution.id, []).append(
        ServiceExited(service.name, service.attempt, None, reason, is_blameless=True)
    )


def _resume(findings: Findings, execution: Execution, service: Service) -> None:
    """What an earlier core had begun and may not have done: asking twice does no harm."""
    process = execution.application.process(service.process)
    if service.state is ServiceState.STOPPING:
        findings.again.setdefault(execution.id, []).append(Stop(service.name, service.attempt, process.grace_s))
    elif service.state is ServiceState.DRAINING and process.drain is not None:
        findings.again.setdefault(execution.id, []).append(
            Drain(service.name, service.attempt, process.drain.timeout_s)
        )


def _kept(service: Service, item: Seen) -> Iterator[Event]:
    """It may still run where nobody can tell: it has not ended."""
    if item.reason is not None and item.reason != service.reason:
        yield ServiceTroubled(service.name, service.attempt, item.reason)


def _seen(service: Service, item: Seen) -> Iterator[Event]:
    if item.handle and (not service.handle or (item.image and not service.image)):
        yield ServiceLaunched(
            service.name, service.attempt, item.handle, host=item.host, ports=item.ports, image=item.image
        )
    if item.state is SeenState.EXITED:
        yield ServiceExited(service.name, service.attempt, item.exit_code, item.reason, is_blameless=item.is_blameless)
    elif item.state is SeenState.READY and service.state is ServiceState.STARTING:
        yield ServiceReady(service.name, service.attempt)
    if item.state is not SeenState.EXITED and item.reason is not None and item.reason != service.reason:
        yield ServiceTroubled(service.name, service.attempt, item.reason)
    elif item.state is not SeenState.EXITED and _is_over(service, item):
        yield ServiceTroubled(service.name, service.attempt, None)


def _is_over(service: Service, item: Seen) -> bool:
    """Whether its backend says no more what it said of it."""
    if item.reason is not None or service.reason is None:
        return False
    is_launched = item.state is SeenState.STARTING and bool(service.handle)
    return service.reason.code == UNTOLD or (is_launched and service.reason.code in HINDRANCES)


def _find_orphan(findings: Findings, execution: Execution | None, item: Seen, doings: Doings) -> None:
    if item.state is SeenState.EXITED:
        return
    service = execution.services.get(item.service) if execution else None
    is_older = service is not None and item.attempt < service.attempt
    if not is_older and doings.is_busy(item.execution_id, item.service):
        return
    is_current = service is not None and service.attempt == item.attempt and service.state in ALIVE
    if not is_current and not (execution and _is_ahead(execution, service, item)):
        findings.orphans.append((item.execution_id, item.service, item.attempt))


def _find_remnant(findings: Findings, execution_id: str, doings: Doings, looked_at: float) -> None:
    if not doings.is_busy(execution_id, "") and not doings.was_cleaned_after(execution_id, looked_at):
        findings.remnants.add(execution_id)


def _is_ahead(execution: Execution, service: Service | None, item: Seen) -> bool:
    """Whether the store never came so far, since it was restored from a backup; its next attempts will come upon this one."""
    used = execution.spent_attempts.get(item.service, 0)
    if service is not None:
        used = max(used, service.attempt - (service.state is ServiceState.WAITING))
    return item.attempt > used
