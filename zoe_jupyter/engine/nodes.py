"""The machines: what the backend has, without those that an admin has taken out of use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from zoe_jupyter.backends.base import Backend
from zoe_jupyter.engine import views
from zoe_jupyter.engine.door import Caller, NodeUse
from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.model.errors import Forbidden, NotFound
from zoe_jupyter.model.resources import Node, Resources


class Nodes:
    """As they were when they were last read; which of them are enabled is always of now."""

    def __init__(self, backend: Backend, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._backend = backend
        self._ledger = ledger
        self._clock = clock
        self._reported: tuple[Node, ...] = ()

    @property
    def now(self) -> Sequence[Node]:
        return self.at(self._clock())

    def at(self, now: float) -> Sequence[Node]:
        """Nothing new may be started on those that are out of use or to be drained by then; others are to be drained later."""
        closed, drains = self._ledger.settled.disabled_nodes | self.drained(now), self._ledger.settled.drained_nodes
        return [_as_it_is(node, closed, drains) for node in self._reported]

    def drained(self, now: float) -> frozenset[str]:
        """Those on which nothing is to be."""
        return frozenset(name for name, at in self._ledger.settled.drained_nodes.items() if at <= now)

    async def drain(self, name: str, begins_at: float, caller: Caller) -> NodeUse:
        """From then on nothing is to be there. Raises Forbidden, NotFound."""
        self._refuse(name, caller)
        await self._ledger.drain_node(name, begins_at, by=caller.name)
        return self._one(name)

    async def read(self) -> bool:
        """Ask the backend again, and say whether something has changed. Raises Unreachable and BackendError."""
        before, self._reported = self._reported, tuple(await self._backend.nodes())
        return before != self._reported

    async def set_enabled(self, name: str, caller: Caller, *, is_enabled: bool) -> NodeUse:
        """Nothing new is started on a disabled node; what runs there goes on. Raises Forbidden, NotFound."""
        self._refuse(name, caller)
        if is_enabled and name in self._ledger.settled.drained_nodes:
            await self._ledger.drain_node(name, None, by=caller.name)
        if is_enabled == (name in self._ledger.settled.disabled_nodes):
            await self._ledger.set_node_enabled(name, is_enabled=is_enabled, by=caller.name)
        return self._one(name)

    def _refuse(self, name: str, caller: Caller) -> None:
        if not caller.is_admin:
            raise Forbidden("only an admin may take machines out of use, or put them back")
        if name not in {node.name for node in self._reported}:
            known = ", ".join(node.name for node in self._reported) or "none"
            raise NotFound(f"there is no node {name[:80]!r}; there is {known}")

    def _one(self, name: str) -> NodeUse:
        return next(use for use in self.uses() if use.node.name == name)

    def uses(self) -> Sequence[NodeUse]:
        """With what is given away of each."""
        return [self._use(node) for node in self.now]

    def _use(self, node: Node) -> NodeUse:
        total, count = Resources(), 0
        for execution in self._ledger.executions.values():
            resources, services = views.reserved_on(execution, node.name)
            total, count = total + resources, count + services
        return NodeUse(node, total, count, self._ledger.settled.drained_nodes.get(node.name))


def _as_it_is(node: Node, closed: frozenset[str], drains: Mapping[str, float]) -> Node:
    if node.name in closed:
        return replace(node, is_enabled=False)
    return replace(node, closes_at=drains[node.name]) if node.name in drains else node
