"""How a running execution is reached: the connections for notebooks, the web pages for browsers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoe_jupyter.engine.door import Caller, EndpointTarget, is_trusted
from zoe_jupyter.engine.rendering import Renderer
from zoe_jupyter.model.errors import Conflict, NotFound
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
        """The pages of services that have an address now."""
        trusted = is_trusted(execution, caller)
        targets: dict[str, EndpointTarget] = {}
        for service in sorted(execution.services.values(), key=lambda s: (s.process, len(s.name), s.name)):
            if service.state not in (ServiceState.RUNNING, ServiceState.DRAINING):
                continue
            for name, target in (await self._pages(execution, service, is_trusted=trusted)).items():
                short = f"{service.process}.{name}"
                targets[short if short not in targets else f"{service.name}.{name}"] = target
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
            if port.protocol == "http" and port.title and name in address.ports
        }
