"""What the cluster has is listed at the start, when a version is too old, and now and then; never else: on a real API server."""

from __future__ import annotations

import asyncio
import time
from collections import Counter

import pytest

from tests import cluster
from tests.backends.kubernetes import counting
from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.backends.kubernetes import watched
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer
from zoe_jupyter.backends.kubernetes.paths import Paths
from zoe_jupyter.backends.kubernetes.watched import Watched
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = pytest.mark.kubernetes


async def test_while_services_come_and_go_nothing_is_listed_again(world: KubernetesWorld) -> None:
    with counting.lists() as lists:
        backend = await world.open()
        runner = Runner(world, backend)
        own = Paths(world.namespace)
        await runner.start("one")
        await backend.nodes()
        await backend.stop("one", "app.main-0", 1, grace_s=1)
        await runner.ended("one")
        await backend.clean("one", keep_logs=False)
        await world.close(backend)
    assert {f"{own.pods}?", f"{own.jobs}?", "/api/v1/pods?", "/api/v1/nodes?"} <= lists.keys()
    assert set(lists.values()) == {1}, lists


async def test_all_is_listed_again_as_often_as_it_is_said(
    world: KubernetesWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every two seconds instead of every five minutes; a watch that waits for news does not put it off."""
    monkeypatch.setattr(watched, "RELIST_S", 2.0)
    with counting.lists() as lists:
        backend = await world.open()
        began, own = time.monotonic(), f"{Paths(world.namespace).pods}?"

        async def was_listed_often() -> bool:
            return lists[own] >= 4

        await eventually(was_listed_often)
        assert 5.0 <= time.monotonic() - began < 15.0
        monkeypatch.undo()
        await Runner(world, backend).start("one")
        await backend.clean("one", keep_logs=False)
        await world.close(backend)


async def test_a_version_that_the_cluster_has_forgotten_is_followed_by_one_list(world: KubernetesWorld) -> None:
    """And what changes then is heard."""
    server, path = await ApiServer.connect(str(cluster.kubeconfig()), ""), Paths(world.namespace).secrets
    if not await _has_forgotten(server, path):
        await server.close()
        pytest.skip("the cluster is too young to have forgotten anything: it does so every five minutes")
    copy = Watched(server, path, keep=dict, on_change=lambda *_: None)
    copy._version, copy._listed_at = "1", time.monotonic()
    with counting.lists() as lists:
        following = asyncio.create_task(copy.follow())

        async def was_listed() -> bool:
            return not copy.problem and copy.lists == 1

        async def is_heard() -> bool:
            return "news" in copy.items

        await eventually(was_listed)
        await server.create(path, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "news"}}, "test")
        await eventually(is_heard)
        assert lists == Counter({f"{path}?": 1})
    await server.delete(f"{path}/news")
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await server.close()


async def _has_forgotten(server: ApiServer, path: str) -> bool:
    query = {"watch": "true", "resourceVersion": "1", "timeoutSeconds": "1"}
    try:
        async with server.stream(path, query, silence_s=10.0) as lines:
            return b'"code":410' in await lines.readline()
    except ApiError as error:
        return error.status == 410
