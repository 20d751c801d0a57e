"""A core is killed at each point on the way to a container: the next one goes on with what it finds, and nothing is there twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.backends.docker.conftest import DockerWorld
from tests.failpoints import failpoints
from zoe_jupyter.backends import docker as room
from zoe_jupyter.testing.backend_contract import FOREVER, Runner

pytestmark = pytest.mark.docker

CORE = Path(__file__).with_name("core_process.py")
CODE = f"print('started', open('/zoe/token').read(), flush=True); {FOREVER}"


@pytest.mark.parametrize("point", failpoints(Path(room.__file__).parent))
async def test_a_launch_that_was_cut_off_is_finished_by_the_next_core(
    runner: Runner, world: DockerWorld, engine: Any, point: str
) -> None:
    command = ("python3", "-u", "-c", CODE)
    order = {
        "execution_id": "one", "service": "app.main-0", "image": world.image, "command": command, "files": {"token": "hush"},
    }  # fmt: skip
    core = [sys.executable, str(CORE), str(world.data_dir), world.deployment, json.dumps(order)]
    killed = await asyncio.to_thread(subprocess.run, core, env={**os.environ, "ZOE_FAILPOINT": point}, timeout=60)
    assert killed.returncode == -signal.SIGKILL

    runner.backend = await world.open()
    await runner.start("one", command=command, files={"token": "hush"})

    await runner.said("one", "app.main-0", b"started hush")
    assert (await runner.output("one")).count(b"started") == 1
    assert len(world.left(engine)) == 2, "one container in one network"
