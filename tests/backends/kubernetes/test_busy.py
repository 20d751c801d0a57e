"""An API server that cannot take it now, and a namespace that has no room: that is nobody's fault, and goes on by itself."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from unittest.mock import AsyncMock

import pytest
from aiohttp import web

from tests import cluster
from tests.backends.kubernetes.conftest import KubernetesWorld
from tests.backends.kubernetes.serving import serving
from tests.backends.kubernetes.test_forged import ordered
from tests.backends.kubernetes.test_upkeep import SITE
from zoe_jupyter.backends.base import Bounds, Unreachable
from zoe_jupyter.backends.kubernetes import KubernetesBackend, manifests, names, objects
from zoe_jupyter.backends.kubernetes.client import ApiError
from zoe_jupyter.backends.kubernetes.objects import told
from zoe_jupyter.engine.core import Core
from zoe_jupyter.engine.door import Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.errors import Busy, Fatal
from zoe_jupyter.model.execution import Execution, ServiceState, State
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.backend_contract import eventually
from zoe_jupyter.testing.house import ADMIN, ALICE

QUOTA = "pods is forbidden: exceeded quota: small, requested: pods=1, used: pods=1, limited: pods=1"


@pytest.mark.parametrize(
    ("status", "message", "delay_s"),
    [(429, "slow down", 2.0), (500, "etcd", 2.0), (503, "", 2.0), (409, "", 2.0), (401, "", 2.0), (403, QUOTA, 30.0)],
)
def test_what_passes_is_nobodys_fault(status: int, message: str, delay_s: float) -> None:
    error = told(ApiError(status, "", message))
    assert isinstance(error, Busy)
    assert (error.is_blameless, error.delay_s) == (True, delay_s)


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_what_is_said_again_each_time_is_told_at_once(status: int) -> None:
    assert isinstance(told(ApiError(status, "", "no")), Fatal)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (504, "Timeout"),
        (500, "etcdserver: request timed out"),
        (500, "rpc error: code = Unavailable desc = error reading from server: EOF"),
        (500, "context deadline exceeded"),
    ],
)
async def test_what_may_have_been_made_is_not_taken_for_refused(status: int, message: str) -> None:
    """Else a job's program would run twice: the next attempt has another name."""
    server, jobs = AsyncMock(), AsyncMock(items={})
    server.create.side_effect = ApiError(status, "", message)
    with pytest.raises(Unreachable, match="does not say whether it made the Job: " + message):
        await objects.Objects(server, SITE, jobs=jobs).ensure("x1", "ada", Bounds())


@pytest.mark.parametrize("status", [401, 403])
async def test_what_zoe_may_not_look_at_is_told_unless_it_may_have_been_made(status: int) -> None:
    server = AsyncMock()
    server.get.side_effect = ApiError(status, "Forbidden", "secrets is forbidden")
    made = objects.Objects(server, SITE, jobs=AsyncMock(items={}))
    with pytest.raises((Busy, Fatal), match="is forbidden"):
        await made._there("/api/v1/namespaces/zoe/secrets/x1")
    made._unsure["x1"] = {"/api/v1/namespaces/zoe/pods/x1"}
    with pytest.raises(Unreachable, match="does not say whether there is"):
        await made._there("/api/v1/namespaces/zoe/pods/x1")


def test_a_webhook_that_is_away_has_made_nothing() -> None:
    error = ApiError(500, "", "failed calling webhook x: connect: connection timed out")
    assert not error.is_unsure
    assert isinstance(told(error), Busy)


async def test_what_was_made_behind_a_proxy_that_saw_trouble_is_there() -> None:
    """A 502 says nothing of what became of it: another attempt would be a second one."""
    order, server = ordered(), AsyncMock()
    pod = manifests.pod(SITE, order, "", [])
    made = objects.Objects(server, SITE, jobs=AsyncMock(items={}))
    server.create.side_effect, server.get.side_effect = [{}, ApiError(502, "", "bad gateway")], [pod]
    assert await made.launch(order, "", []) == pod

    server.create.side_effect, server.get.side_effect = [{}, ApiError(502, "", "bad")], [ApiError(404, "", "")]
    with pytest.raises(Unreachable):  # it may still be handed on
        await made.launch(order, "", [])
    assert made._unsure[order.execution_id]

    server.create.side_effect, server.get.side_effect = [ApiError(502, "", "bad")], [ApiError(404, "", "")]
    with pytest.raises(Busy):  # a Secret may be there twice
        await made.launch(order, "", [])

    said = ApiError(503, "ServiceUnavailable", "starting")
    server.create.side_effect, server.get.side_effect = [{}, said], [ApiError(404, "", "")]
    with pytest.raises(Busy):
        await made.launch(order, "", [])


@pytest.mark.parametrize("first", [Unreachable("cut"), ApiError(504, "", "Timeout")])
async def test_what_may_have_been_made_is_looked_for_before_it_can_be_refused(first: Exception) -> None:
    """A quota that the pod itself used up, or more trouble, would make way for another attempt beside it."""
    order, server, jobs = ordered(), AsyncMock(), AsyncMock(items={})
    pod = manifests.pod(SITE, order, "", [])
    made = objects.Objects(server, SITE, jobs=jobs)
    server.create.side_effect = [{}, first]
    with pytest.raises(Unreachable):
        await made.launch(order, "", [])

    server.get.side_effect = ApiError(503, "", "starting")
    with pytest.raises(Unreachable):
        await made.made_before(order)
    server.get.side_effect = [pod]
    assert await made.made_before(order) == pod

    server.create.side_effect = [{}, ApiError(403, "", QUOTA)]
    with pytest.raises(Busy):
        await made.launch(order, "", [])
    assert await made.made_before(order) is None


