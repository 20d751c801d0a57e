"""Between the contract's records and what Docker speaks. Pure."""

from __future__ import annotations

import json
import math
import re
import signal
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

from zoe_jupyter.backends.base import Seen, SeenState, ServiceOrder
from zoe_jupyter.backends.containers import places
from zoe_jupyter.backends.containers.images import resolve
from zoe_jupyter.backends.containers.names import Attempt, slug
from zoe_jupyter.backends.docker import entering
from zoe_jupyter.backends.docker.settings import LOOPBACK, ContainerSettings, EngineSettings
from zoe_jupyter.model.application import Health, Probe
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.units import format_bytes

LABEL = "jupyter.zoe."
"""How every label of Zoe's begins."""
HOST = "host"
"""As Docker calls the network of the engine's own machine."""
CPU_PERIOD_US = 100_000
_LEAST_QUOTA_US = 1000
_NOT_STARTED = (126, 127)
_NOT_STARTED_S = 10.0
_LOST_POWER = 255
_SHUT_DOWN_S = 60.0
"""An engine ends all that runs at once, and kills who has not ended after ten seconds; then it is gone, and may be back soon."""
_RESTART_S = 600.0
"""How long it takes with its machine."""
_AWAY_S = {128 + signal.SIGTERM: math.inf, 128 + signal.SIGKILL: math.inf, _LOST_POWER: _RESTART_S}
"""By exit code, how long before an engine's start it may have ended that program: some machines are off over night."""
_FRACTION = re.compile(r"\.(\d+)")


@dataclass(frozen=True, slots=True)
class Container:
    """A container as the engine told of it."""

    id: str
    attempt: Attempt
    is_created: bool
    """It was made and never started."""
    is_running: bool
    exit_code: int
    was_starved: bool
    """The kernel killed one of its processes for memory."""
    started_at: float
    ended_at: float
    host: str
    address: str
    """Its own, in the network of its execution."""
    ports: Mapping[str, int] = field(default_factory=dict)
    published: Mapping[str, int] = field(default_factory=dict)
    probe: Probe | None = None
    check: Health | None = None
    """How it goes on proving that it works, once it is ready."""
    memory_bytes: int = 0
    cpu_quota_us: int = 0
    command: Sequence[str] = ()
    has_variables: bool = False
    """A shell reads them from their file, for it and for what runs beside it."""
    image: str = ""
    image_id: str = ""
    health: str = ""
    """``starting``, ``healthy``, ``unhealthy``: by the image's own check; empty where it has none."""
    stop_signal: str = "SIGTERM"
    owner: str = ""


@dataclass(frozen=True, slots=True)
class Restart:
    """What is known of an engine's last start, by its own clock."""

    began_at: float = 0.0
    """0 where that is not known, or it keeps what runs."""
    up_at: float = 0.0
    """Until when it was certainly up before."""
    silent_s: float = 0.0
    """How long it answered nobody before."""


UNKNOWN = Restart()


def last_start(began_at: float, found: Iterable[Container], *, silent_s: float) -> Restart:
    """Who has ended on that engine tells that it was up then, but for those whom only its start saw to have ended."""
    told = (each.ended_at for each in found if not each.is_running and each.exit_code != _LOST_POWER)
    return Restart(began_at, max((at for at in told if at <= began_at), default=0.0), silent_s)


def network_name(deployment: str, execution_id: str) -> str:
    return slug(f"{deployment}/{execution_id}")


def network_labels(deployment: str, execution_id: str) -> dict[str, str]:
    return {f"{LABEL}deployment": deployment, f"{LABEL}execution": execution_id}


