"""One step in the making: the execution as it is so far, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from zoe_jupyter.lifecycle.effects import Effect, Record
from zoe_jupyter.model.application import Process
from zoe_jupyter.model.execution import Execution, Goal, Outcome, Reason, Service, ServiceState, State


class Draft:
    """Collects the changes and effects of one event; records come out first, in the order of happening, then the actions."""

    def __init__(self, execution: Execution, now: float) -> None:
        self._before = execution
        self._services = dict(execution.services)
        self._records: list[Effect] = []
        self._actions: list[Effect] = []
        self.execution = execution
        self.now = now

    @property
    def services(self) -> tuple[Service, ...]:
        """A copy, so that they may be changed while they are walked through."""
        return tuple(self._services.values())

    def process_of(self, service: Service) -> Process:
        return self.execution.application.process(service.process)

    def attempt(self, name: str, attempt: int) -> Service | None:
        """The service, if that attempt is its current one."""
        service = self._services.get(name)
        return service if service is not None and service.attempt == attempt else None

    def change(self, **fields: Any) -> None:
        self.execution = replace(self.execution, **fields)

    def aim(
        self, goal: Goal, *, outcome: Outcome | None = None, reason: Reason | None = None, generation: int | None = None
    ) -> None:
        """Change what is wanted; how many elastic services are wanted stays."""
        target = self.execution.target
        generation = target.generation if generation is None else generation
        self.change(target=replace(target, goal=goal, outcome=outcome, reason=reason, generation=generation))

    def enter(self, state: State, *, reason: Reason | None = None, **data: Any) -> None:
        """Change the state and record it; only what runs can be idle."""
        idle_since = self.execution.idle_since if state is State.RUNNING else None
        self.change(state=state, reason=reason, idle_since=idle_since)
        self.record(f"execution.{state.value}", data, reason)

    def put(self, service: Service, **changes: Any) -> Service:
        """Store the service with these changes."""
        changed = replace(service, **changes)
        self._services[service.name] = changed
        return changed

    def remove(self, service: Service) -> None:
        """Forget the service, but not which attempts it used."""
        del self._services[service.name]
        was_launched = service.state is not ServiceState.WAITING
        last = service.attempt if was_launched else service.attempt - 1
        if last:
            self.change(spent_attempts={**self.execution.spent_attempts, service.name: last})

    def record(self, kind: str, data: dict[str, Any], reason: Reason | None = None) -> None:
        self._records.append(Record(kind, data, reason))

    def record_service(self, what: str, service: Service, *, reason: Reason | None = None, **data: Any) -> None:
        facts = {"service": service.name, "attempt": service.attempt, "node": service.node, **data}
        self.record(f"service.{what}", facts, reason)

    def act(self, effect: Effect) -> None:
        self._actions.append(effect)

    def done(self) -> tuple[Execution, tuple[Effect, ...]]:
        """What came of it; the very same execution when nothing changed."""
        if self._services != self._before.services:
            self.change(services=self._services)
        return self.execution, (*self._records, *self._actions)
