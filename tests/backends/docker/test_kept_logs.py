"""What Zoe keeps on its own disk of the logs of a service that is started again and again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.backends.docker.conftest import DockerWorld
from tests.backends.docker.test_probing import FOUND
from zoe_jupyter.backends.base import ServiceOrder
from zoe_jupyter.backends.containers.kept import LEFT_OUT
from zoe_jupyter.backends.docker import DockerBackend, logs
from zoe_jupyter.backends.docker import backend as docker_backend
from zoe_jupyter.backends.docker.logs import KeptLogs
from zoe_jupyter.backends.docker.notes import Notes
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.model.application import Probe
from zoe_jupyter.model.errors import TooMany
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.testing.backend_contract import FOREVER, OWNER, Runner, eventually
from zoe_jupyter.turns import Turns

READY = f"print('ready', flush=True); {FOREVER}"


@pytest.mark.docker
@pytest.mark.parametrize(("shares", "whose"), [((2, 5), "one"), ((5, 2), OWNER)])
async def test_who_reads_too_many_logs_at_once_is_told_so(runner: Runner, shares: tuple[int, int], whose: str) -> None:
    """Each is a connection to the engine."""
    assert isinstance(runner.backend, DockerBackend)
    runner.backend._reading = Turns(10, *shares)
    await runner.start("one", code=READY.replace("ready", "said"))
    await runner.said("one", "app.main-0", b"said")
    open_ones = [runner.backend.logs("one", "app.main-0", tail=None, follow=True) for _ in range(2)]
    for each in open_ones:
        assert await anext(each) == b"said\n"
    with pytest.raises(TooMany, match=f"logs that are read: 2 are open for {whose}"):
        await runner.output("one")
    for each in open_ones:
        await each.aclose()  # type: ignore[attr-defined]
    assert await runner.output("one") == b"said\n"


@pytest.mark.docker
async def test_of_what_is_started_again_and_again_only_the_last_start_is_remembered(
    runner: Runner, world: DockerWorld
) -> None:
    ids = []
    for attempt in range(1, 4):
        seen = await runner.start("one", attempt=attempt, code=READY, ready=Probe(log="^ready"))
        ids.append(seen.handle["container_id"])
        await runner.backend.stop("one", "app.main-0", attempt, grace_s=0)
        await runner.ended("one", attempt=attempt)
    file = world.data_dir / "docker" / "notes.json"

    async def has_the_last_only() -> bool:
        return bool(json.loads(file.read_text())["ready"] == ids[2:])

    await eventually(has_the_last_only)


async def test_a_launch_does_not_wait_until_the_log_of_the_attempt_before_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its container goes once it is."""
    backend = DockerBackend(
        deployment="test", data_dir=tmp_path, engines=[EngineSettings(name="a", url=f"unix://{tmp_path / 'none'}")]
    )
    place, who, may_go_on, remove = backend._site.place("a"), FOUND.attempt, asyncio.Event(), AsyncMock()

    async def keep(*_: object) -> None:
        await may_go_on.wait()

    before, after = (
        replace(FOUND, id=str(n), attempt=replace(who, attempt=n), is_running=n == 2, probe=None) for n in (1, 2)
    )
    place.engine.containers |= {before.id: before, after.id: after}
    monkeypatch.setattr(place.launcher, "launch", AsyncMock(return_value=after))
    monkeypatch.setattr(backend._kept_logs, "keep", keep)
    monkeypatch.setattr(docker_backend, "remove", remove)

    order = ServiceOrder("test", who.execution_id, OWNER, who.service, 2, ("run",))
    handle = await asyncio.wait_for(backend.launch(order, "a"), 5)
    assert (handle["container_id"], remove.await_count) == ("2", 0)

    may_go_on.set()

    async def is_removed() -> bool:
        return bool(remove.await_count)

    await eventually(is_removed)
    remove.assert_awaited_once_with(place.engine, before)


def test_of_containers_that_no_engine_has_nothing_is_remembered(tmp_path: Path) -> None:
    notes = Notes(tmp_path / "notes.json")
    for container_id in ("here", "gone"):
        notes.set_ready(container_id)
        notes.set_verdict(container_id, Reason("not_ready", "late"))
    notes.keep((), ["here"])
    again = Notes(tmp_path / "notes.json")
    again.read()
    for container_id, is_known in (("here", True), ("gone", False)):
        assert again.is_ready(container_id) is is_known
        assert (again.verdict(container_id) is not None) is is_known


async def test_the_logs_of_a_service_that_is_started_again_and_again_have_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def follow(*_: Any, **__: Any) -> AsyncIterator[bytes]:
        yield b"x" * 999 + b"\n"

    monkeypatch.setattr(logs, "follow", follow)
    engine: Any = SimpleNamespace(copies=asyncio.Semaphore(1))
    kept = KeptLogs(tmp_path, limit_bytes=3000)
    for number in range(1, 13):
        for service in ("app.main-0", "app.main-1"):
            attempt = replace(FOUND.attempt, service=service, attempt=number)
            await kept.keep(engine, replace(FOUND, attempt=attempt))

    who = FOUND.attempt
    found = kept.sources(who.deployment, who.execution_id, "app.main-0")
    assert [(number, found[number].path.stat().st_size) for number in sorted(found)] == [
        (9, len(LEFT_OUT)), (10, 1000), (11, 1000), (12, 1000)
    ]  # fmt: skip
