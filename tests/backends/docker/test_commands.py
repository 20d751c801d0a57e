"""What descriptions have run inside costs Zoe and everybody else nothing, however much it says and however long it takes."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import psutil
import pytest

from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.backends.docker.engine import _COMMANDS_AT_ONCE as MOST
from zoe_jupyter.backends.docker.engine import _COMMANDS_OF_ONE as MOST_OF_ONE
from zoe_jupyter.model.application import Health, Probe
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.testing.backend_contract import Runner, eventually

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


@pytest.mark.parametrize("own", [{}, {"A": "1", "UID": "5"}], ids=["without", "with its own"])
async def test_what_a_command_is_given_comes_after_the_services_own_variables(
    runner: Runner, own: dict[str, str]
) -> None:
    await runner.start("one", environment=own)
    is_there = """import os; assert (os.environ["A"], os.environ.get("UID", "5")) == ("it's $2", "5"); """
    command = ("python3", "-c", f'{is_there} assert "ZOE_GIVEN" not in os.environ')
    assert await runner.backend.run("one", "app.main-0", 1, command, environment={"A": "it's $2"}, timeout_s=20) == 0


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


async def test_commands_of_one_execution_that_hang_leave_room_for_those_of_others(runner: Runner) -> None:
    """However many wait: a connection to the engine is had by so many at once."""
    await runner.start("one")
    await runner.start("two")
    run = partial(runner.backend.run, service="app.main-0", attempt=1, environment={})
    hanging = [asyncio.create_task(run("one", command=("sleep", "60"), timeout_s=60)) for _ in range(2 * MOST)]
    await eventually(lambda: _are_many(runner, MOST_OF_ONE))
    assert await run("two", command=("true",), timeout_s=10) == 0
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_who_waits_for_a_turn_is_not_taken_for_ill(runner: Runner) -> None:
    """Its own execution has so many commands that hang."""
    health = Health(Probe(command=("true",), timeout_s=8), every_s=0.1, failures=1)
    await runner.start("one", health=health)
    command = ("sleep", "12")
    run = partial(runner.backend.run, "one", "app.main-0", 1, command, environment={}, timeout_s=30)
    hanging = [asyncio.create_task(run()) for _ in range(MOST_OF_ONE)]
    assert await asyncio.gather(*hanging) == [0] * MOST_OF_ONE
    assert (await runner.until("one", "app.main-0", SeenState.READY)).reason is None


async def _are_many(runner: Runner, count: int) -> bool:
    """Whether so many processes run in the one container, beside its own."""
    return any(each.processes > count for each in await runner.backend.usage() if each.execution_id == "one")
