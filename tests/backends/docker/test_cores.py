"""A container is held to its cores, and to more of them while nobody else wants them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.backends.docker.conftest import DockerWorld
from zoe_jupyter.backends.docker import DockerBackend
from zoe_jupyter.backends.docker import engine as engine_module
from zoe_jupyter.engine.core import Core
from zoe_jupyter.engine.door import Caller, Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.backend_contract import Runner, eventually
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

    async def test_an_engine_that_has_grown_is_seen_so_when_all_is_listed_again(
        self, runner: Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert isinstance(runner.backend, DockerBackend)
        (as_it_is,) = await runner.backend.nodes()
        (there,) = runner.backend._site.answering()
        there.info = {**there.info, "NCPU": 1, "MemTotal": 2**30}
        (as_it_was,) = await runner.backend.nodes()
        assert as_it_was.capacity.memory_bytes < as_it_is.capacity.memory_bytes
        monkeypatch.setattr(engine_module, "LISTED_EVERY_S", 0.0)
        await runner.backend.observe()
        assert await runner.backend.nodes() == [as_it_is]


JOB = """
zoe: 1
kind: framework
name: job
title: Test job
summary: Sleeps
ends_with: main
processes:
  main: {{image: {image}, command: [sleep, "600"], resources: {{cores: 0.5, memory: 32MiB}}, restart: {{when: never}}}}
"""


@pytest.mark.docker
async def test_what_runs_shares_what_nobody_asked_for_and_gives_it_back(
    tmp_path: Path, world: DockerWorld, engine: Any
) -> None:
    """The whole of Zoe on a real engine."""
    folder = tmp_path / "shop" / "job"
    folder.mkdir(parents=True)
    (folder / "framework.yaml").write_text(JOB.format(image=world.image))
    world.options = {"limits_cpu": True, "overcommit": 1.0}
    settings = Settings(data_dir=tmp_path, shop_sources=(str(tmp_path / "shop"),), deployment=world.deployment)
    core = Core(settings=settings, backend=await world.open(), store=Store(f"sqlite:///{tmp_path / 'zoe.db'}"))
    await core.open()
    ada, most = Caller("ada"), engine.info()["NCPU"] * 100_000
    try:
        first, _ = await core.submit(Submission(use="job"), ada, key=None)
        await _until_quotas(world, engine, [most])
        second, _ = await core.submit(Submission(use="job"), ada, key=None)
        half = 50_000 + (most - 100_000) // 2 // 10_000 * 10_000
        await _until_quotas(world, engine, [half, half])
        await core.stop(second.id, ada)
        await _until_quotas(world, engine, [most])
        await core.stop(first.id, ada)
        await eventually(lambda: _is_nothing_left(world, engine))
    finally:
        await core.close()


async def _is_nothing_left(world: DockerWorld, engine: Any) -> bool:
    return not world.left(engine)


async def _until_quotas(world: DockerWorld, engine: Any, quotas: list[int]) -> None:
    """Wait until what the deployment has runs with these."""
    wanted = {"label": f"jupyter.zoe.deployment={world.deployment}"}

    async def is_so() -> bool:
        found = [engine.inspect_container(each["Id"]) for each in engine.containers(filters=wanted)]
        return [each["HostConfig"]["CpuQuota"] for each in found] == quotas

    await eventually(is_so)


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
