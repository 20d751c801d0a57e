"""A network for each execution, with a subnet from the site's pool."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Iterable, Iterator
from typing import Any

from docker.errors import NotFound

from zoe_jupyter.backends.docker.calls import SLOW_S
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.translate import network_labels, network_name
from zoe_jupyter.model.errors import Fatal, Retryable, ZoeError

logger = logging.getLogger(__name__)

SMALLEST = 28
_TAKEN_BY_ENGINE = 3
"""Addresses of a subnet that no service gets: its own, the gateway's, the broadcast's."""
_LONGEST_TRY = 50
_WAIT_S = 5.0
Network = ipaddress.IPv4Network


class Networks:
    """Of one engine. The pool may be shared with other deployments: what exists is asked for, and an overlap tried elsewhere."""

    def __init__(self, engine: Engine, *, deployment: str, pool: str, mtu: int) -> None:
        self._engine = engine
        self._deployment = deployment
        self._pool = _known(pool)
        self._mtu = mtu
        self._choosing = asyncio.Lock()
        self._making: dict[str, asyncio.Task[None]] = {}
        self._reserved: set[Network] = set()

    async def ensure(self, execution_id: str, services: int) -> None:
        """Make the execution's network unless it is there; raises a blameless Retryable when the pool is exhausted."""
        if execution_id in self._engine.networks:
            return
        task = self._making.get(execution_id)
        if task is None:
            task = asyncio.create_task(self._make(execution_id, services), name=f"zoe network {execution_id}")
            self._making[execution_id] = task
            task.add_done_callback(lambda _: self._making.pop(execution_id, None))
        await asyncio.shield(task)

    async def remove(self, execution_id: str) -> None:
        """Remove it, also one that was made twice; none is no error."""
        wanted = {"label": [f"{key}={value}" for key, value in network_labels(self._deployment, execution_id).items()]}
        for found in await self._engine.calls.do(lambda client: client.networks(filters=wanted), limit_s=SLOW_S):
            await self._remove(execution_id, found["Id"])
        self._engine.networks.discard(execution_id)

    async def _remove(self, execution_id: str, network_id: str) -> None:
        try:
            await self._engine.calls.do(lambda client: client.remove_network(network_id), limit_s=SLOW_S)
        except NotFound:
            pass
        except Fatal as error:
            raise Retryable(f"the network of {execution_id} is still in use: {error.message}") from error

    async def _make(self, execution_id: str, services: int) -> None:
        name, mine = network_name(self._deployment, execution_id), network_labels(self._deployment, execution_id)
        existing = await self._engine.calls.do(lambda client: client.networks(names=[name]), limit_s=SLOW_S)
        if any(each["Name"] == name and each["Labels"] == mine for each in existing):
            self._engine.networks.add(execution_id)
            return
        prefix = prefix_for(services)
        async with self._choosing:
            taken = set(await self._taken()) | self._reserved
            candidates = free_subnets(self._pool, prefix, taken)
        for _ in range(_LONGEST_TRY):
            subnet = next((each for each in candidates if each not in self._reserved), None)
            if subnet is None:
                break
            if await self._try(name, mine, subnet):
                self._engine.networks.add(execution_id)
                return
        raise self._exhausted(prefix)

    async def _try(self, name: str, labels: dict[str, str], subnet: Network) -> bool:
        """Whether it could be made there; another's may overlap."""
        self._reserved.add(subnet)
        try:
            await self._engine.calls.do(_create, name, labels, subnet, self._mtu, limit_s=SLOW_S)
        except (Fatal, Retryable) as error:
            if "overlap" in error.message:
                return False
            raise
        finally:
            self._reserved.discard(subnet)
        return True

    async def _taken(self) -> Iterator[Network]:
        """Of every network that the engine has, whoever made it."""
        found = await self._engine.calls.do(lambda client: client.networks(), limit_s=SLOW_S)
        return _subnets(found)

    def _exhausted(self, prefix: int) -> Retryable:
        count = 2 ** max(0, prefix - self._pool.prefixlen)
        text = (
            f"no network is free on the engine {self._engine.name}: all {count} of size /{prefix} in {self._pool} are taken; "
            "it waits until another execution ends. An admin may set a larger `network_pool`"
        )
        details = {"pool": str(self._pool), "prefix": prefix, "networks": count}
        return Retryable(text, delay_s=_WAIT_S, details=details, reason="no_network", is_blameless=True)


def prefix_for(services: int) -> int:
    """The smallest subnet, from /28 on, that has an address for each of so many services."""
    prefix = SMALLEST
    while 2 ** (32 - prefix) - _TAKEN_BY_ENGINE < services and prefix > 16:
        prefix -= 1
    return prefix


def free_subnets(pool: Network, prefix: int, taken: Iterable[Network]) -> Iterator[Network]:
    """Subnets of the pool that touch none of those taken, from its beginning."""
    size, at, end = 2 ** (32 - prefix), int(pool.network_address), int(pool.broadcast_address) + 1
    spans = sorted((int(each.network_address), int(each.broadcast_address)) for each in taken)
    for first, last in (*spans, (end, end)):
        while at + size <= min(first, end):
            yield ipaddress.IPv4Network((at, prefix))
            at += size
        at = max(at, (last // size + 1) * size)


def _known(pool: str) -> Network:
    """Raises ZoeError."""
    try:
        return ipaddress.IPv4Network(pool)
    except ValueError as error:
        raise ZoeError(
            f"the setting Zoe.backend_options: `network_pool` cannot be used: {error}; it is a network such as 10.213.0.0/16"
        ) from error


def _subnets(networks: Iterable[dict[str, Any]]) -> Iterator[Network]:
    for network in networks:
        for config in (network.get("IPAM") or {}).get("Config") or ():
            subnet = ipaddress.ip_network(config.get("Subnet", "0.0.0.0/32"), strict=False)
            if isinstance(subnet, Network):
                yield subnet


def _create(client: Any, name: str, labels: dict[str, str], subnet: Network, mtu: int) -> None:
    from docker.types import IPAMConfig, IPAMPool

    client.create_network(
        name,
        driver="bridge",
        labels=labels,
        check_duplicate=True,
        options={"com.docker.network.driver.mtu": str(mtu)} if mtu else None,
        ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=str(subnet))]),
    )
