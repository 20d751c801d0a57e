"""An API server that does not answer for a time: at the start, while services run, and just when something was made."""

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
from zoe_jupyter.backends.kubernetes import client, names, objects, watched
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(120)]


@pytest.fixture
async def through(world: KubernetesWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    """The world's way to its cluster, which is watched more impatiently."""
    if not cluster.is_ours():
        pytest.skip("the certificate of that cluster is for other addresses than this machine's")
    monkeypatch.setattr(client, "CONNECT_LIMIT_S", 1.0)
    monkeypatch.setattr(watched, "SILENCE_S", 2.0)
    async with line(world.kubeconfig, tmp_path) as found:
        world.kubeconfig = found.kubeconfig
        yield found


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
    await runner.start("one")
    await eventually(lambda: _is_measured(runner))
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def _is_measured(runner: Runner) -> bool:
    return runner.backend.capabilities().limits["usage"] != "none"


async def test_what_ended_while_the_line_was_cut_is_seen_when_it_stands_again(
    world: KubernetesWorld, through: Line
) -> None:
    runner = Runner(world, await world.open())
    await runner.start("one")
    through.cut()
    await eventually(lambda: _is_blind(runner))
    cluster.kubectl("delete", "pods", "-n", world.namespace, "-l", names.selector(world.deployment), "--grace-period=1")

    await through.mend()
    await eventually(lambda: _sees(runner))
    seen = await runner.seen("one")
    assert seen is not None
    assert (seen.state, seen.is_blameless) == (SeenState.EXITED, True)
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_what_was_made_although_no_answer_came_is_not_made_twice(
    world: KubernetesWorld, through: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = Runner(world, await world.open())
    monkeypatch.setattr(objects, "failpoint", lambda name: through.deafen() if name == "launch.given" else None)
    launching = asyncio.ensure_future(runner.launch(runner.order("one")))
    await eventually(lambda: _is_made(world))
    monkeypatch.undo()
    await through.mend()
    with pytest.raises(Unreachable):
        await launching

    await eventually(lambda: _sees(runner))
    await runner.launch(runner.order("one"))
    await runner.until("one", "app.main-0", SeenState.READY)
    assert len(_pods(world)) == 1
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


def _pods(world: KubernetesWorld) -> list[str]:
    found = cluster.kubectl("get", "pods", "-n", world.namespace, "-l", names.selector(world.deployment), "-o", "json")
    return [pod["metadata"]["name"] for pod in json.loads(found)["items"]]


async def _is_made(world: KubernetesWorld) -> bool:
    return bool(_pods(world))
