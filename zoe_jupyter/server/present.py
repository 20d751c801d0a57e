"""The records of the model as the bodies of the REST interface."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoe_jupyter.engine.door import Caller, Check, CoreDoor, NodeUse, QuotaUse, Sample, Waiting, is_trusted
from zoe_jupyter.engine.views import main_service
from zoe_jupyter.lifecycle import titles
from zoe_jupyter.lifecycle.story import addressed, progress
from zoe_jupyter.model.application import Port
from zoe_jupyter.model.execution import Execution, Lease, LogEvent, Reason, Service, ServiceState, State, Story
from zoe_jupyter.model.quota import Limit
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.server.api import ApiRequest
from zoe_jupyter.server.queue_schemas import LimitBody, QuotaBody
from zoe_jupyter.server.schemas import (
    AmountBody,
    CheckBody,
    DemandBody,
    EndpointBody,
    EntryBody,
    EntryDetailBody,
    EventBody,
    ExecutionBody,
    LeaseBody,
    LifetimeBody,
    NodeBody,
    QueueBody,
    ReasonBody,
    SampleBody,
    ScaleBody,
    ServiceBody,
    StoryBody,
    TargetBody,
    WaitingBody,
)

MASK = "***"
SECRET_NAME = re.compile(r"passw(or)?d|passphrase|secret|token|credential|api_?key|private_?key", re.IGNORECASE)
ANSWERING = frozenset({ServiceState.RUNNING, ServiceState.DRAINING})


def execution_body(request: ApiRequest, execution: Execution, *, story: Sequence[Story] = ()) -> ExecutionBody:
    """One execution as the API tells it to the caller; secret parameters are masked."""
    return replace(_execution_body(request, execution, story), demands=demand_bodies(execution))


def execution_bodies(request: ApiRequest, executions: Iterable[Execution]) -> list[ExecutionBody]:
    return [_execution_body(request, execution, ()) for execution in executions]


def _execution_body(request: ApiRequest, execution: Execution, story: Sequence[Story]) -> ExecutionBody:
    core = request.core
    if execution.reason is not None:
        execution = replace(execution, reason=addressed(execution.reason, request.caller.name))
    return ExecutionBody(
        id=execution.id,
        name=execution.name,
        title=execution.application.title,
        entry=execution.entry,
        owner=execution.owner,
        state=execution.state.value,
        outcome=execution.outcome.value if execution.outcome else None,
        reason=reason_body(execution.reason),
        target=TargetBody(goal=execution.target.goal.value, elastic=dict(execution.target.elastic)),
        parameters=masked(execution.parameters, execution.application.secret_parameters if execution.entry else None),
        services=[service_body(service) for service in execution.services.values()],
        endpoints=endpoint_bodies(execution, request.caller),
        connections=[connection.name for connection in execution.application.connections],
        queue=_queue_body(core.waiting(execution.id)),
        lifetime=_lifetime_body(execution, core),
        labels=dict(execution.labels),
        parent=execution.parent,
        created_at=execution.created_at,
        started_at=execution.started_at,
        ended_at=execution.ended_at,
        progress=_progress(execution, core.trouble()),
        scalable=scale_bodies(execution),
        leases=len(core.leases(execution.id)),
        notebook=execution.client.notebook,
        priority=execution.priority_class,
        priority_number=execution.priority,
        estimate_s=execution.estimate_s,
        is_assumed=execution.is_assumed,
        begins_at=execution.not_before or None,
        done_s=execution.done_s,
        main_service=main_service(execution),
        story=[StoryBody(line.at, line.text) for line in story],
    )


def _progress(execution: Execution, trouble: Reason | None) -> str:
    """With what holds up what is under way."""
    is_under_way = execution.state in (State.SUBMITTED, State.QUEUED, State.STARTING, State.STOPPING)
    return progress(execution) + (f"; {trouble.text}" if trouble and is_under_way else "")


def reason_body(reason: Reason | None) -> ReasonBody | None:
    return _told(reason) if reason else None


def _told(reason: Reason) -> ReasonBody:
    """Without the id of the execution that is first in the queue, which may be somebody else's."""
    return ReasonBody(
        reason.code, reason.text, {name: value for name, value in reason.numbers.items() if name != "first"}
    )


def service_body(service: Service) -> ServiceBody:
    return ServiceBody(
        name=service.name,
        process=service.process,
        node=service.node,
        state=service.state.value,
        attempt=service.attempt,
        is_core=service.is_core,
        exit_code=service.exit_code,
        reason=reason_body(service.reason),
        image=service.image,
    )


def endpoint_bodies(execution: Execution, caller: Caller) -> list[EndpointBody]:
    """The pages that people may open now: http ports with a title of services that answer. Names are those of ``CoreDoor.endpoints``."""
    found: dict[str, EndpointBody] = {}
    for service in sorted(execution.services.values(), key=lambda one: (one.process, len(one.name), one.name)):
        for name, port in _pages(execution, service):
            short = f"{service.process}.{name}"
            is_first = short not in found
            full = short if is_first else f"{service.name}.{name}"
            found[full] = EndpointBody(
                name=full,
                title=port.title if is_first else f"{port.title} ({service.name})",
                url=f"zoe/at/{execution.id}/{full}/{port.path.lstrip('/')}",
                is_trusted=is_trusted(execution, caller),
            )
    return list(found.values())


def _pages(execution: Execution, service: Service) -> Iterator[tuple[str, Port]]:
    if service.state in ANSWERING:
        for name, port in execution.application.process(service.process).ports.items():
            if port.protocol == "http" and port.title and name in service.ports:
                yield name, port


