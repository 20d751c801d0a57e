"""Two Zoe that have one `deployment` by mistake, on one engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends.docker.conftest import DockerWorld
from tests.backends.docker.test_engines import ADA, SERVICE, until
from zoe_jupyter.engine.core import Core, open_core
from zoe_jupyter.engine.door import Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.execution import State
from zoe_jupyter.testing.backend_contract import eventually

pytestmark = [pytest.mark.docker, pytest.mark.slow]


async def test_each_leaves_alone_what_the_other_runs_and_shows_it(world: DockerWorld, tmp_path: Path) -> None:
    (tmp_path / "shop" / "sleeper").mkdir(parents=True)
    (tmp_path / "shop" / "sleeper" / "framework.yaml").write_text(SERVICE)
    (tmp_path / "here").mkdir(mode=0o700)
    (tmp_path / "there").mkdir(mode=0o700)
    cores = [await opened(world, tmp_path / name, tmp_path / "shop") for name in ("here", "there")]
    begun = [(await core.submit(Submission(use="sleeper"), ADA, key=None))[0] for core in cores]
    for core, execution in zip(cores, begun, strict=True):
        await until(core, execution.id, State.RUNNING)

    async def are_shown() -> bool:
        shown = [set(await core.quarantine(ADA)) for core in cores]
        return shown == [{begun[1].id}, {begun[0].id}]

    await eventually(are_shown)
    for core, execution in zip(cores, begun, strict=True):
        assert (await core.execution(execution.id, ADA)).state is State.RUNNING
        await core.stop(execution.id, ADA)
        await until(core, execution.id, State.ENDED)

    async def have_nothing() -> bool:
        return not any([(await core._backend.observe()).kept for core in cores])

    await eventually(have_nothing)
    for core in cores:
        await core.close()


async def opened(world: DockerWorld, data_dir: Path, shop: Path) -> Core:
    return await open_core(
        Settings(data_dir=data_dir, backend="docker", shop_sources=(str(shop),), deployment=world.deployment)
    )
