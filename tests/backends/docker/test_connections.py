"""Connections to an engine that are slow, are cut without a goodbye, or lose an answer."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.backends.docker.conftest import DockerWorld
from tests.backends.docker.proxy import Proxy, before_engine
from zoe_jupyter.backends.base import SeenState, Unreachable
from zoe_jupyter.backends.docker.calls import QUICK_S
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.testing.backend_contract import FOREVER, Runner, eventually

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]
SAYS = f"print('said', flush=True); {FOREVER}"
UNREAD = b"[zoe] what app.main-0 said in its start 1 cannot be read to its end now: the engine far does not answer"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with before_engine() as found:
        yield found


@pytest.fixture
async def runner(world: DockerWorld, proxy: Proxy) -> AsyncIterator[Runner]:
    world.options["engines"] = (EngineSettings(name="far", url=proxy.url),)
    runner = Runner(world, await world.open())
    yield runner
    for execution_id in ("one", "two"):
        await runner.backend.clean(execution_id, keep_logs=False)
    await world.close(runner.backend)


async def test_after_a_cut_that_nobody_noticed_ends_are_seen_at_once_again(
    runner: Runner, proxy: Proxy, engine: Any
) -> None:
    seen = await runner.start("one")
    proxy.cut()
    await eventually(lambda: _is_silent(runner), deadline_s=40)
    assert UNREAD in await runner.output("one")
    proxy.mend()
    await eventually(lambda: _answers(runner), deadline_s=40)
    began = time.monotonic()
    await runner.start("two")
    assert time.monotonic() - began < 10, "it was asked over a connection that nobody answers"
    engine.kill(seen.handle["container_id"])
    await runner.ended("one", deadline_s=10)


async def _is_silent(runner: Runner) -> bool:
    try:
        return bool((await runner.backend.observe()).unreachable)
    except Unreachable:
        return True


async def _answers(runner: Runner) -> bool:
    return not await _is_silent(runner)


async def test_its_node_is_told_without_asking_again_what_was_just_observed(runner: Runner, proxy: Proxy) -> None:
    await runner.backend.observe()
    proxy.cut()
    assert [node.is_enabled for node in await runner.backend.nodes()] == [True]
    await eventually(lambda: _is_silent(runner), deadline_s=40)
    assert [node.is_enabled for node in await runner.backend.nodes()] == [False]
    proxy.mend()


async def test_a_slow_engine_is_waited_for(runner: Runner, proxy: Proxy) -> None:
    proxy.delay_s = 0.5
    await runner.start("one")
    assert not (await runner.backend.observe()).unreachable
    assert await runner.backend.run("one", "app.main-0", 1, ("true",), environment={}, timeout_s=30) == 0
    await runner.backend.stop("one", "app.main-0", 1, grace_s=1)
    await runner.ended("one")
    proxy.delay_s = 0.0


async def test_the_log_of_an_engine_that_is_busy_for_long_is_waited_for(runner: Runner, proxy: Proxy) -> None:
    await runner.start("one", code=SAYS)
    await runner.said("one", "app.main-0", b"said\n")
    proxy.hold(b"/logs", QUICK_S + 1)
    assert await runner.output("one") == b"said\n"
    assert not (await runner.backend.observe()).unreachable


async def test_a_log_that_cannot_be_read_says_so_and_is_none_that_is_empty(runner: Runner, proxy: Proxy) -> None:
    await runner.start("one", code=SAYS)
    await runner.said("one", "app.main-0", b"said\n")
    proxy.lose_answer(b"/logs", times=100)
    for tail in (None, 5):
        assert (await runner.output("one", tail=tail)).count(UNREAD) == 1
    with pytest.raises(Retryable, match="the engine far does not answer"):
        await runner.output("one", follow=True)
    proxy.lose_answer(b"/logs", times=0)
    assert await runner.output("one") == await runner.output("one", tail=5) == b"said\n"


async def test_a_log_that_breaks_off_while_it_is_kept_is_kept_by_the_next_try(runner: Runner, proxy: Proxy) -> None:
    """Else half of it would be all that is left when its container is removed."""
    await runner.launch(runner.order("one", code="for number in range(50_000): print('line', number)"))
    await runner.ended("one")
    proxy.lose_answer(b"/logs", after_bytes=100_000)
    with pytest.raises(Retryable, match="the engine far does not answer"):
        await runner.backend.clean("one", keep_logs=True)
    await runner.backend.clean("one", keep_logs=True)
    assert (await runner.output("one")).count(b"\n") == 50_000


@pytest.mark.parametrize("request_line", [b"/containers/create", b"/archive", b"/start", b"/networks/create"])
async def test_a_launch_whose_answer_is_lost_is_found_by_the_next_one(
    runner: Runner, proxy: Proxy, world: DockerWorld, engine: Any, request_line: bytes
) -> None:
    order = runner.order("one", code=f"print('started', flush=True); {FOREVER}")
    proxy.lose_answer(request_line)
    with pytest.raises(Unreachable):
        await runner.launch(order)
    await runner.launch(order)
    await runner.said("one", "app.main-0", b"started")
    assert (await runner.output("one")).count(b"started") == 1
    assert len(world.left(engine)) == 2, "one container in one network"
    assert (await runner.until("one", "app.main-0", SeenState.READY)).attempt == 1
