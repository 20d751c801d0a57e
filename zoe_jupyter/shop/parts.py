"""One framework's part of an application: its description and its filled parameters become processes, connections, secrets.

What is known at submit (counts, resources, times, images) is filled and held to its type here. What is rendered at launch
(commands, environment, files, probes, drains, connections, headers) stays as it was written, so that nothing is evaluated twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoe_jupyter.model.application import ConnectionTemplate, Drain, Health, Port, Probe, Process, Restart, RestartWhen
from zoe_jupyter.model.description import (
    CountDescription,
    FrameworkDescription,
    HealthDescription,
    PortDescription,
    ProcessDescription,
    ReadyDescription,
    ResourcesDescription,
)
from zoe_jupyter.model.images import default_image
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.shop.catalogue import Entry
from zoe_jupyter.shop.descriptions import process_for
from zoe_jupyter.shop.filling import MAX_COUNT, MAX_GPUS, Filler
from zoe_jupyter.shop.problems import Findings, Path
from zoe_jupyter.shop.templates import is_template, named

DEFAULT_LIMIT = 64
_LEAST_PAUSE_S, _LEAST_TIMEOUT_S = 1.0, 0.1
"""Of questions whether a service works: each is work for it."""


@dataclass(frozen=True)
class Part:
    """A framework in an application."""

    alias: str
    entry: Entry
    framework: FrameworkDescription
    parameters: Mapping[str, Any]
    findings: Findings
    """For the framework's own document."""
    accepts: dict[str, tuple[str, str]] = field(default_factory=dict)
    """``{accepted name: (alias, provided name)}``"""
    deciding: Mapping[str, str] = field(default_factory=dict)
    """``{parameter of the framework: parameter of the form that it follows}``"""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Short names of its secrets."""
        provided = [secret for values in self.framework.provides.values() for secret in values.get("secret", ())]
        return tuple(dict.fromkeys((*self.framework.secrets, *self.framework.certificates, *provided)))


def processes_of(part: Part, *, backend: str, user: Mapping[str, Any], before: tuple[str, ...]) -> list[Process]:
    """Its processes with full names; ``before``: full names of processes of others that come first."""
    filler = Filler({"parameters": part.parameters, "user": user}, part.findings)
    trees = part.entry.document.tree["processes"]
    wanted = wanted_outside(part.framework)
    made = []
    for name, tree in trees.items():
        process = process_for(tree, backend, part.findings, ("processes", name))
        if process is not None:
            made.append(_process(part, name, process, filler, before=before, wanted=wanted))
    return made


def connections_of(part: Part, names: Mapping[tuple[str, str], str]) -> list[ConnectionTemplate]:
    """What it provides; ``names``: (alias, provided name) to the connection's name in the application."""
    made = []
    for provided, values in part.framework.provides.items():
        made.append(
            ConnectionTemplate(
                name=names[part.alias, provided],
                framework=part.alias,
                kind=str(values.get("kind", provided)),
                values={key: value for key, value in values.items() if key not in ("kind", "secret")},
                secrets=tuple(values.get("secret", ())),
            )
        )
    return made


def _process(
    part: Part,
    name: str,
    process: ProcessDescription,
    filler: Filler,
    *,
    before: tuple[str, ...],
    wanted: Collection[tuple[str, str]],
) -> Process:
    path: Path = ("processes", name)
    core, elastic, limit = _counts(process.count, part, filler, (*path, "count"))
    return Process(
        name=f"{part.alias}.{name}",
        framework=part.alias,
        command=process.command,
        title=process.title,
        core=core,
        elastic=elastic,
        elastic_limit=limit,
        resources=_resources(process.resources, filler, (*path, "resources")),
        decided_by=_decided_by(process.resources, part.deciding),
        environment=dict(process.environment),
        files=dict(process.files),
        ports={
            port: _port(p, is_published=bool({(name, port), (name, ""), ("", ""), ("", port)} & set(wanted)))
            for port, p in process.ports.items()
        },
        ready=_probe(process.ready, filler, (*path, "ready")),
        health=_health(process.health, filler, (*path, "health")),
        after=(*(f"{part.alias}.{other}" for other in process.after), *before),
        restart=_restart(process, filler, (*path, "restart")),
        drain=_drain(process, filler, (*path, "drain")),
        grace_s=filler.seconds(process.stop.grace_s, (*path, "stop", "grace_s")),
        image=filler.text(process.image, (*path, "image"))
        or default_image(part.framework.name, part.framework.version),
        labels={
            key: filler.text(value, (*path, "place", "labels", key)) for key, value in process.place.labels.items()
        },
        together=process.place.together,
        folder=process.folder,
    )


