"""What a backend whose ``capabilities`` say ``changes_cores`` must do as well, as tests; used as ``BackendContract`` is."""

from __future__ import annotations

from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.testing.backend_contract import Runner, eventually

BUSY = "while True: pass"
FEW, MANY = 100_000, 1_000_000
"""Microcores."""


class CoresContract:
    """Needs the fixture ``runner``, of a backend that holds services to their cores."""

    async def test_says_that_cores_can_be_changed(self, runner: Runner) -> None:
        assert runner.backend.capabilities().changes_cores

    async def test_a_service_uses_as_many_cores_as_it_was_told_last(self, runner: Runner) -> None:
        await runner.start("one", code=BUSY, resources=Resources(FEW, 64 * 1024**2))
        await _uses(runner, at_most=0.2)
        await runner.backend.set_cores("one", "app.main-0", 1, microcores=MANY)
        await _uses(runner, at_least=0.3)
        await runner.backend.set_cores("one", "app.main-0", 1, microcores=FEW)
        await _uses(runner, at_most=0.2)
        assert (await runner.until("one", "app.main-0", SeenState.READY)).exit_code is None

    async def test_changing_the_cores_of_what_does_not_run_is_no_error(self, runner: Runner) -> None:
        await runner.backend.set_cores("one", "app.main-0", 1, microcores=MANY)
        await runner.launch(runner.order("one", code="raise SystemExit(0)"))
        await runner.ended("one")
        for attempt in (1, 7):
            await runner.backend.set_cores("one", "app.main-0", attempt, microcores=MANY)


async def _uses(runner: Runner, *, at_least: float = 0.0, at_most: float = float("inf")) -> None:
    """Wait until the only service uses so much, measured from now on."""
    await runner.backend.usage()

    async def is_so() -> bool:
        samples = await runner.backend.usage()
        return len(samples) == 1 and samples[0].cpu_cores > 0.01 and at_least <= samples[0].cpu_cores <= at_most

    await eventually(is_so)
