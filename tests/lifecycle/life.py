"""Drives one execution through events, checks it after each, and remembers what followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from zoe_jupyter.lifecycle.effects import Clean, Drain, Effect, Force, Launch, Record, Stop
from zoe_jupyter.lifecycle.events import Accepted, Event, Placed, ServiceExited, ServiceLaunched, ServiceReady
from zoe_jupyter.lifecycle.invariants import validate
from zoe_jupyter.lifecycle.step import step
from zoe_jupyter.model.application import Application, Lifetime, Process, Restart, RestartWhen
from zoe_jupyter.model.application import Drain as DrainRule
from zoe_jupyter.model.execution import Execution, LogEvent, Reason, Service, State

START = 1000.0
HEAD, WORKER = "spark.head", "spark.worker"
OOM = Reason("out_of_memory", "out of memory: used 2.1 GiB of 2 GiB", {"used_bytes": 2_254_857_830})
THREE_TRIES = Restart()
FOR_EVER = Lifetime()
LOST = Reason("lost", "its machine was restarted")


def process(name: str, **fields: object) -> Process:
    return Process(name, name.partition(".")[0], ("run",), **fields)  # type: ignore[arg-type]


def cluster(
    *, elastic: int = 1, drain: bool = True, restart: Restart = THREE_TRIES, head: Restart = THREE_TRIES
) -> Application:
    """A head, and workers that come after it."""
    rule = DrainRule(("drain",), timeout_s=30.0) if drain else None
    processes = (
        process(HEAD, restart=head, grace_s=5.0),
        process(WORKER, core=1, elastic=elastic, after=(HEAD,), drain=rule, restart=restart, elastic_limit=8),
    )
    return Application("spark", "Spark", processes, {})


def job(*, tasks: int = 1, elastic: int = 0, when: RestartWhen = RestartWhen.NEVER) -> Application:
    main = process("job.main", core=tasks, elastic=elastic, restart=Restart(when=when, attempts=1, delay_s=1.0))
    return Application("job", "Job", (main,), {}, ends_with="job.main")


@dataclass
class Life:
    """An execution, the clock, and all that followed so far."""

    execution: Execution
    now: float = START
    effects: tuple[Effect, ...] = ()
    """Of the last event."""
    log: list[LogEvent] = field(default_factory=list)
    launches: list[tuple[str, int]] = field(default_factory=list)

    @classmethod
    def of(cls, application: Application | None = None, **fields: object) -> Life:
        return cls(Execution("x1", "mine", "alice", application or cluster(), created_at=START, **fields))  # type: ignore[arg-type]

    @classmethod
    def placed(cls, application: Application | None = None, **fields: object) -> Life:
        """Queued, and given room for everything on one node."""
        life = cls.of(application, **fields)
        return life.happens(Accepted(), life.room())

    @classmethod
    def running(
        cls, application: Application | None = None, *, lifetime: Lifetime = FOR_EVER, **fields: object
    ) -> Life:
        """All of it is ready."""
        return cls.placed(application, lifetime=lifetime, **fields).all_ready()

    def room(self, *, elastic: Mapping[str, int] | None = None, node: str = "n1") -> Placed:
        processes = self.execution.application.processes
        core = {p.name: {node: p.core} for p in processes if p.core}
        wanted = {p.name: p.elastic for p in processes if p.elastic} if elastic is None else elastic
        return Placed(core, {name: {node: count} for name, count in wanted.items()})

    def happens(self, *events: Event) -> Life:
        for event in events:
            before = self.execution
            self.execution, self.effects = step(before, event, self.now)
            assert validate(self.execution) == [], event
            for effect in self.effects:
                self._remember(effect)
        return self

    def _remember(self, effect: Effect) -> None:
        if isinstance(effect, Record):
            reason = effect.reason and asdict(effect.reason)
            data = {**effect.data, "reason": reason} if reason else effect.data
            self.log.append(LogEvent(len(self.log) + 1, self.now, effect.kind, "x1", "alice", data))
        elif isinstance(effect, Launch):
            assert (effect.service, effect.attempt) not in self.launches, "launched twice"
            self.launches.append((effect.service, effect.attempt))

    def later(self, seconds: float, *events: Event) -> Life:
        self.now += seconds
        return self.happens(*events)

    def all_ready(self) -> Life:
        """Every service that starts becomes ready, and those that come after it."""
        while names := [s.name for s in self.execution.services.values() if s.state.value == "starting"]:
            for name in names:
                self.launched(name).ready(name)
        return self

    def launched(self, name: str) -> Life:
        handle = {"pid": 100 + self[name].attempt}
        return self.happens(ServiceLaunched(name, self[name].attempt, handle, host="127.0.0.1", ports={"rpc": 7077}))

    def ready(self, name: str) -> Life:
        return self.happens(ServiceReady(name, self[name].attempt))

    def exits(
        self, name: str, code: int | None = 1, reason: Reason | None = None, *, is_blameless: bool = False
    ) -> Life:
        return self.happens(ServiceExited(name, self[name].attempt, code, reason, is_blameless))

    def all_exit(self, code: int | None = 0) -> Life:
        for service in list(self.execution.services.values()):
            if service.state.value in ("starting", "running", "draining", "stopping"):
                self.exits(service.name, code)
        return self

    def lives_with(self, lifetime: Lifetime) -> Life:
        self.execution = replace(self.execution, lifetime=lifetime)
        return self

    def __getitem__(self, name: str) -> Service:
        return self.execution.services[name]

    @property
    def state(self) -> State:
        return self.execution.state

    @property
    def services(self) -> dict[str, str]:
        return {name: service.state.value for name, service in self.execution.services.items()}

    @property
    def actions(self) -> list[Effect]:
        return [effect for effect in self.effects if isinstance(effect, (Launch, Drain, Stop, Force, Clean))]

    @property
    def kinds(self) -> list[str]:
        return [effect.kind for effect in self.effects if isinstance(effect, Record)]
