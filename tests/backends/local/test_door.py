"""The door of a supervisor: anybody of the same user may knock, as often and as long as they like, and the core gets in all the same."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.backends.local.conftest import LocalWorld, exists
from tests.backends.local.test_hostile_services import RECORD, is_looked_after
from tests.backends.local.test_survival import supervisor_of
from zoe_jupyter.backends.local.link import Silent
from zoe_jupyter.backends.local.supervisor import control
from zoe_jupyter.backends.local.supervisor.files import SOCKET_FILE
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.testing.backend_contract import Runner


async def knock(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Wait until there is room at the door: who does not wait is told that it is connected, and is not."""
    door = socket.socket(socket.AF_UNIX)
    await asyncio.to_thread(door.connect, str(path))
    return await asyncio.open_unix_connection(sock=door)


@pytest.mark.parametrize("core", ["the one that was there", "the next one"])
async def test_a_supervisor_talks_to_so_many_at_a_time_and_always_to_the_core(
    runner: Runner, world: LocalWorld, core: str
) -> None:
    await runner.start("one")
    path = world.run_dir("one") / SOCKET_FILE
    knocking = [await knock(path) for _ in range(control._MOST_PEERS + 20)]
    reader, _ = knocking[0]
    assert await asyncio.wait_for(reader.read(), 10) == b""
    if core == "the next one":
        await runner.backend.close()
        runner.backend = await world.open()
        assert dict((await runner.backend.observe()).unreachable) == {}
    await runner.backend.stop("one", RECORD, 1, grace_s=0)
    assert (await runner.ended("one")).exit_code == 137
    for _, writer in knocking:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def is_answered(peer: tuple[asyncio.StreamReader, asyncio.StreamWriter]) -> bool:
    reader, writer = peer
    writer.write(b'{"id": 1, "do": "ping"}\n')
    return b'"id":1' in await asyncio.wait_for(reader.readline(), 10)


async def test_who_spoke_is_not_sent_away_before_who_did_not(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one")
    path = world.run_dir("one") / SOCKET_FILE
    speaks = await knock(path)
    knocking = [await knock(path) for _ in range(control._MOST_PEERS // 2)]
    assert await is_answered(knocking[-1]), "so that all have been let in"
    assert await is_answered(speaks)
    knocking += [await knock(path) for _ in range(control._MOST_PEERS // 2 + 20)]
    reader, _ = knocking[0]
    assert await asyncio.wait_for(reader.read(), 10) == b""
    assert await is_answered(speaks)
    for _, writer in (speaks, *knocking):
        writer.close()


async def test_who_sends_most_without_an_end_goes_before_the_memory_does(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one")
    path = world.run_dir("one") / SOCKET_FILE
    little, most = await knock(path), [await knock(path) for _ in range(3)]
    little[1].write(b'{"id": 1, ')
    for _, writer in most:
        with suppress(ConnectionError):
            writer.write(b"x" * (control._LONGEST_REQUEST - 1000))
            await writer.drain()
    ends = [asyncio.ensure_future(reader.read()) for reader, _ in most]
    assert await asyncio.wait(ends, timeout=10, return_when=asyncio.FIRST_COMPLETED)
    little[1].write(b'"do": "ping"}\n')
    assert b'"id":1' in await asyncio.wait_for(little[0].readline(), 10)
    for end in ends:
        end.cancel()
    await asyncio.gather(*ends, return_exceptions=True)
    for _, writer in (little, *most):
        writer.close()


async def test_who_asks_and_never_reads_goes_before_the_memory_does(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one")
    _, writer = await knock(world.run_dir("one") / SOCKET_FILE)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    wish = "x" * (control._LONGEST_REQUEST // 4)

    async def ask_on() -> None:
        for _ in range(20):
            writer.write(json.dumps({"id": 1, "do": wish}).encode() + b"\n")
            await asyncio.wait_for(writer.drain(), 10)

    with pytest.raises(ConnectionError):
        await ask_on()
    await is_looked_after(runner, "one")


@pytest.mark.parametrize("end", ["close", "force"])
async def test_a_supervisor_that_stopped_reading_is_not_waited_for(runner: Runner, world: LocalWorld, end: str) -> None:
    """Not even with words for it that have not left yet."""
    await runner.start("one")
    seen = await runner.seen("one")
    supervisor = await supervisor_of(runner)
    os.kill(supervisor, signal.SIGSTOP)
    link = runner.backend._supervisors._links["one"]  # type: ignore[attr-defined]
    while not link._writer.transport.get_write_buffer_size():
        with suppress(Silent):
            await link.ask("observe", limit_s=0.001)
    if end == "force":
        path = world.run_dir("one") / "state.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "supervisor": {"pid": 1, "start": 1}}))
        await asyncio.wait_for(runner.backend.force("one"), 30)
        assert not exists(seen.handle["pid"])
    else:
        await asyncio.wait_for(runner.backend.close(), 10)
        os.kill(supervisor, signal.SIGCONT)
        runner.backend = await world.open()
        await is_looked_after(runner, "one")


@contextmanager
def flood(path: Path) -> Iterator[None]:
    """Knock without a pause, and never say a word."""
    is_enough, knocking = threading.Event(), deque[socket.socket]()

    def knock_on() -> None:
        while not is_enough.is_set():
            with suppress(OSError):
                door = socket.socket(socket.AF_UNIX)
                knocking.append(door)
                door.connect(str(path))
            if len(knocking) > 2 * control._MOST_PEERS:
                knocking.popleft().close()

    thread = threading.Thread(target=knock_on)
    thread.start()
    try:
        yield
    finally:
        is_enough.set()
        thread.join()
        for door in knocking:
            door.close()


async def test_who_knocks_without_a_pause_blinds_nobody_and_can_be_ended(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one")
    await runner.start("two")
    await runner.backend.close()
    with flood(world.run_dir("one") / SOCKET_FILE):
        for _ in range(5):
            runner.backend = await world.open()
            assert dict((await runner.backend.observe()).unreachable).keys() <= {"one"}
            with suppress(Retryable):
                await runner.backend.stop("one", RECORD, 1, grace_s=0)
            await runner.backend.force("one")
        await is_looked_after(runner, "two")
    await runner.ended("one")