def wanted_outside(framework: FrameworkDescription) -> frozenset[tuple[str, str]]:
    """Process and port of the addresses that it provides or is asked at for activity; an empty name stands for any."""
    stack: list[Any] = [dict(framework.provides)]
    found: set[tuple[str, str]] = set()
    while stack:
        value = stack.pop()
        if isinstance(value, Mapping):
            stack.extend(value.values())
        elif isinstance(value, list | tuple):
            stack.extend(value)
        elif is_template(value):
            found |= {_address(trail) for trail in named(value) if trail[0] == "processes" and trail[2:3] != ("host",)}
    if framework.activity is not None:
        process, _, port = framework.activity.http.rpartition(".")
        found.add((process, port))
    return frozenset(found)


def _address(trail: tuple[str, ...]) -> tuple[str, str]:
    """Of ``processes.NAME.ports.PORT``; less than that may mean any of it."""
    process = trail[1] if len(trail) > 1 else ""
    return process, trail[3] if trail[2:3] == ("ports",) and len(trail) > 3 else ""


def _port(port: PortDescription, *, is_published: bool) -> Port:
    is_page = port.protocol == "http" and bool(port.title)
    return Port(port.protocol, port.title, port.path, dict(port.headers), port.keeps_prefix, is_page or is_published)


def _counts(count: CountDescription, part: Part, filler: Filler, path: Path) -> tuple[int, int, int]:
    core = filler.count(count.core, (*path, "core"))
    elastic = filler.count(count.elastic, (*path, "elastic"))
    if count.limit is not None:
        limit = filler.count(count.limit, (*path, "limit"))
    else:
        limit = _limit_of(count.elastic, part, filler)
    return core, elastic, max(limit, elastic)


def _limit_of(elastic: Any, part: Part, filler: Filler) -> int:
    """What ``elastic`` would be with its parameter at its maximum; 0 for a process whose number is fixed."""
    if not isinstance(elastic, str):
        return int(elastic)
    properties = part.framework.parameters.get("properties", {})
    read = [trail[1] for trail in named(elastic) if len(trail) == 2 and trail[0] == "parameters"]
    largest = {
        name: properties[name]["maximum"] for name in read if name in properties and "maximum" in properties[name]
    }
    if not largest:
        return DEFAULT_LIMIT
    trial = Filler({**filler.context, "parameters": {**part.parameters, **largest}}, Findings())
    return min(trial.count(elastic, ()), MAX_COUNT)


def _resources(resources: ResourcesDescription, filler: Filler, path: Path) -> Resources:
    return Resources(
        microcores=filler.cores(resources.cores, (*path, "cores")),
        memory_bytes=filler.memory(resources.memory, (*path, "memory")),
        gpus=filler.count(resources.gpu, (*path, "gpu"), maximum=MAX_GPUS),
    )


def _decided_by(resources: ResourcesDescription, deciding: Mapping[str, str]) -> dict[str, str]:
    written = {"cores": resources.cores, "memory": resources.memory, "gpu": resources.gpu}
    found = {resource: deciding.get(only_parameter(value)) for resource, value in written.items()}
    return {resource: parameter for resource, parameter in found.items() if parameter}


def only_parameter(value: Any) -> str:
    """The parameter that a template reads, if it reads one and nothing else; else nothing."""
    trails = named(value) if is_template(value) else frozenset()
    parameters = {trail[1] for trail in trails if trail[0] == "parameters" and len(trail) > 1}
    return parameters.pop() if len(parameters) == len(trails) == 1 else ""


def _probe(ready: ReadyDescription | None, filler: Filler, path: Path) -> Probe | None:
    if ready is None:
        return None
    return Probe(ready.tcp, ready.http, ready.log, ready.command, filler.seconds(ready.timeout_s, (*path, "timeout_s")))


def _health(health: HealthDescription | None, filler: Filler, path: Path) -> Health | None:
    if health is None:
        return None
    timeout_s = filler.seconds(health.timeout_s, (*path, "timeout_s"))
    every_s = filler.seconds(health.every_s, (*path, "every_s"))
    for name, seconds, least in (("timeout_s", timeout_s, _LEAST_TIMEOUT_S), ("every_s", every_s, _LEAST_PAUSE_S)):
        if seconds < least:
            filler.findings.add((*path, name), f"{seconds:g} s is too short; at least {least:g} s")
    return Health(
        Probe(health.tcp, health.http, command=health.command, timeout_s=timeout_s),
        every_s=every_s,
        failures=filler.count(health.failures, (*path, "failures"), minimum=1, maximum=1000),
    )


def _restart(process: ProcessDescription, filler: Filler, path: Path) -> Restart:
    return Restart(
        when=RestartWhen(process.restart.when),
        attempts=filler.count(process.restart.attempts, (*path, "attempts"), maximum=1000),
        delay_s=filler.seconds(process.restart.delay_s, (*path, "delay_s")),
    )


def _drain(process: ProcessDescription, filler: Filler, path: Path) -> Drain | None:
    if process.drain is None:
        return None
    return Drain(process.drain.command, filler.seconds(process.drain.timeout_s, (*path, "timeout_s")))
