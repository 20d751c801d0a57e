"""Between the contract's records and what the supervisor speaks. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from zoe_jupyter.backends.base import Bounds, Seen, SeenState, ServiceOrder
from zoe_jupyter.backends.local.environment import service_environment
from zoe_jupyter.model.application import Health, Probe
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.units import format_bytes

HOST = "127.0.0.1"


def wire_order(
    order: ServiceOrder,
    *,
    folder: str,
    work_dir: str,
    python: str,
    environment: Mapping[str, str],
    extra: Collection[str],
    known_gpus: Sequence[str],
) -> dict[str, Any]:
    """The order as the supervisor wants it, with the whole environment of the process."""
    return {
        "service": order.service,
        "attempt": order.attempt,
        "command": list(order.command),
        "environment": service_environment(environment, order.environment, python=python, extra=extra),
        "files": dict(order.files),
        "folder": folder,
        "cwd": order.cwd or work_dir,
        "port_numbers": dict(order.port_numbers),
        "memory_bytes": order.resources.memory_bytes,
        "microcores": order.resources.microcores,
        "gpus": order.resources.gpus,
        "known_gpus": list(known_gpus),
        "ready": wire_probe(order.ready),
        "health": wire_health(order.health),
        "grace_s": order.grace_s,
    }


def wire_probe(probe: Probe | None) -> dict[str, Any] | None:
    if probe is None:
        return None
    return {
        "tcp": probe.tcp,
        "http": probe.http,
        "log": probe.log,
        "command": list(probe.command),
        "timeout_s": probe.timeout_s,
    }


def wire_health(health: Health | None) -> dict[str, Any] | None:
    if health is None:
        return None
    return {**(wire_probe(health.probe) or {}), "every_s": health.every_s, "failures": health.failures}


def wire_bounds(bounds: Bounds) -> dict[str, Any]:
    return {"ends_at": bounds.ends_at, "silence_s": bounds.silence_s}


def seen_services(state: Mapping[str, Any], *, is_supervised: bool, is_same_boot: bool) -> list[Seen]:
    """What a supervisor says, or (not supervised) what it last wrote down: then nothing that it ran can still live."""
    found = []
    for name, record in state.get("services", {}).items():
        is_lost = not is_supervised and record["state"] != "exited"
        found.append(_seen(state, name, {**record, **_lost(is_same_boot=is_same_boot)} if is_lost else record))
    return found


def handle(state: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """How a service is found again, and what is worth knowing of it."""
    return {
        "boot_id": state.get("boot_id", ""),
        "pid": record["pid"],
        "start": record["start"],
        "supervisor": dict(state.get("supervisor", {})),
        "memory": record["memory"],
        "processes": record.get("processes", "none"),
        "gpus": record.get("gpus", []),
        "oom_kills": record["oom_kills"],
        "dropped_bytes": record["dropped_bytes"],
    }


def _seen(state: Mapping[str, Any], name: str, record: Mapping[str, Any]) -> Seen:
    return Seen(
        execution_id=state["execution"],
        service=name,
        attempt=record["attempt"],
        state=SeenState(record["state"]),
        handle=handle(state, record),
        host=HOST,
        ports=dict(record["ports"]),
        exit_code=record["exit_code"],
        reason=reason(record["reason"] or record.get("trouble")),
        is_blameless=record["is_blameless"],
    )


def reason(record: Mapping[str, Any] | None) -> Reason | None:
    """The supervisor's reason with its numbers in words."""
    if record is None:
        return None
    numbers = dict(record["numbers"])
    text = record["text"]
    if record["code"] == "out_of_memory":
        text = f"out of memory: used {format_bytes(numbers['used'])} of {format_bytes(numbers['limit'])}"
        if numbers.get("kills"):
            text = f"{text}; the kernel killed {numbers['kills']} of its processes, and it goes on"
    return Reason(record["code"], text, numbers)


def _lost(*, is_same_boot: bool) -> dict[str, Any]:
    why = "its supervisor was killed, and it with its supervisor" if is_same_boot else "the machine was restarted"
    return {
        "state": "exited",
        "exit_code": None,
        "is_blameless": True,
        "reason": {"code": "lost", "text": f"lost: {why}", "numbers": {}},
    }
