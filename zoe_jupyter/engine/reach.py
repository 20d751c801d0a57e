"""How a running execution is reached: the connections for notebooks, the web pages for browsers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from zoe_jupyter.engine.door import Caller, EndpointTarget, is_trusted
from zoe_jupyter.engine.rendering import Renderer
from zoe_jupyter.model.application import Port
from zoe_jupyter.model.errors import Conflict, NotFound, Retryable
from zoe_jupyter.model.execution import Execution, Service, ServiceState, State


class Reach:
    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    async def connection(self, execution: Execution, name: str, caller: Caller) -> Mapping[str, Any]:
        """Addresses and secrets for its owner. Raises NotFound, Conflict, and what the backend raises."""
        if execution.owner != caller.name:
            raise NotFound(f"execution {execution.name} belongs to {execution.owner}; only its owner may attach")
        template = next((t for t in execution.application.connections if t.name == name), None)
        if template is None:
            names = ", ".join(t.name for t in execution.application.connections) or "none"
            raise NotFound(f"execution {execution.name} has no connection {name[:40]!r}; it has: {names}")
        if execution.state is not State.RUNNING:
            raise Conflict(f"execution {execution.name} is {execution.state.value}, not running yet; wait for it")
        values, secrets = await self._renderer.connection(execution, template)
        return {
            "name": name,
            "kind": template.kind,
            "values": values,
            "secrets": secrets,
            "environment": dict(execution.environment),
        }

    async def endpoints(self, execution: Execution, caller: Caller) -> Mapping[str, EndpointTarget]:
        """The pages of services that have an address now. Raises Retryable where none of several has one."""
        trusted = is_trusted(execution, caller)
        targets: dict[str, EndpointTarget] = {}
        named = _named_pages(execution)
        services = {service.name: service for service, _ in named.values()}
        asked = (self._pages(execution, service, is_trusted=trusted) for service in services.values())
        found = dict(zip(services, await asyncio.gather(*asked, return_exceptions=True), strict=True))
        for short, (service, name) in named.items():
            pages = found[service.name]
            if isinstance(pages, BaseException):
                if not isinstance(pages, Retryable):
                    raise pages
            elif name in pages:
                targets[short] = pages[name]
        troubles = [pages for pages in found.values() if isinstance(pages, Retryable)]
        if troubles and not targets:
            raise troubles[0]
        return targets

    async def _pages(self, execution: Execution, service: Service, *, is_trusted: bool) -> dict[str, EndpointTarget]:
        process = execution.application.process(service.process)
        address = await self._renderer.outside(execution, service)
        return {
            name: EndpointTarget(
                execution_id=execution.id,
                host=address.host,
                port=address.ports[name],
                path=port.path,
                title=port.title,
                is_trusted=is_trusted,
                headers=await self._renderer.headers(execution, process, port.headers),
                keeps_prefix=port.keeps_prefix,
            )
            for name, port in process.ports.items()
            if _is_page(port) and name in address.ports
        }


def _named_pages(execution: Execution) -> dict[str, tuple[Service, str]]:
    """Of services that run, each under the name that it keeps whether or not the others have an address."""
    named: dict[str, tuple[Service, str]] = {}
    for service in sorted(execution.services.values(), key=lambda s: (s.process, len(s.name), s.name)):
        if service.state in (ServiceState.RUNNING, ServiceState.DRAINING):
            for name, port in execution.application.process(service.process).ports.items():
                short = f"{service.process}.{name}"
                if _is_page(port) and name in service.ports:
                    named[short if short not in named else f"{service.name}.{name}"] = service, name
    return named


def _is_page(port: Port) -> bool:
    return port.protocol == "http" and bool(port.title)
