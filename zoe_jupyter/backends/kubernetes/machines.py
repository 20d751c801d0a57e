"""The nodes, as far as Zoe may see them; where it may not, one that stands for the whole cluster, as large as the settings say."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers.names import slug
from zoe_jupyter.backends.kubernetes import homes, names, nodes
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer
from zoe_jupyter.backends.kubernetes.site import Placement, Site, refuse_unknown
from zoe_jupyter.backends.kubernetes.watched import Object, Watched
from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.model.resources import Node, Resources

logger = logging.getLogger(__name__)

WHOLE = "cluster"
"""Name of the node that stands for all."""
DEFAULT_CAPACITY = {"cpu": "8", "memory": "16Gi"}
GUESS = (
    "the nodes may not be seen: its size is a guess; apply deploy/kubernetes/nodes.yaml, or set the option `capacity`"
)
AGAIN_S = 2.0
ENDED = ("Succeeded", "Failed")
OF_NODES = ("DaemonSet", "Node")
SYSTEM = "kube-system"
"""Whose pods are there as long as the node is."""


class Machines:
    """``capacity``: of the whole cluster, as Kubernetes writes amounts; used where the nodes may not be seen."""

    def __init__(self, server: ApiServer, site: Site, capacity: Mapping[str, str]) -> None:
        self._server, self._site = server, site
        self._capacity = capacity
        self._nodes = Watched(server, "/api/v1/nodes", keep=nodes.slim, on_change=_nobody_cares)
        others = f"{names.DEPLOYMENT}!={slug(site.deployment)}"
        self._others = Watched(server, "/api/v1/pods", selector=others, keep=self._slim_other, on_change=_nobody_cares)
        self._seen: list[Watched] = []
        self._has_begun = asyncio.Event()
        self.problem = "it is not known yet which nodes there are"
        """Empty once it is known what may be seen."""

    async def begin(self) -> None:
        """Find out whether pods have a place, and what may be seen. Raises Unreachable, ApiError: ``follow`` tries again."""
        await homes.look_for(self._server, self._site)
        self._seen = [watched for watched in (self._nodes, self._others) if await _may_list(watched)]
        self.problem = ""
        if self._is_guess:
            logger.warning("of the node %r that stands for the cluster: %s", WHOLE, GUESS)
        self._has_begun.set()

    async def begun(self) -> None:
        """Return when it is known what may be seen."""
        await self._has_begun.wait()

    async def follow(self) -> None:
        """Keep the copies up to date, for ever."""
        while self.problem:
            try:
                await self.begin()
            except (Unreachable, ApiError) as error:
                self.problem = str(error)
            except Exception as error:
                logger.exception("the nodes cannot be read; a defect")
                self.problem = f"the nodes cannot be read: {error!r}"
            if self.problem:
                await asyncio.sleep(AGAIN_S)
        await asyncio.gather(*(watched.follow() for watched in self._seen))

    @property
    def all(self) -> Mapping[str, Object]:
        """The cluster's nodes by name; none where they may not be seen."""
        return self._nodes.items

    @property
    def may_be_seen(self) -> bool:
        """Whether Zoe sees the nodes: only then does it mean something that one is not among them, or not ready."""
        return self._nodes in self._seen

    @property
    def are_current(self) -> bool:
        """Whether Zoe sees the nodes as they are now; where its right to was taken away, one that has come since is no lost one."""
        return self.may_be_seen and not self._nodes.problem

    @property
    def is_pool(self) -> bool:
        """Whether Zoe knows one node that stands for all."""
        return not self.may_be_seen or self._site.placement is Placement.CLUSTER

    @property
    def _is_guess(self) -> bool:
        return not self.may_be_seen and not self._capacity

    def is_closed(self, name: str) -> bool:
        """Whether Zoe sees that this node takes no pods any more: it is being drained, say, or gone."""
        node = self._nodes.items.get(name)
        return self.may_be_seen and (node is None or not nodes.is_open(self._site, node))

    def open_nodes(self) -> set[str]:
        """Those that take pods of ours, as far as Zoe sees."""
        return {name for name in self.all if not self.is_closed(name)}

    def real(self, node: str) -> str:
        """The node to pin a pod to; empty where the cluster chooses."""
        return "" if self.is_pool else node

    def now(self, *, pods: Mapping[str, int], crowded: Collection[str]) -> Sequence[Node]:
        """``pods``: how many this deployment has on each; ``crowded``: those that are to get none now.

        Raises Unreachable while it is not known what may be seen.
        """
        if self.problem:
            raise Unreachable(self.problem)
        if not self.may_be_seen:
            capacity = nodes.amount({**DEFAULT_CAPACITY, **self._capacity}, self._site.gpu_resource)
            return [Node(WHOLE, capacity, about=GUESS if self._is_guess else "")]
        used = nodes.by_node((pod["node"], pod["wanted"]) for pod in self._others.items.values())
        staying = nodes.by_node((pod["node"], pod["wanted"]) for pod in self._others.items.values() if pod["stays"])
        found = sorted(self._nodes.items.values(), key=lambda node: str(node["metadata"]["name"]))
        counts = Counter(pod["node"] for pod in self._others.items.values() if pod["lives"]) + Counter(pods)
        each = [
            nodes.zoe_node(
                self._site, node, used.get(name, Resources()), pods=counts[name], staying=staying.get(name, Resources())
            )
            for node in found
            if (name := node["metadata"]["name"])
        ]
        each = [replace(node, is_enabled=node.is_enabled and node.name not in crowded) for node in each]
        return [nodes.pooled(WHOLE, each)] if self.is_pool else each

    def _slim_other(self, pod: Object) -> Object:
        metadata = pod["metadata"]
        has_ended = pod.get("status", {}).get("phase") in ENDED
        kept = {name: metadata[name] for name in ("uid", "resourceVersion", "creationTimestamp")}
        return {
            "metadata": {**kept, "name": f"{metadata['namespace']}/{metadata['name']}"},
            "node": pod.get("spec", {}).get("nodeName", ""),
            "lives": not has_ended,
            "stays": metadata["namespace"] == SYSTEM
            or any(owner["kind"] in OF_NODES for owner in metadata.get("ownerReferences", ())),
            "wanted": Resources() if has_ended else nodes.requested(pod, self._site.gpu_resource),
        }


def sized(capacity: Mapping[str, str], gpu_resource: str) -> dict[str, str]:
    """Raises ZoeError for what is no amount, or of something that Zoe does not count."""
    refuse_unknown("capacity", capacity, (*DEFAULT_CAPACITY, gpu_resource))
    try:
        nodes.amount(capacity, gpu_resource)
    except ValueError as error:
        raise ZoeError(f"the setting Zoe.backend_options: capacity: {error}") from None
    return dict(capacity)


async def _may_list(watched: Watched) -> bool:
    try:
        await watched.list()
    except ApiError as error:
        if error.status != 403:
            raise
        return False
    return True


def _nobody_cares(name: str, item: Object | None) -> None:
    """Nodes are looked at when they are asked for."""
