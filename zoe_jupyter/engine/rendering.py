"""From an application's launch-time templates to the order for one attempt of a service, and to a connection's values."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from zoe_jupyter.backends.base import Address, Backend, Bounds, Reserved, ServiceOrder
from zoe_jupyter.lifecycle import counts, titles
from zoe_jupyter.model.application import ConnectionTemplate, Context, Health, Probe, Process
from zoe_jupyter.model.errors import InvalidDescription, Retryable
from zoe_jupyter.model.execution import Execution, Service
from zoe_jupyter.shop.templates import fill

Secrets = Mapping[str, str]
"""``{<alias>.<name>: value}``"""
ReadSecrets = Callable[[str], Awaitable[Secrets]]
View = Callable[[Execution, Service], Awaitable[Address]]


PLACE_S = 5.0
"""At least, until what needs the address of something that had no place is tried again."""


class Renderer:
    """Fills templates with what is known at launch: addresses, ports, interpreter, secrets."""

    def __init__(self, backend: Backend, read_secrets: ReadSecrets, deployment: str) -> None:
        self._backend = backend
        self._read_secrets = read_secrets
        self._deployment = deployment

    async def order(self, execution: Execution, service: Service, bounds: Bounds) -> ServiceOrder:
        """The order of this service's current attempt.

        Raises InvalidDescription when a template cannot be filled, and Retryable when that may be since others have no place just then.
        """
        try:
            return await self._order(execution, service, bounds)
        except InvalidDescription as error:
            if lacking := counts.without_place(execution.application, execution.services.values()):
                named = ", ".join(titles.of_process(execution.application, name) for name in lacking)
                raise Retryable(
                    f"it waits until there is a place again for {named}",
                    delay_s=PLACE_S,
                    details={"processes": lacking},
                    reason=counts.NO_PLACE,
                    is_blameless=True,
                ) from error
            raise

    async def _order(self, execution: Execution, service: Service, bounds: Bounds) -> ServiceOrder:
        process = execution.application.process(service.process)
        own = await self._reserve(execution, service, process)
        context = await self._context(execution, process.framework, own)
        context |= _own_names(service, process, own)
        folder = process.folder
        return ServiceOrder(
            deployment=self._deployment,
            execution_id=execution.id,
            owner=execution.owner,
            service=service.name,
            attempt=service.attempt,
            framework=execution.application.contexts[process.framework].framework,
            command=tuple(
                _text(part) for part in fill(list(process.command), context, path=f"processes.{process.name}.command")
            ),
            environment=_texts(fill(dict(process.environment), context, path=f"processes.{process.name}.environment")),
            files=_texts(fill(dict(process.files), context, path=f"processes.{process.name}.files")),
            cwd=(execution.client.cwd if folder == "notebook" else _text(fill(folder, context, path="folder")))
            if folder
            else "",
            ports=process.ports,
            port_numbers=own.ports,
            resources=process.resources,
            siblings=sum(each.core + each.elastic_limit for each in execution.application.processes),
            ready=_filled_probe(process.ready, context, "ready"),
            health=_filled_health(process.health, context),
            grace_s=process.grace_s,
            image=process.image,
            bounds=bounds,
            client=execution.client,
            on_lost=execution.application.on_lost,
        )

    async def drain(self, execution: Execution, service: Service) -> tuple[tuple[str, ...], dict[str, str]]:
        """The drain command of a service that runs, with the environment that it gets."""
        process = execution.application.process(service.process)
        own = await self._reserve(execution, service, process)
        context = await self._context(execution, process.framework, own) | _own_names(service, process, own)
        command = process.drain.command if process.drain else ()
        return (
            tuple(_text(part) for part in fill(list(command), context, path=f"processes.{process.name}.drain.command")),
            _texts(fill(dict(process.environment), context, path=f"processes.{process.name}.environment")),
        )

    async def connection(
        self, execution: Execution, template: ConnectionTemplate
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Values and secrets of a connection of a running execution, with the addresses that are right outside of it."""
        addresses = await self._addresses(execution, template.framework, self._outside)
        return await self._filled_connection(execution, template, addresses)

    async def outside(self, execution: Execution, service: Service) -> Address:
        """Where this service is reached from the core's machine."""
        inside = Address(service.host, service.ports)
        if not service.handle:
            return inside
        return await self._backend.reach(execution.id, service.name, service.attempt, inside)

    async def _filled_connection(
        self, execution: Execution, template: ConnectionTemplate, addresses: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        context = await self._context(execution, template.framework, None, addresses)
        secrets = context["secrets"]
        return fill(dict(template.values), context, path=f"provides.{template.name}"), {
            name: secrets[name] for name in template.secrets
        }

    async def headers(self, execution: Execution, process: Process, headers: Mapping[str, str]) -> dict[str, str]:
        """What the web proxy adds on the way to a page of this process."""
        return (
            _texts(fill(dict(headers), await self._context(execution, process.framework, None), path="headers"))
            if headers
            else {}
        )

    async def _reserve(self, execution: Execution, service: Service, process: Process) -> Reserved:
        return await self._backend.reserve(
            execution_id=execution.id,
            owner=execution.owner,
            service=service.name,
            attempt=service.attempt,
            node=service.node,
            ports=process.ports,
            framework_folder=execution.application.contexts[process.framework].folder,
        )

    async def _context(
        self, execution: Execution, alias: str, own: Reserved | None, addresses: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        context = execution.application.contexts[alias]
        secrets = await self._read_secrets(execution.id)
        return {
            "parameters": dict(context.parameters),
            "python": execution.environment.get("python", ""),
            "java": execution.environment.get("java", ""),
            "folder": own.framework_folder or context.folder if own else context.folder,
            "processes": await self._addresses(execution, alias, self._inside) if addresses is None else addresses,
            "accepts": await self._accepted(execution, context),
            "secrets": {
                name.partition(".")[2]: value for name, value in secrets.items() if name.partition(".")[0] == alias
            },
            "execution": {"id": execution.id, "name": execution.name, "owner": execution.owner},
            "notebook": {"cwd": execution.client.cwd},
        }

    async def _accepted(self, execution: Execution, context: Context) -> dict[str, Any]:
        by_name = {template.name: template for template in execution.application.connections}
        filled: dict[str, Any] = {}
        for accepted, name in context.accepts.items():
            if name in by_name:
                template = by_name[name]
                inside = await self._addresses(execution, template.framework, self._inside)
                values, secrets = await self._filled_connection(execution, template, inside)
                filled[accepted] = {**values, **secrets}
            else:
                filled[accepted] = None
        return filled

    async def _addresses(self, execution: Execution, alias: str, view: View) -> dict[str, Any]:
        """Each process of the framework as its first service is reached."""
        addresses: dict[str, Any] = {}
        for process in execution.application.processes:
            if process.framework != alias:
                continue
            services = sorted((s for s in execution.services.values() if s.process == process.name), key=_number)
            if not services:
                continue
            first = await view(execution, services[0])
            addresses[process.name.partition(".")[2]] = {
                "host": first.host,
                "ports": dict(first.ports),
                "hosts": [service.host for service in services if service.host] or [first.host],
            }
        return addresses

    async def _inside(self, execution: Execution, service: Service) -> Address:
        if service.host:
            return Address(service.host, service.ports)
        reserved = await self._reserve(execution, service, execution.application.process(service.process))
        return Address(reserved.host, reserved.ports)

    async def _outside(self, execution: Execution, service: Service) -> Address:
        return await (self.outside if service.host else self._inside)(execution, service)


def _own_names(service: Service, process: Process, own: Reserved) -> dict[str, Any]:
    resources = process.resources
    separator = "" if own.folder.endswith("/") else "/"
    return {
        "host": own.host,
        "ports": dict(own.ports),
        "files": {name: f"{own.folder}{separator}{name}" for name in process.files},
        "service": {"name": service.name, "index": _number(service), "attempt": service.attempt},
        "resources": {
            "cores": resources.microcores / 1_000_000,
            "memory": resources.memory_bytes,
            "gpus": resources.gpus,
        },
    }


def _filled_health(health: Health | None, context: Mapping[str, Any]) -> Health | None:
    probe = _filled_probe(health.probe, context, "health") if health else None
    return replace(health, probe=probe) if health and probe else None


def _filled_probe(probe: Probe | None, context: Mapping[str, Any], path: str) -> Probe | None:
    if probe is None or not (probe.command or probe.http):
        return probe
    return replace(
        probe,
        http=_text(fill(probe.http, context, path=f"{path}.http")),
        command=tuple(map(_text, fill(list(probe.command), context, path=f"{path}.command"))),
    )


def _number(service: Service) -> int:
    return int(service.name.rpartition("-")[2])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: _text(value) for key, value in values.items()}
