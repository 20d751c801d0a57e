"""A core is killed at each point on the way to a pod and to its end: the next one goes on with what it finds, and nothing is there twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backends.kubernetes.conftest import KubernetesWorld
from tests.failpoints import failpoints
from zoe_jupyter.backends import kubernetes as room
from zoe_jupyter.testing.backend_contract import FOREVER, Runner

pytestmark = [pytest.mark.kubernetes, pytest.mark.slow]

CORE = Path(__file__).with_name("core_process.py")
CODE = f"print('started', flush=True); {FOREVER}"


@pytest.mark.parametrize("point", failpoints(Path(room.__file__).parent))
async def test_what_was_cut_off_is_finished_by_the_next_core(world: KubernetesWorld, point: str) -> None:
    command = ("python3", "-u", "-c", CODE)
    order = {"execution_id": "one", "service": "app.main-0", "image": world.image, "command": command}
    options = {
        "deployment": world.deployment, "data_dir": str(world.data_dir), "kubeconfig": str(world.kubeconfig), "namespace": world.namespace,
    }  # fmt: skip
    core = [sys.executable, str(CORE), json.dumps(options), json.dumps(order)]
    killed = await asyncio.to_thread(subprocess.run, core, env={**os.environ, "ZOE_FAILPOINT": point}, timeout=120)
    assert killed.returncode == -signal.SIGKILL

    runner = Runner(world, await world.open())
    if point.startswith("clean."):
        await runner.backend.clean("one", keep_logs=False)
        world.assert_nothing_is_left()
    await runner.start("one", command=command)
    await runner.said("one", "app.main-0", b"started")
    assert (await runner.output("one")).count(b"started") == 1
    assert len([each for each in world.objects() if each.startswith("Pod ")]) == 1
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()
