"""A container is held to its cores, and to more of them while nobody else wants them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.docker.conftest import DockerWorld
from zoe_jupyter.backends.docker import DockerBackend
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.testing.backend_contract import Runner
from zoe_jupyter.testing.cores_contract import CoresContract


@pytest.mark.docker
class TestDockerCores(CoresContract):
    @pytest.fixture
    async def runner(self, world: DockerWorld) -> AsyncIterator[Runner]:
        world.options = {"limits_cpu": True}
        runner = Runner(world, await world.open())
        yield runner
        await runner.backend.clean("one", keep_logs=False)
        for backend in world.opened:
            await backend.close()

    async def test_no_container_gets_more_than_its_engine_has_and_a_new_core_sees_what_it_has(
        self, runner: Runner, world: DockerWorld, engine: Any
    ) -> None:
        seen = await runner.start("one", resources=Resources(500_000, 64 * 1024**2))
        assert _quota_us(engine, seen.handle) == 50_000
        await runner.backend.set_cores("one", "app.main-0", 1, microcores=10**9)
        assert _quota_us(engine, seen.handle) == engine.info()["NCPU"] * 100_000
        again = await world.open()
        await again.set_cores("one", "app.main-0", 1, microcores=750_000)
        assert _quota_us(engine, seen.handle) == 75_000


def _quota_us(engine: Any, handle: Any) -> int:
    return int(engine.inspect_container(handle["container_id"])["HostConfig"]["CpuQuota"])


@pytest.mark.parametrize(
    ("options", "changes_cores"),
    [({}, False), ({"limits_cpu": True}, True), ({"limits_cpu": True, "shares_cpu": False}, False)],
)
def test_only_who_is_held_to_its_cores_can_get_others(
    tmp_path: Path, options: dict[str, bool], *, changes_cores: bool
) -> None:
    backend = DockerBackend(deployment="test", data_dir=tmp_path, **options)  # type: ignore[arg-type]
    assert backend.capabilities().changes_cores is changes_cores
