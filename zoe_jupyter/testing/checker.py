"""What must hold after any fault: compares the store, the event log and the process table. Reads only; asks no server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from zoe_jupyter.lifecycle.invariants import validate
from zoe_jupyter.model.execution import Execution, LogEvent, ServiceState
from zoe_jupyter.store.repository import Store, file_url

ALIVE = frozenset({ServiceState.STARTING, ServiceState.RUNNING, ServiceState.DRAINING, ServiceState.STOPPING})
PAGE = 500


def broken(
    database: Path, processes: Mapping[int, str], launches: Sequence[tuple[str, int]], *, is_idle: bool = False
) -> list[str]:
    """The broken invariants, in words. ``processes``: command by process id; ``launches``: ``<service>#<attempt>`` and process id."""
    store = Store(file_url(database))
    try:
        executions, events = store.live(), list(_events(store))
        everyone = _everyone(store)
    finally:
        store.close()
    return [
        *_legal(everyone),
        *_processes(executions, processes, launches),
        *_log(everyone, events),
        *(_idle(executions, processes) if is_idle else ()),
    ]


def _everyone(store: Store) -> list[Execution]:
    found: list[Execution] = []
    cursor: str | None = None
    while True:
        page, cursor = store.find(limit=PAGE, cursor=cursor)
        found += page
        if cursor is None:
            return found


def _events(store: Store) -> Iterator[LogEvent]:
    since = 0
    while page := store.events(since=since, limit=PAGE):
        yield from page
        since = page[-1].seq


def _legal(executions: Sequence[Execution]) -> Iterator[str]:
    for execution in executions:
        yield from (f"{execution.name}: {problem}" for problem in validate(execution))
        if execution.is_ended and (execution.reason is None or not execution.reason.text):
            yield f"{execution.name} has ended, and nobody says why"


def _processes(
    executions: Sequence[Execution], processes: Mapping[int, str], launches: Sequence[tuple[str, int]]
) -> Iterator[str]:
    wanted = {f"{s.name}#{s.attempt}" for e in executions for s in e.services.values() if s.state in ALIVE}
    shown = {
        f"{s.name}#{s.attempt}" for e in executions for s in e.services.values() if s.state is ServiceState.RUNNING
    }
    alive = {name for name, pid in launches if pid in processes}
    yield from (f"{name} runs, and no living execution has it" for name in sorted(alive - wanted))
    yield from (f"{name} is said to run, and has no process" for name in sorted(shown - alive))


def _log(executions: Sequence[Execution], events: Sequence[LogEvent]) -> Iterator[str]:
    numbers = [event.seq for event in events]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))) if numbers else False:
        yield f"the event log has gaps or repeats: {numbers}"
    submitted = Counter(event.execution_id for event in events if event.kind == "execution.submitted")
    ended = Counter(event.execution_id for event in events if event.kind == "execution.ended")
    for execution in executions:
        if submitted[execution.id] != 1:
            yield f"{execution.name} was submitted {submitted[execution.id]} times by the event log"
        if ended[execution.id] != int(execution.is_ended):
            yield f"{execution.name} is {execution.state.value} and ended {ended[execution.id]} times by the event log"


def _idle(executions: Sequence[Execution], processes: Mapping[int, str]) -> Iterator[str]:
    yield from (f"{execution.name} is {execution.state.value} although all is over" for execution in executions)
    yield from (f"process {pid} is left: {command}" for pid, command in processes.items())
