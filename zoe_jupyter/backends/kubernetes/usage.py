"""What services use, as the cluster measures it: by the metrics API, else by the kubelets' own summaries where Zoe may read those."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from zoe_jupyter.backends.base import Unreachable, Usage
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.kubernetes import names
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer
from zoe_jupyter.backends.kubernetes.machines import Machines
from zoe_jupyter.backends.kubernetes.nodes import quantity
from zoe_jupyter.backends.kubernetes.paths import Paths
from zoe_jupyter.backends.kubernetes.site import Site

AT_ONCE = 16
LIMIT_S = 10.0
AGAIN_S = 300.0
SOON_S = 5.0
"""Where somebody did not answer, who may well have something to tell; twice as long after each time in vain."""


class Meter:
    """``source`` is ``metrics``, ``kubelets`` or ``none``: found out by asking, until there is one."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._path = Paths(site.watched_namespace).metrics
        self._turns = asyncio.Semaphore(AT_ONCE)
        self.source = "none"
        self._is_sure = True

    async def find(self, server: ApiServer, machines: Machines) -> None:
        """Ask each source, until one is found; a cluster may get one later."""
        self._server, soon_s = server, SOON_S
        while self.source == "none":
            await machines.begun()
            self._is_sure = True
            if await self._may(self._path):
                self.source = "metrics"
            elif any([await self._may(_summary(node)) for node in list(machines.all)[:1]]):
                self.source = "kubelets"
            else:
                await asyncio.sleep(AGAIN_S if self._is_sure else soon_s)
                soon_s = SOON_S if self._is_sure else min(AGAIN_S, 2 * soon_s)

    async def measure(self, pods: Mapping[str, tuple[Attempt, str]]) -> Sequence[Usage]:
        """``{pod: (who, node)}`` of those that live."""
        if self.source == "metrics":
            return await self._metrics(pods)
        if self.source == "kubelets":
            nodes = sorted({node for _, node in pods.values() if node})
            found = await asyncio.gather(*(self._kubelet(node, pods) for node in nodes))
            return [usage for each in found for usage in each]
        return []

    async def _may(self, path: str) -> bool:
        try:
            await self._server.get(path, limit_s=LIMIT_S)
        except ApiError as error:
            self._is_sure &= error.status < 500
            return False
        except Unreachable:
            self._is_sure = False
            return False
        return True

    async def _metrics(self, pods: Mapping[str, tuple[Attempt, str]]) -> Sequence[Usage]:
        try:
            wanted = {"labelSelector": names.selector(self._site.deployment)}
            found = await self._server.get(self._path, wanted, limit_s=LIMIT_S)
        except (ApiError, Unreachable):
            return []
        return [_metered(pods[item["metadata"]["name"]][0], item) for item in found["items"] if _name(item) in pods]

    async def _kubelet(self, node: str, pods: Mapping[str, tuple[Attempt, str]]) -> list[Usage]:
        try:
            async with self._turns:
                summary = await self._server.get(_summary(node), limit_s=LIMIT_S)
        except (ApiError, Unreachable):
            return []
        return [
            _summed(pods[each["podRef"]["name"]][0], each) for each in summary["pods"] if each["podRef"]["name"] in pods
        ]


def _summary(node: str) -> str:
    return f"/api/v1/nodes/{node}/proxy/stats/summary"


def _name(item: Mapping[str, Any]) -> str:
    return str(item["metadata"]["name"])


def _metered(attempt: Attempt, item: Mapping[str, Any]) -> Usage:
    used = [container["usage"] for container in item["containers"]]
    cores, memory = sum(quantity(each["cpu"]) for each in used), sum(quantity(each["memory"]) for each in used)
    return Usage(attempt.execution_id, attempt.service, cores, int(memory))


def _summed(attempt: Attempt, item: Mapping[str, Any]) -> Usage:
    return Usage(
        attempt.execution_id,
        attempt.service,
        cpu_cores=item.get("cpu", {}).get("usageNanoCores", 0) / 1e9,
        memory_bytes=int(item.get("memory", {}).get("workingSetBytes", 0)),
        processes=max(1, int(item.get("process_stats", {}).get("process_count", 1))),
    )