class Cluster:
    """An API server that has nothing, and cannot answer while it is busy."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.is_busy = True

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if self.is_busy or request.method != "GET":
            return web.json_response({"message": "too much to do", "reason": "Busy"}, status=self.status)
        if "/jobs/" in request.path:
            return web.json_response({"reason": "NotFound"}, status=404)
        if "watch" in request.query:
            await asyncio.Event().wait()
        return web.json_response({"items": [], "metadata": {"resourceVersion": "1"}})


@pytest.fixture(params=[429, 500, 503])
async def busy(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Cluster, KubernetesBackend]]:
    """And a backend that leads there, not started yet."""
    found = Cluster(request.param)
    async with serving(found.answer) as url:
        file = tmp_path / "kubeconfig"
        own = {"cluster": {"server": url}, "context": {"cluster": "a", "user": "a"}, "user": {}}
        lists = {f"{kind}s": [{"name": "a", kind: value}] for kind, value in own.items()}
        file.write_text(json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "a", **lists}))
        backend = KubernetesBackend(deployment="lab", data_dir=tmp_path, kubeconfig=str(file), namespace="zoe")
        yield found, backend
        await backend.close()


async def test_zoe_opens_though_the_api_server_cannot_answer_just_then_and_launches_wait_for_it(
    busy: tuple[Cluster, KubernetesBackend],
) -> None:
    there, backend = busy
    await backend.start()
    with pytest.raises(Unreachable):
        await backend.observe()

    there.is_busy = False
    await eventually(lambda: _answers(backend))
    with pytest.raises(Busy, match="too much to do"):
        await backend._objects.ensure("x1", "ada", Bounds())


async def _answers(backend: KubernetesBackend) -> bool:
    try:
        return not (await backend.observe()).services
    except Unreachable:
        return False


ENTRY = """
zoe: 1
kind: framework
name: endless
title: Something that goes on
summary: It does nothing, for long
processes:
  main:
    image: zoe-test/base
    command: [python3, -c, "import time; time.sleep(3600)"]
    resources: {cores: 0.1, memory: 64MiB}
    restart: {attempts: 0}
"""


@pytest.mark.kubernetes
async def test_what_runs_waits_for_room_in_its_namespace_and_goes_on_once_there_is_some(
    few_rights: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real quota, used up more often in a row than a service may fail to start."""
    monkeypatch.setattr(objects, "QUOTA_RETRY_S", 0.2)
    world = KubernetesWorld(*few_rights, tmp_path / "data")
    folder = tmp_path / "shop" / "endless"
    folder.mkdir(parents=True)
    (folder / "framework.yaml").write_text(ENTRY)
    settings = Settings(data_dir=tmp_path, shop_sources=(str(tmp_path / "shop"),), deployment=world.deployment)
    core = Core(settings=settings, backend=world.closed(), store=Store(f"sqlite:///{tmp_path / 'zoe.db'}"))
    await core.open()
    execution, _ = await core.submit(Submission(use="endless"), ALICE, key=None)
    await eventually(lambda: _is(core, execution, State.RUNNING), deadline_s=60)

    cluster.kubectl("create", "quota", "none", "--hard=pods=0", "-n", world.namespace)
    mine = ("-n", world.namespace, "-l", names.selector(world.deployment))
    cluster.kubectl("delete", "pods", *mine, "--grace-period=1")
    await eventually(lambda: _was_refused(core, execution, 6), deadline_s=60)
    (service,) = (await core.execution(execution.id, ADMIN)).services.values()
    assert service.reason is not None
    assert "the namespace has no room left" in service.reason.text
    assert service.failures == 0
    cluster.kubectl("delete", "quota", "none", "-n", world.namespace)
    await eventually(lambda: _is(core, execution, State.RUNNING), deadline_s=60)

    await core.stop(execution.id, ADMIN)
    await eventually(lambda: _is(core, execution, State.ENDED), deadline_s=60)
    await core.forget(execution.id, ADMIN)
    await core.close()
    world.assert_nothing_is_left()


async def _is(core: Core, execution: Execution, state: State) -> bool:
    return (await core.execution(execution.id, ADMIN)).state is state


async def _was_refused(core: Core, execution: Execution, times: int) -> bool:
    """So often in a row; it waits for its next try."""
    (service,) = (await core.execution(execution.id, ADMIN)).services.values()
    reason = service.reason
    is_waiting = service.state is ServiceState.WAITING and reason is not None
    return is_waiting and reason is not None and reason.numbers.get("refusals", 0) >= times


def test_who_lacks_a_namespace_is_told_the_way_out() -> None:
    error = told(ApiError(404, "NotFound", 'namespaces "nu-missing" not found'))
    assert isinstance(error, Fatal)
    assert error.message.startswith(
        'the cluster refuses it: namespaces "nu-missing" not found; make it by `kubectl apply'
    )
    assert "or name another in the option `namespace`" in error.message
