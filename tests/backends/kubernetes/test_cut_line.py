"""An API server that does not answer for a time: at the start, while services run, and just when something was made; and one that is slow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import cluster
from tests.backends.kubernetes.conftest import KubernetesWorld
from tests.backends.kubernetes.line import Line, line
from zoe_jupyter.backends.base import SeenState, Unreachable
from zoe_jupyter.backends.kubernetes import client, logs, names, objects, watched
from zoe_jupyter.model.application import Probe
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(120)]


@pytest.fixture
async def way(world: KubernetesWorld, tmp_path: Path) -> AsyncIterator[Line]:
    """The world's, to its cluster."""
    if not cluster.is_ours():
        pytest.skip("the certificate of that cluster is for other addresses than this machine's")
    async with line(world.kubeconfig, tmp_path) as found:
        world.kubeconfig = found.kubeconfig
        yield found


@pytest.fixture
def through(way: Line, monkeypatch: pytest.MonkeyPatch) -> Line:
    """The same, to a cluster that is watched more impatiently."""
    monkeypatch.setattr(client, "CONNECT_LIMIT_S", 1.0)
    monkeypatch.setattr(watched, "SILENCE_S", 2.0)
    return way


async def _is_blind(runner: Runner) -> bool:
    try:
        await runner.backend.observe()
    except Unreachable:
        return True
    return False


async def _sees(runner: Runner) -> bool:
    return not await _is_blind(runner)


async def test_a_cluster_that_answers_only_later_is_seen_whole_from_then_on(
    world: KubernetesWorld, through: Line
) -> None:
    through.cut()
    runner = Runner(world, await world.open())
    assert await _is_blind(runner)
    with pytest.raises(Unreachable):
        await runner.backend.nodes()

    await through.mend()
    await eventually(lambda: _sees(runner))
    assert {"node1", "node2"} <= {node.name for node in await runner.backend.nodes()}
    await runner.launch(runner.order("one"))
    await eventually(lambda: _is(runner, SeenState.READY))
    await eventually(lambda: _is_measured(runner))
    await eventually(lambda: _clean(runner))
    await runner.backend.close()


async def _is(runner: Runner, state: SeenState) -> bool:
    """Whether it is seen so; impatient watches are blind now and then."""
    try:
        seen = await runner.seen("one")
    except Unreachable:
        return False
    return seen is not None and seen.state is state


async def _clean(runner: Runner) -> bool:
    try:
        await runner.backend.clean("one", keep_logs=False)
    except (Unreachable, Retryable):
        return False
    return True


async def _has_run(runner: Runner, *command: str) -> bool:
    try:
        return await runner.backend.run("one", "app.main-0", 1, command, environment={}, timeout_s=5.0) == 0
    except (Retryable, Unreachable):
        return False


async def _is_measured(runner: Runner) -> bool:
    return runner.backend.capabilities().limits["usage"] != "none"


async def test_what_ended_while_the_line_was_cut_is_seen_when_it_stands_again(
    world: KubernetesWorld, through: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner(world, await world.open())
    await runner.launch(runner.order("one"))
    await eventually(lambda: _is(runner, SeenState.READY))
    through.cut()
    await eventually(lambda: _is_blind(runner))
    cluster.kubectl("delete", "pods", "-n", world.namespace, "-l", names.selector(world.deployment), "--grace-period=1")

    await through.mend()
    await eventually(lambda: _is(runner, SeenState.EXITED))
    monkeypatch.undo()
    await eventually(lambda: _sees(runner))
    assert (await runner.ended("one")).is_blameless
    await eventually(lambda: _clean(runner))
    await runner.backend.close()


async def test_what_was_made_although_no_answer_came_is_not_made_twice(
    world: KubernetesWorld, through: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner(world, await world.open())
    monkeypatch.setattr(objects, "failpoint", lambda name: through.deafen() if name == "launch.given" else None)
    launching = asyncio.ensure_future(runner.launch(runner.order("one")))
    await eventually(lambda: _is_made(world), deadline_s=90)
    monkeypatch.undo()
    await through.mend()
    with pytest.raises(Unreachable):
        await launching

    await eventually(lambda: _sees(runner))
    await runner.launch(runner.order("one"))
    await eventually(lambda: _is(runner, SeenState.READY))
    assert len(_pods(world)) == 1
    await eventually(lambda: _clean(runner))
    await runner.backend.close()


async def test_a_line_in_a_log_is_heard_although_the_connection_before_was_swallowed(
    world: KubernetesWorld, through: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "SILENCE_S", 2.0)
    monkeypatch.setattr(client, "ANSWER_LIMIT_S", 2.0)
    runner = Runner(world, await world.open())
    code = "import os, time\nwhile not os.path.exists('/zoe/go'): time.sleep(0.1)\nprint('here', flush=True)\ntime.sleep(600)"
    await runner.launch(runner.order("one", code=code, ready=Probe(log="^here", timeout_s=60.0)))
    await eventually(lambda: _has_run(runner, "true"))
    through.swallow()
    await eventually(lambda: _sees(runner))
    await eventually(lambda: _has_run(runner, "touch", "/zoe/go"))
    await eventually(lambda: _is(runner, SeenState.READY))
    await eventually(lambda: _clean(runner))
    await runner.backend.close()


@pytest.mark.timeout(300)
async def test_a_slow_api_server_is_waited_for(world: KubernetesWorld, way: Line) -> None:
    """Nothing is lost, doubled or taken for dead meanwhile, although each answer takes longer than what is looked at again and again."""
    way.delay_s = 3.0
    runner = Runner(world, await world.open())
    code = "import time\nfor number in range(3): print('line', number, flush=True)\ntime.sleep(600)"
    order = runner.order("one", code=code, ready=Probe(log="^line 2", timeout_s=120.0))
    await runner.launch(order)
    await runner.launch(order)
    await runner.until("one", "app.main-0", SeenState.READY, deadline_s=90)
    assert len(_pods(world)) == 1
    assert await runner.output("one") == b"line 0\nline 1\nline 2\n"
    assert await runner.backend.run("one", "app.main-0", 1, ("true",), environment={}, timeout_s=60.0) == 0
    assert not (await runner.backend.observe()).unreachable

    await runner.backend.stop("one", "app.main-0", 1, grace_s=1)
    await runner.ended("one", deadline_s=60)
    await runner.backend.clean("one", keep_logs=True)
    assert await runner.output("one") == b"line 0\nline 1\nline 2\n"
    await runner.backend.close()


def _pods(world: KubernetesWorld) -> list[str]:
    found = cluster.kubectl("get", "pods", "-n", world.namespace, "-l", names.selector(world.deployment), "-o", "json")
    return [pod["metadata"]["name"] for pod in json.loads(found)["items"]]


async def _is_made(world: KubernetesWorld) -> bool:
    return bool(_pods(world))
