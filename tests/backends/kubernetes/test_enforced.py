"""Who gets in where somebody obeys NetworkPolicies, and that Zoe sees whether anybody does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import cluster
from tests.backends.kubernetes import enforcing
from tests.backends.kubernetes.conftest import KubernetesWorld, settled
from tests.backends.kubernetes.test_reach import ECHO, WEB, echoed
from zoe_jupyter.backends.base import Address, Seen, SeenState
from zoe_jupyter.backends.kubernetes import names
from zoe_jupyter.backends.kubernetes.site import Caller, Reaching
from zoe_jupyter.model.application import Probe
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = [pytest.mark.kubernetes, pytest.mark.enforcer, pytest.mark.slow, pytest.mark.timeout(600)]

PORT = 20000
SETTLED_S = 60.0
NODES = ("node1", "node2")
ROUNDS = 3
KNOCK = """
import json, socket, sys, time
def is_open(door):
    host, port = door.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True
while True:
    print(json.dumps([name for name, door in json.loads(sys.argv[1]).items() if is_open(door)]), flush=True)
    time.sleep(0.3)
"""
LEADING = ("pod", "name", "execution", "service", "published")
"""Doors that lead to it where nobody keeps them shut."""


@dataclass(frozen=True)
class Neighbour:
    """A service that tries every door that it is told of, again and again."""

    runner: Runner
    execution_id: str
    number: int

    @property
    def service(self) -> str:
        return f"app.neighbour-{self.number}"

    async def knock(self, doors: Mapping[str, str]) -> None:
        command = (self.runner.world.python, "-u", "-c", KNOCK, json.dumps(doors))
        order = self.runner.order(self.execution_id, self.service, command=command)
        await self.runner.backend.launch(order, NODES[self.number % len(NODES)])
        await self.runner.until(self.execution_id, self.service, SeenState.READY)

    async def gets_through(self, *doors: str) -> None:
        """Wait until it does through these and no others, some times in a row."""
        said: list[bytes] = []

        async def is_so() -> bool:
            said[:] = (await self.runner.output(self.execution_id, self.service, tail=ROUNDS)).splitlines()
            return [json.loads(line) for line in said] == [list(doors)] * ROUNDS

        try:
            await eventually(is_so, deadline_s=SETTLED_S)
        except AssertionError:
            pytest.fail(f"{self.execution_id}/{self.service} gets through {said}, not {doors}")


@pytest.fixture
async def runner(world: KubernetesWorld) -> AsyncIterator[Runner]:
    async with running(world) as runner:
        yield runner


@pytest.fixture
async def other(rights: Path, namespace: str, tmp_path: Path) -> AsyncIterator[Runner]:
    """Another deployment in the same namespace."""
    async with running(KubernetesWorld(rights, namespace, tmp_path / "other")) as runner:
        yield runner


@pytest.fixture
async def double(world: KubernetesWorld, tmp_path: Path) -> AsyncIterator[Runner]:
    """One in another namespace whose labels say the same."""
    with settled() as namespace:
        kubeconfig = cluster.kubeconfig_of("zoe", namespace, tmp_path / "double.json")
        double = KubernetesWorld(kubeconfig, namespace, tmp_path / "double")
        double.deployment = world.deployment
        async with running(double) as runner:
            yield runner


@asynccontextmanager
async def running(world: KubernetesWorld) -> AsyncIterator[Runner]:
    runner = Runner(world, await world.open())
    yield runner
    for execution_id in (await runner.backend.observe()).kept:
        await runner.backend.clean(execution_id, keep_logs=False)
    await runner.backend.close()
    world.assert_nothing_is_left()


@pytest.fixture
def obeyed() -> Iterator[None]:
    with enforcing.somebody():
        yield


async def test_only_who_is_of_the_same_execution_gets_in(
    world: KubernetesWorld, runner: Runner, other: Runner, double: Runner
) -> None:
    """While nobody obeys, the same strangers do get in: so they try hard enough."""
    doors = doors_to(world, await serve(runner))
    friends = [Neighbour(runner, "one", number) for number in (0, 1)]
    strangers = [
        Neighbour(who, execution_id, number)
        for who, execution_id in ((runner, "two"), (other, "one"))
        for number in (0, 1)
    ]
    strangers.append(Neighbour(double, "one", 0))
    with enforcing.nobody():
        await asyncio.gather(*(each.knock(doors) for each in (*friends, *strangers)))
        for each in (*friends, *strangers):
            await each.gets_through(*LEADING)

    with enforcing.somebody():
        for each in strangers:
            await each.gets_through()
        for each in friends:
            await each.gets_through(*LEADING)
        newcomers = [Neighbour(who, execution_id, 2) for who, execution_id in ((runner, "three"), (runner, "one"))]
        await asyncio.gather(*(each.knock(doors) for each in newcomers))
        await newcomers[0].gets_through()
        await newcomers[1].gets_through(*LEADING)


async def test_zoes_own_ways_in_stay_open(obeyed: None, world: KubernetesWorld, runner: Runner) -> None:
    """On a machine that is not let in by itself."""
    seen = await serve(runner)

    address = await runner.backend.reach("one", "app.main-0", 1, Address(seen.host, seen.ports))

    assert address.host == "127.0.0.1"
    assert await echoed(address, b"hello") == b"hello"
    door = doors_to(world, seen)["pod"]
    await eventually(lambda: is_shut(door), deadline_s=SETTLED_S)
    assert await runner.backend.run("one", "app.main-0", 1, ("true",), environment={}, timeout_s=30) == 0


async def test_who_has_lost_its_policy_is_shut_for_all(obeyed: None, world: KubernetesWorld, runner: Runner) -> None:
    """So it is when an execution is cleaned away, or by the cluster: its policy goes first, and its pods may take their time."""
    doors = {"pod": doors_to(world, await serve(runner))["pod"]}
    friend, stranger = Neighbour(runner, "one", 0), Neighbour(runner, "two", 1)
    for each in (friend, stranger):
        await each.knock(doors)
    await friend.gets_through("pod")
    await stranger.gets_through()

    policy = names.execution_name(world.deployment, "one")
    cluster.kubectl("delete", "networkpolicy", policy, "-n", world.namespace)

    await friend.gets_through()
    await stranger.gets_through()


async def test_callers_get_in(obeyed: None, world: KubernetesWorld, tmp_path: Path) -> None:
    """As a Zoe that is a pod itself must: pods of another namespace by their labels, which others there lack, and this machine by its network."""
    with settled() as namespace:
        world.options = {
            "callers": [Caller(namespace, {"app": "hub"}), cluster.MACHINE],
            "reach": Reaching.POD,
        }
        kubeconfig = cluster.kubeconfig_of("zoe", namespace, tmp_path / "hub.json")
        hub, guest = (KubernetesWorld(kubeconfig, namespace, tmp_path / name) for name in ("hub", "guest"))
        hub.options = {"labels": {"app": "hub"}}
        async with running(world) as runner, running(hub) as caller, running(guest) as stranger:
            seen = await serve(runner)
            doors = {"pod": doors_to(world, seen)["pod"]}
            for each in (caller, stranger):
                await Neighbour(each, "one", 0).knock(doors)
            await Neighbour(caller, "one", 0).gets_through("pod")
            await Neighbour(stranger, "one", 0).gets_through()
            address = await runner.backend.reach("one", "app.main-0", 1, Address(seen.host, seen.ports))
            assert await echoed(address, b"hello") == b"hello"


async def serve(runner: Runner) -> Seen:
    """Start the service that all want to get to."""
    order = runner.order("one", code=ECHO, ports=WEB, port_numbers={"web": PORT}, ready=Probe(tcp="web"))
    await runner.backend.launch(order, NODES[0])
    return await runner.until("one", "app.main-0", SeenState.READY)


async def is_shut(door: str) -> bool:
    """For this machine."""
    host, _, port = door.rpartition(":")
    try:
        _, writer = await asyncio.open_connection(host, int(port))
    except OSError:
        return True
    writer.close()
    return False


def doors_to(world: KubernetesWorld, seen: Seen) -> dict[str, str]:
    """Every way to it that a pod could try: also what an admin publishes beside Zoe, and the node itself."""
    found = cluster.kubectl("get", "pods", "-n", world.namespace, "-l", names.selector(world.deployment), "-o", "json")
    (pod,) = json.loads(found)["items"]
    service = published(world, pod)
    pod_ip, node_ip = pod["status"]["podIP"], pod["status"]["hostIP"]
    return {
        "pod": f"{pod_ip}:{PORT}",
        "name": f"{seen.host}:{PORT}",
        "execution": f"{seen.host.partition('.')[2]}:{PORT}",
        "service": f"{service['clusterIP']}:{PORT}",
        "published": f"{node_ip}:{service['ports'][0]['nodePort']}",
        "node": f"{node_ip}:{PORT}",
        "gateway": f"{pod_ip.rpartition('.')[0]}.1:{PORT}",
    }


def published(world: KubernetesWorld, pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a Service says that leads to that pod, from the nodes too; it goes with the execution."""
    metadata = pod["metadata"]
    labels = {name: metadata["labels"][name] for name in (names.DEPLOYMENT, names.EXECUTION, names.SERVICE)}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"published-{metadata['uid']}", "ownerReferences": metadata["ownerReferences"]},
        "spec": {"type": "NodePort", "selector": labels, "ports": [{"port": PORT}]},
    }
    made = json.loads(cluster.kubectl("create", "-n", world.namespace, "-f", "-", "-o", "json", given=service))
    spec: Mapping[str, Any] = made["spec"]
    return spec
