"""The core's numbers as Prometheus text. No labels by user or execution: their number must stay bounded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from zoe_jupyter.engine import views
from zoe_jupyter.model.execution import Execution, State
from zoe_jupyter.model.resources import Resources


def text(executions: Iterable[Execution], *, last_seq: int, leases: int, is_reachable: bool) -> bytes:
    """What lives, what is reserved, and how far the event log is."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest

    registry = CollectorRegistry()
    alive = list(executions)
    states = Counter(execution.state for execution in alive)
    by_state = Gauge("zoe_executions", "Executions that have not ended, by state.", ["state"], registry=registry)
    for state in State:
        if state is not State.ENDED:
            by_state.labels(state.value).set(states[state])
    services = Gauge(
        "zoe_services", "Services of executions that have not ended, by state.", ["state"], registry=registry
    )
    for name, count in Counter(s.state.value for e in alive for s in e.services.values()).items():
        services.labels(name).set(count)
    reserved = sum((views.reserved(execution) for execution in alive), Resources())
    Gauge("zoe_reserved_cores", "CPU cores reserved.", registry=registry).set(reserved.microcores / 1e6)
    Gauge("zoe_reserved_memory_bytes", "Memory reserved.", registry=registry).set(reserved.memory_bytes)
    Gauge("zoe_leases", "Leases of notebooks and servers.", registry=registry).set(leases)
    Gauge("zoe_events_last_seq", "Number of the newest event.", registry=registry).set(last_seq)
    Gauge("zoe_backend_reachable", "1 while the backend answers.", registry=registry).set(int(is_reachable))
    return bytes(generate_latest(registry))