def container_config(
    order: ServiceOrder,
    settings: ContainerSettings,
    engine: EngineSettings,
    *,
    cores: float,
    gpus: Sequence[str] = (),
    mounts: Sequence[Mapping[str, Any]] = (),
    image: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The body of ``POST /containers/create``.

    ``settings`` are those of this service; ``cores``: how many the engine has; ``gpus``: which of its GPUs it gets; ``mounts``: the site's folders;
    ``image``: the ``Config`` of its image, where that is known.
    """
    attempt = attempt_of(order)
    inside, ports = _network(order, settings, engine)
    return {
        "Image": resolve(order.image, settings.image_prefix),
        **(entering.begun(order.command, image) if order.environment else {"Cmd": list(order.command)}),
        "Hostname": attempt.host,
        "User": settings.user,
        "WorkingDir": order.cwd or places.FOLDER,
        "Env": [f"{name}={value}" for name, value in places.environment(replace(order, environment={})).items()],
        "Labels": {**_labels(order, attempt), f"{LABEL}profile": settings.profile, f"{LABEL}gpus": ",".join(gpus)},
        "ExposedPorts": {port: {} for port in ports},
        "HostConfig": {
            **inside,
            "PortBindings": ports,
            "RestartPolicy": {"Name": "no"},
            "Init": True,
            **_limits(order, settings, cores=cores),
            **({"DeviceRequests": [_gpu_request(gpus)]} if gpus else {}),
            **({"Mounts": list(mounts)} if mounts else {}),
            **_security(settings),
        },
        "NetworkingConfig": {
            "EndpointsConfig": {} if settings.has_host_network else {inside["NetworkMode"]: {"Aliases": [attempt.host]}}
        },
    }


def _network(
    order: ServiceOrder, settings: ContainerSettings, engine: EngineSettings
) -> tuple[dict[str, Any], dict[str, list[dict[str, str]]]]:
    """Where it is, and what is published of it: nothing on the machine's own network, where all is there."""
    if settings.has_host_network:
        return {"NetworkMode": HOST, "ExtraHosts": [f"{attempt_of(order).host}:{LOOPBACK}"]}, {}
    numbers = dict(order.port_numbers)
    outside = [numbers[name] for name in places.published(order.ports) if name in numbers]
    binding = {"HostIp": engine.publish_on, "HostPort": ""}
    return {"NetworkMode": network_name(order.deployment, order.execution_id)}, {
        f"{number}/tcp": [binding] for number in outside
    }


def attempt_of(order: ServiceOrder) -> Attempt:
    return Attempt(order.deployment, order.execution_id, order.service, order.attempt)


def _labels(order: ServiceOrder, attempt: Attempt) -> dict[str, str]:
    return {
        f"{LABEL}name": str(attempt),
        f"{LABEL}deployment": order.deployment,
        f"{LABEL}execution": order.execution_id,
        f"{LABEL}service": order.service,
        f"{LABEL}attempt": str(order.attempt),
        f"{LABEL}owner": order.owner,
        f"{LABEL}ports": json.dumps(dict(order.port_numbers), sort_keys=True),
        f"{LABEL}probe": json.dumps(asdict(order.ready)) if order.ready else "",
        f"{LABEL}health": json.dumps(asdict(order.health)) if order.health else "",
    }


def _limits(order: ServiceOrder, settings: ContainerSettings, *, cores: float) -> dict[str, Any]:
    memory = order.resources.memory_bytes
    given = order.resources.microcores / 1_000_000
    return {
        "Memory": memory,
        "MemorySwap": memory,
        "CpuShares": max(2, round(1024 * given)) if given else 0,
        "CpuPeriod": CPU_PERIOD_US,
        "CpuQuota": cpu_quota_us(given if settings.limits_cpu and given else cores),
        "PidsLimit": settings.process_limit,
        "ShmSize": settings.shm_bytes,
        "LogConfig": {
            "Type": "json-file",
            "Config": {"max-size": str(settings.log_limit_bytes), "max-file": str(max(1, settings.log_files))},
        },
    }


def _gpu_request(gpus: Sequence[str]) -> dict[str, Any]:
    """By name: a count would always be met by the first ones."""
    return {"Driver": "", "Count": 0, "DeviceIDs": list(gpus), "Capabilities": [["gpu"]]}


@dataclass(frozen=True, slots=True)
class Holder:
    """A container, of whatever deployment, that has GPUs, or ports of the engine's machine itself."""

    is_running: bool
    made_at: float
    id: str
    gpus: frozenset[str]
    ports: frozenset[int] = frozenset()

    def comes_before(self, other: Holder) -> bool:
        """Whether it keeps what the other has, too: whoever was made first, and who runs where the other does not.

        Both look when they were made and when they were started: who was made first may be seen late, and then gives way to who runs.
        """
        is_both = bool(self.gpus & other.gpus or self.ports & other.ports)
        return is_both and (self.is_older(other) or self.is_running > other.is_running)

    def is_older(self, other: Holder) -> bool:
        return (self.made_at, self.id) < (other.made_at, other.id)


def may_hold(listed: Mapping[str, Any]) -> bool:
    """By an answer of ``GET /containers/json``: whether it may have GPUs, or the machine's own ports. Nobody waits for others that hang.

    One that an earlier Zoe made does not say.
    """
    return bool(listed["Labels"].get(f"{LABEL}gpus", "?")) or listed["HostConfig"].get("NetworkMode") == HOST


def holder(body: Mapping[str, Any]) -> Holder | None:
    """From an answer of ``GET /containers/ID/json``; None for one that has none, or has ended."""
    gpus, ports, state = frozenset(_gpus(body["HostConfig"])), _host_ports(body), body["State"]
    if not (gpus or ports) or not (state["Running"] or state["Status"] == "created"):
        return None
    return Holder(state["Running"], moment(body["Created"]), body["Id"], gpus, ports)


def free_gpus(holders: Iterable[Holder], known: int) -> list[str]:
    """Of an engine's GPUs, by their numbers, those that none of these has."""
    taken = frozenset[str]().union(*(each.gpus for each in holders))
    return [name for name in map(str, range(known)) if name not in taken]


def cpu_quota_us(cores: float) -> int:
    """Microseconds of each period, for ``docker update`` as well."""
    return max(_LEAST_QUOTA_US, round(cores * CPU_PERIOD_US))


def _security(settings: ContainerSettings) -> dict[str, Any]:
    return {
        "Privileged": settings.is_privileged,
        "CgroupnsMode": "private",
        "IpcMode": "private",
        "CapDrop": ["ALL"],
        "CapAdd": list(settings.capabilities),
        "SecurityOpt": [] if settings.gains_privileges else ["no-new-privileges:true"],
    }


def is_named_so(body: Mapping[str, Any]) -> bool:
    """Whether it has the name that its labels give it: then it is Zoe's own."""
    return str(body.get("Name")).lstrip("/") == _attempt(body["Config"]["Labels"]).name


def _attempt(labels: Mapping[str, str]) -> Attempt:
    return Attempt(
        labels[f"{LABEL}deployment"], labels[f"{LABEL}execution"], labels[f"{LABEL}service"], int(labels[f"{LABEL}attempt"])
    )  # fmt: skip


def container(body: Mapping[str, Any]) -> Container:
    """From an answer of ``GET /containers/ID/json``."""
    labels, state, network = body["Config"]["Labels"], body["State"], body.get("NetworkSettings") or {}
    addresses = [each.get("IPAddress", "") for each in (network.get("Networks") or {}).values()]
    ports = json.loads(labels[f"{LABEL}ports"])
    is_on_host = body["HostConfig"].get("NetworkMode") == HOST
    attempt = _attempt(labels)
    return Container(
        id=body["Id"],
        attempt=attempt,
        is_created=state["Status"] == "created",
        is_running=bool(state["Running"]),
        exit_code=int(state["ExitCode"]),
        was_starved=bool(state.get("OOMKilled")),
        started_at=moment(state["StartedAt"]),
        ended_at=moment(state["FinishedAt"]),
        host=attempt.host,
        address=LOOPBACK if is_on_host else next(filter(None, addresses), ""),
        ports=ports,
        published=ports if is_on_host else _published(network.get("Ports") or {}, ports),
        probe=_probe(labels.get(f"{LABEL}probe", "")),
        check=_check(labels.get(f"{LABEL}health", "")),
        memory_bytes=int(body["HostConfig"].get("Memory") or 0),
        cpu_quota_us=int(body["HostConfig"].get("CpuQuota") or 0),
        command=entering.program(body["Config"].get("Cmd") or ()),
        has_variables=entering.has_variables(body["Config"]),
        image=body["Config"]["Image"],
        image_id=body["Image"],
        health=(state.get("Health") or {}).get("Status", ""),
        stop_signal=body["Config"].get("StopSignal") or "SIGTERM",
        owner=labels.get(f"{LABEL}owner", ""),
    )


def _gpus(host: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(name for request in host.get("DeviceRequests") or () for name in request.get("DeviceIDs") or ())


def _host_ports(body: Mapping[str, Any]) -> frozenset[int]:
    if body["HostConfig"].get("NetworkMode") != HOST:
        return frozenset()
    return frozenset(json.loads((body["Config"]["Labels"] or {}).get(f"{LABEL}ports", "{}")).values())


def is_own(labels: Mapping[str, str] | None, deployment: str) -> bool:
    """Whether they are an attempt's of that deployment; others, and images, may bear some of Zoe's."""
    said = {key: (labels or {}).get(f"{LABEL}{key}", "") for key in ("deployment", "execution", "service", "attempt")}
    return said["deployment"] == deployment and all(said.values()) and said["attempt"].isdecimal()


def _published(bound: Mapping[str, Any], ports: Mapping[str, int]) -> dict[str, int]:
    found = {}
    for name, number in ports.items():
        bindings = bound.get(f"{number}/tcp") or []
        if bindings:
            found[name] = int(bindings[0]["HostPort"])
    return found


def _probe(text: str) -> Probe | None:
    if not text:
        return None
    return _as_probe(json.loads(text))


def _check(text: str) -> Health | None:
    if not text:
        return None
    body = json.loads(text)
    return Health(**{**body, "probe": _as_probe(body["probe"])})


def _as_probe(body: Mapping[str, Any]) -> Probe:
    return Probe(**{**body, "command": tuple(body["command"])})


def moment(text: str) -> float:
    """Epoch seconds of a time as Docker writes it; 0 for never."""
    trimmed = _FRACTION.sub(lambda match: f".{match[1][:6]:0<6}", text.replace("Z", "+00:00"))
    at = datetime.fromisoformat(trimmed)
    return max(0.0, (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp())


def handle(found: Container, node: str) -> dict[str, Any]:
    """How a container is found again, and what is worth knowing of it."""
    return {
        "host": found.host,
        "node": node,
        "container": found.attempt.name,
        "container_id": found.id,
        "image": found.image,
        "image_id": found.image_id,
    }


def seen(
    found: Container,
    node: str,
    *,
    is_ready: bool,
    verdict: Reason | None = None,
    image: str = "",
    restart: Restart = UNKNOWN,
) -> Seen:
    """What is reported of it; ``verdict``: why Zoe itself ended it; ``image``: its digest; ``restart``: of its engine."""
    state = SeenState.READY if is_ready else SeenState.STARTING
    reason = _trouble(found)
    is_lost = verdict is None and went_with_engine(found, restart)
    if is_lost:
        state, reason = SeenState.EXITED, Reason("lost", "its engine was restarted, and it ended with it")
    elif not found.is_running:
        state, reason = SeenState.EXITED, verdict or why_ended(found)
    return Seen(
        execution_id=found.attempt.execution_id,
        service=found.attempt.service,
        attempt=found.attempt.attempt,
        state=state,
        handle=handle(found, node),
        host=found.host,
        ports=dict(found.ports),
        exit_code=None if found.is_running or is_lost else found.exit_code,
        reason=reason,
        is_blameless=is_lost,
        image=image,
    )


def _trouble(found: Container) -> Reason | None:
    if found.was_starved:
        text = f"out of memory: one of its processes was killed at {format_bytes(found.memory_bytes)}, and it goes on"
        return Reason("out_of_memory", text, {"limit": found.memory_bytes})
    if found.health == "unhealthy":
        return Reason("unhealthy", "its image's own health check fails")
    return None


def why_ended(found: Container) -> Reason:
    code = found.exit_code
    numbers: dict[str, Any] = {"exit_code": code}
    if found.was_starved and code:
        limit = format_bytes(found.memory_bytes)
        numbers |= {"used": found.memory_bytes, "limit": found.memory_bytes}
        return Reason("out_of_memory", f"out of memory: used {limit} of {limit}", numbers)
    if has_not_begun(found):
        lacks = "no such program, or it may not be run"
        lacks += "; that its description has an `environment` wants a shell, `sh`, too" if found.has_variables else ""
        text = f"the image {found.image} cannot run {' '.join(found.command)[:200]!r}: {lacks}"
        return Reason("command_not_found", text, numbers)
    if code > 128:
        return Reason("killed", f"killed by {_signal_name(code - 128)}", {**numbers, "signal": code - 128})
    return Reason("exited", f"exited with {code}", numbers)


def went_with_engine(found: Container, restart: Restart) -> bool:
    """Whether it ended since its engine was shut down or broke off, and not by itself, however it then ended."""
    if found.is_running or found.is_created or not found.started_at < found.ended_at <= restart.began_at:
        return False
    if has_not_begun(found) or (found.was_starved and found.exit_code):
        return False
    if restart.up_at - found.ended_at > _SHUT_DOWN_S:
        return False
    away_s = _AWAY_S.get(found.exit_code, min(_SHUT_DOWN_S + restart.silent_s, _RESTART_S))
    return restart.began_at - found.ended_at < away_s


def has_not_begun(found: Container) -> bool:
    """Whether there was no such program in the image: what shells and small init programs say then, at once."""
    return (
        not found.is_running
        and not found.is_created
        and found.exit_code in _NOT_STARTED
        and found.ended_at - found.started_at < _NOT_STARTED_S
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
