"""What descriptions have run inside costs Zoe and everybody else nothing, however much it says and however long it takes."""

from __future__ import annotations

import asyncio
import time

import psutil
import pytest

from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.model.application import Probe
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.testing.backend_contract import Runner

pytestmark = [pytest.mark.docker, pytest.mark.timeout(120)]
MIB = 1024**2
FLOOD = ("yes", "x" * 2000)
HANGING = 14


async def test_a_command_that_never_stops_talking_is_ended_in_time_and_fills_no_memory(runner: Runner) -> None:
    before = psutil.Process().memory_info().rss
    await runner.launch(runner.order("one", ready=Probe(command=FLOOD, timeout_s=60)))
    began = time.monotonic()
    with pytest.raises(Retryable, match="did not end within 3 s"):
        await runner.backend.run("one", "app.main-0", 1, FLOOD, environment={}, timeout_s=3)
    assert time.monotonic() - began < 8
    assert psutil.Process().memory_info().rss - before < 100 * MIB
    await runner.backend.stop("one", "app.main-0", 1, grace_s=0)


async def test_the_exit_code_is_that_of_the_command_also_when_it_said_much(runner: Runner) -> None:
    await runner.start("one")
    command = ("sh", "-c", "head -c 9000000 /dev/zero; exit 3")
    assert await runner.backend.run("one", "app.main-0", 1, command, environment={}, timeout_s=30) == 3


async def test_commands_that_hang_hold_nobody_up(runner: Runner) -> None:
    ready = Probe(command=("sleep", "29"), timeout_s=100)
    orders = [runner.order("one", f"app.hang-{n}", siblings=HANGING, ready=ready) for n in range(HANGING)]
    await asyncio.gather(*map(runner.launch, orders))

    began = time.monotonic()
    await runner.start("two")
    await runner.backend.stop("two", "app.main-0", 1, grace_s=0)
    await runner.ended("two")

    assert time.monotonic() - began < 10
    seen = [each for each in (await runner.backend.observe()).services if each.execution_id == "one"]
    assert [each.state for each in seen] == [SeenState.STARTING] * HANGING
