"""Executions, leases and event drafts for tests of rooms that only carry them."""

from __future__ import annotations

from typing import Any

from zoe_jupyter.model.application import Application, ConnectionTemplate, Context, Port, Probe, Process
from zoe_jupyter.model.execution import Client, Execution, Lease, Service, ServiceState
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.store.records import EventDraft

OWNER = "ada"


def make_application(name: str = "dask") -> Application:
    """An application with two kinds of process, as the shop composes them."""
    return Application(
        name=name,
        title="Dask",
        processes=(
            Process(
                f"{name}.scheduler",
                name,
                ("python", "-m", "dask"),
                resources=Resources(500_000, 512 << 20),
                ports={"rpc": Port(), "ui": Port("http", "Dashboard")},
                ready=Probe(tcp="rpc"),
                files={"dask.yaml": "distributed: {}\n"},
            ),
            Process(
                f"{name}.worker", name, ("python", "-m", "worker"), core=1, elastic=3, after=(f"{name}.scheduler",)
            ),
        ),
        contexts={name: Context({"workers": 4}, {}, "/frameworks/dask")},
        connections=(
            ConnectionTemplate("dask", name, "dask", {"address": "tcp://{{ processes.scheduler.host }}"}, ("token",)),
        ),
        secrets=(f"{name}.token",),
        extensions={"ha": {"replicas": 2}},
    )


def make_execution(number: int, **changes: Any) -> Execution:
    """Execution ``e-<number>``, created at second ``number``; the same number gives an equal one."""
    fields: dict[str, Any] = {
        "id": f"e-{number:06d}",
        "name": f"dask-{number}",
        "owner": OWNER,
        "application": make_application(),
        "parameters": {"workers": 4},
        "client": Client(kernel_id="k", notebook="a.ipynb", python="/usr/bin/python3", cwd="/home/ada"),
        "created_at": float(number),
    }
    return Execution(**{**fields, **changes})


def make_service(number: int, **changes: Any) -> Service:
    """Worker ``number``, which runs."""
    fields: dict[str, Any] = {
        "name": f"dask.worker-{number}",
        "process": "dask.worker",
        "node": "here",
        "is_core": number == 0,
        "state": ServiceState.RUNNING,
        "ports": {"rpc": 40_000 + number},
        "handle": {"pid": 1000 + number, "boot_id": "b"},
    }
    return Service(**{**fields, **changes})


def make_lease(execution: Execution, name: str = "l-1", **changes: Any) -> Lease:
    fields: dict[str, Any] = {"id": name, "execution_id": execution.id, "kind": "kernel", "client": execution.client}
    return Lease(**{**fields, **changes})


def make_event(execution: Execution, kind: str = "execution.submitted", **data: Any) -> EventDraft:
    return EventDraft(kind, execution.id, execution.owner, data, execution.created_at)
