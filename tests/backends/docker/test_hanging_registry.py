"""A registry that hangs holds up only those who want its images, and keeps nobody from being stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.backends.docker.conftest import DockerWorld
from zoe_jupyter.engine.actions import LAUNCHES_AT_ONCE
from zoe_jupyter.engine.core import Core, open_core
from zoe_jupyter.engine.door import Caller, Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.execution import Execution, State
from zoe_jupyter.testing.backend_contract import eventually

pytestmark = [pytest.mark.docker, pytest.mark.timeout(180)]
ADA, BOB = Caller("ada"), Caller("bob")
SERVICES = """
zoe: 1
kind: framework
name: {name}
version: "1"
title: Sleepers
processes:
  main:
    count: {{core: {count}}}
    image: {image}
    command: [sleep, "600"]
    resources: {{cores: 0.05, memory: 16MiB}}
    stop: {{grace_s: 0}}
"""


class HangingRegistry(ThreadingHTTPServer):
    """Says that it is one, and nothing else for as long as somebody waits."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Ask)
        self.asked = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def name(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _Ask(BaseHTTPRequestHandler):
    server: HangingRegistry

    def do_GET(self) -> None:
        if self.path.rstrip("/") == "/v2":
            self.send_response(200)
            self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.server.asked.set()
        self.close_connection = True
        self.connection.recv(1)

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def registry() -> Iterator[HangingRegistry]:
    with HangingRegistry() as found:
        yield found
        found.shutdown()


@pytest.fixture
async def core(world: DockerWorld, registry: HangingRegistry, tmp_path: Path) -> AsyncIterator[Core]:
    shop = tmp_path / "shop"
    for name, count, image in (
        ("one", 1, f"{registry.name}/never:1"),
        ("many", LAUNCHES_AT_ONCE, f"{registry.name}/never:2"),
        ("quick", 1, world.image),
    ):
        (shop / name).mkdir(parents=True)
        (shop / name / "framework.yaml").write_text(SERVICES.format(name=name, count=count, image=image))
    world.data_dir.mkdir(mode=0o700)
    core = await open_core(
        Settings(
            data_dir=world.data_dir,
            backend="docker",
            backend_options={"overcommit": 20.0},
            shop_sources=(str(shop),),
            deployment=world.deployment,
        )
    )
    yield core
    await eventually(lambda: _is_nothing_left(core))
    await core.close()


async def _is_nothing_left(core: Core) -> bool:
    return not (await core._backend.observe()).kept


async def until(core: Core, execution: Execution, state: State) -> None:
    async def is_there() -> bool:
        return (await core.execution(execution.id, BOB)).state is state

    await eventually(is_there, deadline_s=20)


async def test_who_waits_for_an_image_is_stopped_at_once(core: Core, registry: HangingRegistry) -> None:
    waiting, _ = await core.submit(Submission(use="one"), BOB, key=None)

    async def is_told() -> bool:
        (service,) = (await core.execution(waiting.id, BOB)).services.values() or (None,)
        return service is not None and service.reason is not None and service.reason.code == "pulling"

    await eventually(is_told)
    assert await asyncio.to_thread(registry.asked.wait, 20)
    await core.stop(waiting.id, BOB)
    await until(core, waiting, State.ENDED)


async def test_however_many_wait_for_an_image_others_start(core: Core, registry: HangingRegistry) -> None:
    many, _ = await core.submit(Submission(use="many"), BOB, key=None)
    assert await asyncio.to_thread(registry.asked.wait, 20)
    quick, _ = await core.submit(Submission(use="quick"), BOB, key=None)
    await until(core, quick, State.RUNNING)
    for execution in (many, quick):
        await core.stop(execution.id, BOB)
        await until(core, execution, State.ENDED)
