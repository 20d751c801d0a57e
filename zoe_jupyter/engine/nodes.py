"""The machines: what the backend has, without those that an admin has taken out of use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zoe_jupyter.backends.base import Backend
from zoe_jupyter.engine import views
from zoe_jupyter.engine.door import Caller, NodeUse
from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.model.errors import Forbidden, NotFound
from zoe_jupyter.model.resources import Node, Resources


class Nodes:
    """As they were when they were last read; which of them are enabled is always of now."""

    def __init__(self, backend: Backend, ledger: Ledger) -> None:
        self._backend = backend
        self._ledger = ledger
        self._reported: Sequence[Node] = ()

    @property
    def now(self) -> Sequence[Node]:
        return [
            replace(node, is_enabled=False) if node.name in self._ledger.disabled_nodes else node
            for node in self._reported
        ]

    async def read(self) -> None:
        """Ask the backend again. Raises Unreachable and BackendError."""
        self._reported = await self._backend.nodes()

    async def set_enabled(self, name: str, caller: Caller, *, is_enabled: bool) -> NodeUse:
        """Nothing new is started on a disabled node; what runs there goes on. Raises Forbidden, NotFound."""
        if not caller.is_admin:
            raise Forbidden("only an admin may take machines out of use, or put them back")
        if name not in {node.name for node in self._reported}:
            known = ", ".join(node.name for node in self._reported) or "none"
            raise NotFound(f"there is no node {name[:80]!r}; there is {known}")
        if is_enabled == (name in self._ledger.disabled_nodes):
            await self._ledger.set_node_enabled(name, is_enabled=is_enabled, by=caller.name)
        return next(use for use in self.uses() if use.node.name == name)

    def uses(self) -> Sequence[NodeUse]:
        """With what is given away of each."""
        return [self._use(node) for node in self.now]

    def _use(self, node: Node) -> NodeUse:
        total, count = Resources(), 0
        for execution in self._ledger.executions.values():
            resources, services = views.reserved_on(execution, node.name)
            total, count = total + resources, count + services
        return NodeUse(node, total, count)
