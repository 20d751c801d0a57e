"""The backend in memory does what tests of the engine count on."""

from __future__ import annotations

import asyncio

import pytest

from zoe_jupyter.backends.base import SeenState, ServiceOrder, Unreachable
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.testing.fake_backend import FakeBackend


def order(service: str = "app.main-0", attempt: int = 1) -> ServiceOrder:
    return ServiceOrder(
        deployment="test", execution_id="one", owner="ada", service=service, attempt=attempt, command=("run",)
    )


async def test_launching_again_starts_nothing() -> None:
    backend = FakeBackend()
    assert await backend.launch(order(), "local") == await backend.launch(order(), "local")
    assert len(backend.launched) == 1
    assert backend.state_of("one", "app.main-0") is SeenState.READY


async def test_services_become_ready_and_exit_when_told() -> None:
    backend = FakeBackend(auto_ready=False, auto_exit=False)
    await backend.launch(order(), "local")
    assert backend.state_of("one", "app.main-0") is SeenState.STARTING
    backend.make_ready("one", "app.main-0")
    await backend.stop("one", "app.main-0", 1, grace_s=1)
    assert backend.state_of("one", "app.main-0") is SeenState.READY
    backend.exit("one", "app.main-0", 7)
    (seen,) = (await backend.observe()).services
    assert (seen.state, seen.exit_code) == (SeenState.EXITED, 7)
    assert backend.alive() == []


async def test_faults_come_as_often_as_told() -> None:
    backend = FakeBackend()
    backend.fail_launch(Retryable("no"), times=2)
    for _ in range(2):
        with pytest.raises(Retryable):
            await backend.launch(order(), "local")
    await backend.launch(order(), "local")
    backend.is_reachable = False
    with pytest.raises(Unreachable):
        await backend.observe()
    backend.is_reachable = True
    backend.unreachable["one"] = "silent"
    observation = await backend.observe()
    assert (list(observation.services), dict(observation.unreachable)) == ([], {"one": "silent"})


async def test_a_change_wakes_who_waits() -> None:
    backend = FakeBackend()
    changes = backend.changes()
    waiting = asyncio.ensure_future(changes.__anext__())
    await asyncio.sleep(0)
    await backend.launch(order(), "local")
    await asyncio.wait_for(waiting, 1)


async def test_a_follower_ends_with_a_stop_and_not_with_an_exit() -> None:
    backend = FakeBackend()
    await backend.launch(order(), "local")
    backend.say("one", "app.main-0", b"a\nb\n")

    async def follow() -> bytes:
        return b"".join([chunk async for chunk in backend.logs("one", "app.main-0", tail=1, follow=True)])

    following = asyncio.ensure_future(follow())
    await asyncio.sleep(0)
    backend.exit("one", "app.main-0", 1)
    await backend.launch(order(attempt=2), "local")
    backend.say("one", "app.main-0", b"c\n")
    await asyncio.sleep(0)
    assert not following.done()
    await backend.stop("one", "app.main-0", 2, grace_s=1)
    assert await asyncio.wait_for(following, 1) == b"b\nc\n"
