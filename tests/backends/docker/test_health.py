"""Who answers no more is told, and started again by its restart policy: from the description to the containers; what an image thinks is told only."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.docker.conftest import BASE, DockerWorld
from zoe_jupyter.backends.base import Seen, SeenState
from zoe_jupyter.engine.core import Core, open_core
from zoe_jupyter.engine.door import Caller, Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.execution import ServiceState, State
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = [pytest.mark.docker, pytest.mark.slow]
ADA = Caller("ada", is_admin=True)
SERVER = """
import http.server, itertools, sys, time
asked = itertools.count()
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if next(asked) > 2:
            time.sleep(600)
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer((sys.argv[1], int(sys.argv[2])), Page).serve_forever()
"""
SERVICE = """
zoe: 1
kind: framework
name: tired
version: "1"
title: Tired
processes:
  main:
    image: zoe-test/base
    command: [python3, -c, {code}, "{{{{ host }}}}", "{{{{ ports.web }}}}"]
    ports: {{web: {{protocol: http}}}}
    resources: {{cores: 0.1, memory: 64MiB}}
    ready: {{http: web/}}
    health: {{http: web/, every_s: 1, timeout_s: 1, failures: 2}}
    restart: {{when: on-failure, delay_s: 0.1, attempts: 100}}
    stop: {{grace_s: 0}}
"""


@pytest.fixture
async def core(world: DockerWorld, tmp_path: Path) -> AsyncIterator[Core]:
    folder = tmp_path / "shop" / "tired"
    folder.mkdir(parents=True)
    (folder / "framework.yaml").write_text(SERVICE.format(code=json.dumps(SERVER)))
    world.data_dir.mkdir(mode=0o700)
    sources = (str(tmp_path / "shop"),)
    core = await open_core(
        Settings(data_dir=world.data_dir, backend="docker", shop_sources=sources, deployment=world.deployment)
    )
    yield core
    await core.close()


@pytest.fixture
def ill_image(engine: Any) -> Iterator[str]:
    """Its own health check fails always."""
    name = "zoe-test/ill:1"
    made = engine.create_container(BASE, command=["true"])
    engine.commit(made["Id"], repository=name, changes=["HEALTHCHECK --interval=1s --retries=1 CMD false"])
    engine.remove_container(made["Id"])
    yield name
    engine.remove_image(name, force=True)


async def test_what_an_image_thinks_of_itself_is_told_and_nobody_waits_for_it(runner: Runner, ill_image: str) -> None:
    await runner.start("one", image=ill_image)
    found: list[Seen] = []

    async def is_told() -> bool:
        seen = await runner.seen("one")
        found[:] = [seen] if seen is not None and seen.reason is not None else []
        return bool(found)

    await eventually(is_told)
    (seen,) = found
    assert seen.state is SeenState.READY
    assert seen.reason is not None
    assert (seen.reason.code, seen.reason.text) == ("unhealthy", "its image's own health check fails")


async def test_who_answers_no_more_is_told_and_started_again(core: Core) -> None:
    begun, _ = await core.submit(Submission(use="tired"), ADA, key=None)

    async def is_at_its_second_try() -> bool:
        services = (await core.execution(begun.id, ADA)).services.values()
        return any(service.attempt >= 2 and service.state is ServiceState.RUNNING for service in services)

    await eventually(is_at_its_second_try, deadline_s=90)
    told = [line.text for line in await core.story(begun.id, ADA)]
    assert any("it works no more: 2 times in a row waited for its page web/ to answer" in text for text in told), told
    await core.stop(begun.id, ADA)

    async def has_nothing() -> bool:
        ended = (await core.execution(begun.id, ADA)).state is State.ENDED
        return ended and not (await core._backend.observe()).kept

    await eventually(has_nothing, deadline_s=60)
