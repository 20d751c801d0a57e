"""Wherever a Zoe on a Docker Engine is killed, no container is lost and none is there twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.backends.containers.killed_zoe import LIVES, furnish, survive
from tests.backends.docker.conftest import DockerWorld
from zoe_jupyter.testing.chaos import ChaosHarness

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.timeout(200)]


@pytest.mark.parametrize("life", LIVES)
def test_a_zoe_that_is_killed_loses_and_doubles_no_container(
    world: DockerWorld, engine: Any, tmp_path: Path, life: str
) -> None:
    home = ChaosHarness(tmp_path)
    furnish(home, "docker", world.deployment, {"overcommit": 20.0})
    survive(home, LIVES[life], running=lambda: containers(world, engine), left=lambda: world.left(engine))


def containers(world: DockerWorld, engine: Any) -> set[tuple[str, str]]:
    """Service and id of each that runs."""
    found = engine.containers(filters={"label": f"jupyter.zoe.deployment={world.deployment}"})
    return {(each["Labels"]["jupyter.zoe.service"], each["Id"]) for each in found}
