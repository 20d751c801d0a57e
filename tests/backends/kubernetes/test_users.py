"""A namespace for each user: what is theirs is there and nowhere else, with no more rights than ``users.yaml`` and a Role in each give."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from tests import cluster
from tests.backends.kubernetes.conftest import DEPLOY, KINDS, KubernetesWorld
from zoe_jupyter.backends.base import Address, SeenState
from zoe_jupyter.backends.containers.names import name_of, slug
from zoe_jupyter.backends.kubernetes import names
from zoe_jupyter.backends.kubernetes.site import Site, named
from zoe_jupyter.model.application import Port, Probe
from zoe_jupyter.model.errors import Fatal, ZoeError
from zoe_jupyter.testing.backend_contract import SERVER, Runner

WEB = {"web": Port(is_published=True)}


@pytest.mark.parametrize(
    ("user", "namespace"),
    [
        ("ada", "zoe-ada"),
        ("ada-2", "zoe-ada-2"),
        ("Ada", f"zoe-{slug('Ada')}"),
        ("ada@example.org", f"zoe-{slug('ada@example.org')}"),
        ("a" * 60, f"zoe-{slug('a' * 60)}"),
        ("", f"zoe-{slug('')}"),
    ],
)
def test_each_user_has_a_namespace_in_which_an_admin_recognizes_them(user: str, namespace: str) -> None:
    found = Site(deployment="lab", namespace="zoe-{user}").of(user).namespace

    assert found == namespace
    assert len(found) <= 63


def test_nobody_has_a_name_that_gives_them_the_namespace_of_another() -> None:
    assert name_of(slug("ada@example.org")) != slug("ada@example.org")


@pytest.mark.parametrize(
    "namespace",
    ["{user}", "-{user}", "kube-{user}-x", "kube-{user}", "{users}", "zoe-{user}{user}", "a" * 20 + "-{user}"],
)
def test_a_namespace_that_could_be_somebody_elses_is_refused(namespace: str) -> None:
    with pytest.raises(ZoeError, match=r"Zoe\.backend_options: the namespace"):
        named(namespace)


@dataclass(frozen=True)
class Users:
    """Two of them, each with a namespace that has the Role; Zoe's account is in a third."""

    prefix: str
    kubeconfig: Path

    def namespace(self, user: str) -> str:
        return f"{self.prefix}-{user}"


@pytest.fixture
def users(tmp_path: Path) -> Iterator[Users]:
    prefix = f"z{uuid.uuid4().hex[:6]}"
    home = f"{prefix}-home"
    for name in (home, f"{prefix}-ada", f"{prefix}-bob"):
        manifest = yaml.safe_load((DEPLOY / "namespace.yaml").read_text())
        manifest["metadata"]["name"] = name
        cluster.kubectl("create", "-f", "-", given=manifest)
        for each in yaml.safe_load_all((DEPLOY / "role.yaml").read_text()):
            if each["kind"] == "RoleBinding":
                each["subjects"][0]["namespace"] = home
            cluster.kubectl("apply", "-n", name, "-f", "-", given=each)
        cluster.kubectl("apply", "-n", name, "-f", str(DEPLOY / "network.yaml"))
    role, binding = yaml.safe_load_all((DEPLOY / "users.yaml").read_text().replace("NAMESPACE", home))
    binding["metadata"]["name"] += f"-{home}"
    for manifest in (role, binding):
        cluster.kubectl("apply", "-f", "-", given=manifest)
    yield Users(prefix, cluster.kubeconfig_of("zoe", home, tmp_path / "kubeconfig"))
    cluster.kubectl("delete", "clusterrolebinding", binding["metadata"]["name"])
    cluster.kubectl("delete", "namespace", home, f"{prefix}-ada", f"{prefix}-bob", "--wait=false")


@pytest.mark.kubernetes
async def test_what_users_run_is_in_their_own_namespaces(users: Users, tmp_path: Path) -> None:
    world = KubernetesWorld(users.kubeconfig, users.namespace("{user}"), tmp_path / "data")
    runner = Runner(world, await world.open())
    for user in ("ada", "bob"):
        fields = {"ports": WEB, "port_numbers": {"web": 20000}, "ready": Probe(tcp="web")}
        order = runner.order(user, code=SERVER, **fields)
        await runner.launch(replace(order, owner=user, command=(*order.command, "20000")))
    seen = [await runner.until(user, "app.main-0", SeenState.READY) for user in ("ada", "bob")]

    assert [f".{users.namespace(user)}.svc." in each.host for user, each in zip(("ada", "bob"), seen, strict=True)] == [
        True
    ] * 2
    assert [there(world, users.namespace(user)) for user in ("ada", "bob")] == [{"ada"}, {"bob"}]
    address = await runner.backend.reach("bob", "app.main-0", 1, Address(seen[1].host, seen[1].ports))
    _, writer = await asyncio.open_connection(address.host, address.ports["web"])
    writer.close()

    await runner.backend.close()
    runner.backend = await world.open()
    assert [await runner.seen(user) for user in ("ada", "bob")] == seen
    for user in ("ada", "bob"):
        await runner.backend.clean(user, keep_logs=False)
        assert not there(world, users.namespace(user))
    await runner.backend.close()


@pytest.mark.kubernetes
async def test_a_user_whose_namespace_is_not_there_is_told_so(users: Users, tmp_path: Path) -> None:
    world = KubernetesWorld(users.kubeconfig, users.namespace("{user}"), tmp_path / "data")
    runner = Runner(world, await world.open())

    with pytest.raises(Fatal, match=users.namespace("eve")):
        await runner.launch(replace(runner.order("one"), owner="eve"))
    await runner.backend.close()


def there(world: KubernetesWorld, namespace: str) -> set[str]:
    """Executions of which something is in that namespace."""
    labels = names.selector(world.deployment)
    found = json.loads(cluster.kubectl("get", KINDS, "-n", namespace, "-l", labels, "-o", "json"))["items"]
    return {item["metadata"]["annotations"][names.EXECUTION] for item in found}