def scale_bodies(execution: Execution) -> list[ScaleBody]:
    """The processes whose number of services the user may change."""
    return [
        ScaleBody(
            process=process.name,
            current=sum(
                1
                for service in execution.services.values()
                if service.process == process.name and service.state in ANSWERING
            ),
            wanted=process.core + execution.target.elastic.get(process.name, process.elastic),
            minimum=process.core,
            maximum=process.core + process.elastic_limit,
            title=titles.of_process(execution.application, process.name),
        )
        for process in execution.application.processes
        if process.elastic_limit > 0
    ]


def demand_bodies(execution: Execution) -> list[DemandBody]:
    """What it asks for, whatever of it is done already."""
    return [
        DemandBody(
            process=process.name,
            core=process.core,
            elastic=execution.target.elastic.get(process.name, process.elastic),
            cores=process.resources.microcores / 1_000_000,
            memory_bytes=process.resources.memory_bytes,
            gpus=process.resources.gpus,
        )
        for process in execution.application.processes
    ]


def _queue_body(waiting: Waiting | None) -> QueueBody | None:
    if waiting is None:
        return None
    return QueueBody(waiting.position, _told(waiting.reason), _detail(waiting.reason), _starts_at(waiting.reason))


def _detail(reason: Reason) -> list[ReasonBody]:
    return [_told(one) for one in reason.also]


def _starts_at(reason: Reason) -> float | None:
    at = reason.numbers.get("expected_start")
    return None if at is None else float(at)


def _lifetime_body(execution: Execution, core: CoreDoor) -> LifetimeBody:
    lifetime = core.lifetime_of(execution)
    return LifetimeBody(
        after_s=lifetime.after_s,
        idle_s=lifetime.idle_s,
        together_with=lifetime.together_with.value if lifetime.together_with else None,
        grace_s=lifetime.grace_s,
        ends_at=core.ends_at(execution),
    )


def masked(parameters: Mapping[str, Any], hidden: Collection[str] | None) -> dict[str, Any]:
    """Parameters with secret values hidden; where nobody said which they are (None), names that sound secret are taken for secret."""
    if hidden is None:
        return {name: _masked_by_name(name, value) for name, value in parameters.items()}
    return {name: MASK if name in hidden and value not in (None, "") else value for name, value in parameters.items()}


def _masked_by_name(name: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {inner: _masked_by_name(inner, one) for inner, one in value.items()}
    return MASK if SECRET_NAME.search(name) and value not in (None, "") else value


def amount_body(resources: Resources) -> AmountBody:
    return AmountBody(cores=resources.microcores / 1_000_000, memory_bytes=resources.memory_bytes, gpus=resources.gpus)


def check_body(check: Check) -> CheckBody:
    return CheckBody(
        application=dict(check.application),
        core=amount_body(check.core),
        elastic=amount_body(check.elastic),
        fits_now=check.fits_now,
        nodes=list(check.nodes),
        reason=reason_body(check.reason),
        problems=list(check.problems),
        environment=dict(check.environment),
    )


def entry_body(entry: Any) -> EntryBody:
    return EntryBody(
        name=entry.name,
        kind=entry.kind,
        title=entry.title,
        summary=entry.summary,
        version=entry.version,
        tags=list(entry.tags),
        audience=entry.audience,
        source=str(entry.source),
        connections=list(entry.connections),
        is_runnable=entry.is_runnable,
        lacks=list(entry.lacks),
        has_logo=entry.logo is not None,
    )


def entry_detail_body(entry: Any) -> EntryDetailBody:
    return EntryDetailBody(entry=entry_body(entry), form=dict(entry.form), readme=entry.readme)


def lease_body(lease: Lease) -> LeaseBody:
    renew_s = lease.ttl_s / 3 if lease.expires_at is not None and lease.ttl_s else None
    return LeaseBody(
        id=lease.id, execution_id=lease.execution_id, kind=lease.kind, expires_at=lease.expires_at, renew_s=renew_s
    )


def event_body(event: LogEvent) -> EventBody:
    return EventBody(
        seq=event.seq, at=event.at, kind=event.kind, execution_id=event.execution_id, data=dict(event.data)
    )


def sample_body(sample: Sample) -> SampleBody:
    usage = sample.usage
    return SampleBody(at=sample.at, service=usage.service, cpu_cores=usage.cpu_cores, memory_bytes=usage.memory_bytes)


def node_body(use: NodeUse) -> NodeBody:
    return NodeBody(
        name=use.node.name,
        capacity=amount_body(use.node.capacity),
        reserved=amount_body(use.reserved),
        services=use.services,
        is_enabled=use.node.is_enabled,
        drains_at=use.drains_at,
        cores=use.node.microcores / 1_000_000 or None,
        about=use.node.about,
    )


def waiting_body(waiting: Waiting, execution: Execution) -> WaitingBody:
    return WaitingBody(
        execution_id=waiting.execution_id,
        name=execution.name,
        position=waiting.position,
        reason=_told(waiting.reason),
        owner=execution.owner,
        priority=execution.priority_class,
        detail=_detail(waiting.reason),
        starts_at=_starts_at(waiting.reason),
    )


def quota_body(use: QuotaUse) -> QuotaBody:
    return QuotaBody(
        owner=use.owner,
        group=use.group,
        is_own=use.is_own,
        share=None if use.quota.share is None else _limit_body(use.quota.share),
        limit=_limit_body(use.quota.limit),
        executions=use.executions,
        held=amount_body(use.held),
    )


def _limit_body(limit: Limit) -> LimitBody:
    return LimitBody(
        executions=limit.executions,
        cores=None if limit.microcores is None else limit.microcores / 1e6,
        memory_bytes=limit.memory_bytes,
        gpus=limit.gpus,
        run_s=limit.run_s,
    )
