"""Images that are not there are fetched from a registry: once for all who want them, with progress, and with the registry's own words when not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.docker.conftest import BASE, DockerWorld
from tests.backends.docker.proxy import Proxy, before_port
from tests.backends.docker.registry import Registry, is_there, registry
from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.model.errors import Fatal, Retryable
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = [
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not is_there(), reason="no registry here: apt-get install docker-registry"),
]
FOREVER = ("sleep", "600")


@pytest.fixture
def shelf(tmp_path: Path, engine: Any) -> Iterator[Registry]:
    """A registry; what was pulled from it is removed from the engine."""
    with registry(tmp_path) as found:
        yield found
    for image in engine.images():
        for name in image["RepoTags"] or image["RepoDigests"] or ():
            if name.startswith(found.name("")):
                engine.remove_image(name, force=True)


async def test_an_image_is_pulled_once_and_told_about(runner: Runner, shelf: Registry, engine: Any) -> None:
    shelf.push(engine, BASE, "large:1", content=os.urandom(120 << 20))
    image = shelf.name("large:1")
    orders = [runner.order(name, command=FOREVER, image=image) for name in ("one", "two")]
    launching = asyncio.gather(*map(runner.launch, orders))
    told: list[Any] = []

    async def is_told() -> bool:
        seen = (await runner.backend.observe()).services
        told.extend(each.reason for each in seen if each.reason is not None and each.reason.code == "pulling")
        return bool(told) or launching.done()

    await eventually(is_told)
    await launching
    assert told
    assert told[0].text.startswith(f"pulling the image {image}: ")
    assert 0 <= told[0].numbers["part"] < 1
    for order in orders:
        seen = await runner.until(order.execution_id, order.service, SeenState.READY)
        assert seen.reason is None
        assert seen.handle["image_id"] == engine.inspect_image(image)["Id"]


async def test_a_pull_that_nobody_waits_for_any_more_is_given_up_and_can_begin_anew(
    runner: Runner, shelf: Registry, engine: Any
) -> None:
    shelf.push(engine, BASE, "large:1", content=os.urandom(16 << 20))
    with before_port(shelf.port) as proxy:
        proxy.answer_delay_s = 0.2
        order = runner.order("one", command=FOREVER, image=f"127.0.0.1:{proxy.port}/large:1")
        launches = [asyncio.create_task(runner.launch(order)) for _ in range(2)]
        await eventually(lambda: _is_under_way(proxy))
        launches.pop().cancel()
        assert not await asyncio.to_thread(proxy.was_left.wait, 2), "somebody still waits for it"
        launches.pop().cancel()
        assert await asyncio.to_thread(proxy.was_left.wait, 20)
        proxy.answer_delay_s = 0.0
        await runner.launch(order)
        await runner.until("one", order.service, SeenState.READY)
        engine.remove_image(order.image, force=True)


async def _is_under_way(proxy: Proxy) -> bool:
    return proxy.passed >= 1 << 20


async def test_a_digest_names_one_image_wherever_its_tag_points(runner: Runner, shelf: Registry, engine: Any) -> None:
    first = shelf.push(engine, BASE, "moving:1", content=b"first\n")
    second = shelf.push(engine, BASE, "moving:1", content=b"second\n")
    assert first != second
    by_digest = f"{shelf.name('moving')}@{first}"
    await runner.launch(runner.order("one", command=("sh", "-c", "cat /content; sleep 600"), image=by_digest))
    await runner.said("one", "app.main-0", b"first")
    await runner.launch(
        runner.order("two", command=("sh", "-c", "cat /content; sleep 600"), image=shelf.name("moving:1"))
    )
    await runner.said("two", "app.main-0", b"second")
    for name, digest in (("one", first), ("two", second)):
        seen = await runner.seen(name)
        assert seen is not None
        assert seen.image == f"{shelf.name('moving')}@{digest}"


async def test_what_the_registry_does_not_have_is_told_in_its_words(runner: Runner, shelf: Registry) -> None:
    image = shelf.name("nothing:1")
    with pytest.raises(Fatal, match=f"there is no image {image}: .*(not found|manifest unknown)") as refused:
        await runner.launch(runner.order("one", command=FOREVER, image=image))
    assert refused.value.reason == "image_missing"


async def test_a_registry_that_is_down_is_tried_again(runner: Runner, shelf: Registry, engine: Any) -> None:
    shelf.push(engine, BASE, "late:1", content=b"late")
    shelf.stop()
    order = runner.order("one", command=FOREVER, image=shelf.name("late:1"))
    with pytest.raises(Retryable, match=r"could not be pulled: .*connection refused"):
        await runner.launch(order)
    shelf.start()
    await runner.launch(order)
    await runner.until("one", order.service, SeenState.READY)


async def test_a_site_that_pulls_nothing_says_so(world: DockerWorld, shelf: Registry, engine: Any) -> None:
    shelf.push(engine, BASE, "there:1", content=b"there")
    world.options["pull"] = "never"
    runner = Runner(world, await world.open())
    with pytest.raises(Fatal, match="this site pulls none"):
        await runner.launch(runner.order("one", command=FOREVER, image=shelf.name("there:1")))
    await runner.backend.close()
