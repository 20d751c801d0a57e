"""Ports that two never get, and what happens when one is lost all the same."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys

import pytest

from tests.backends.local.conftest import LocalWorld
from zoe_jupyter.backends.base import Reserved, SeenState, ServiceOrder
from zoe_jupyter.backends.local.supervisor import ports
from zoe_jupyter.model.application import Port, Probe
from zoe_jupyter.testing.backend_contract import SERVER, Runner


def listener(number: int) -> socket.socket:
    taken = socket.socket()
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    taken.bind(("127.0.0.1", number))
    taken.listen()
    return taken


def web_order(
    runner: Runner, reserved: Reserved, *, code: str = SERVER, attempt: int = 1, timeout_s: float = 30
) -> ServiceOrder:
    command = (sys.executable, "-u", "-c", code, str(reserved.ports["web"]))
    probe = Probe(tcp="web", timeout_s=timeout_s)
    return runner.order(
        "one", attempt=attempt, command=command, ports={"web": Port()}, port_numbers=reserved.ports, ready=probe
    )


async def test_a_port_that_another_took_is_no_fault_of_the_service_and_the_next_attempt_gets_another(
    runner: Runner,
) -> None:
    reserved = await runner.reserve("one")
    with listener(reserved.ports["web"]):
        await runner.launch(web_order(runner, reserved))
        seen = await runner.ended("one")
        assert seen.reason is not None
        assert seen.reason.code == "port_taken"
        assert seen.reason.numbers["ports"] == [reserved.ports["web"]]
        assert seen.is_blameless
        again = await runner.reserve("one", attempt=2)
        assert again.ports != reserved.ports
        await runner.launch(web_order(runner, again, attempt=2))
        await runner.until("one", "app.main-0", SeenState.READY, attempt=2)


async def test_another_program_on_the_port_does_not_make_a_service_ready(runner: Runner) -> None:
    reserved = await runner.reserve("one")
    with listener(reserved.ports["web"]):
        await runner.launch(web_order(runner, reserved, code="import time; time.sleep(600)", timeout_s=1))
        seen = await runner.ended("one")
    assert seen.reason is not None
    assert seen.reason.code == "port_taken"


async def test_a_restarted_service_keeps_its_port(runner: Runner) -> None:
    reserved = await runner.reserve("one")
    await runner.launch(web_order(runner, reserved))
    seen = await runner.until("one", "app.main-0", SeenState.READY)
    _, writer = await asyncio.open_connection("127.0.0.1", reserved.ports["web"])
    os.kill(seen.handle["pid"], signal.SIGKILL)
    await runner.ended("one")
    writer.close()
    again = await runner.reserve("one", attempt=2)
    assert again.ports == reserved.ports
    await runner.launch(web_order(runner, again, attempt=2))
    await runner.until("one", "app.main-0", SeenState.READY, attempt=2)


async def test_a_reservation_outlives_the_supervisor(runner: Runner) -> None:
    reserved = await runner.reserve("one")
    await runner.launch(web_order(runner, reserved))
    seen = await runner.until("one", "app.main-0", SeenState.READY)
    os.kill(seen.handle["supervisor"]["pid"], signal.SIGKILL)
    await runner.ended("one")
    assert (await runner.reserve("one")).ports == reserved.ports


async def test_cores_of_several_users_do_not_get_the_same_port(runner: Runner, world: LocalWorld) -> None:
    """A supervisor of another data folder knows nothing of the first one's state; the held name is all they share."""
    reserved = await runner.reserve("one")
    other = ports.Ports()
    assert not other.hold(reserved.ports["web"])
    chosen = [other.choose() for _ in range(50)]
    assert reserved.ports["web"] not in chosen
    assert len(set(chosen)) == 50
    for number in chosen:
        other.release(number)


def test_ports_are_outside_of_what_the_kernel_gives_to_outgoing_connections() -> None:
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        low, high = map(int, file.read().split())
    held = ports.Ports()
    number = held.choose()
    held.release(number)
    assert low - 20000 < 2000 or not low <= number <= high


def test_a_socket_on_any_near_address_occupies_its_port() -> None:
    for family, address in (
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET, "0.0.0.0"),
        (socket.AF_INET6, "::1"),
        (socket.AF_INET6, "::"),
    ):
        with socket.socket(family) as taken:
            taken.bind((address, 0))
            taken.listen()
            number = taken.getsockname()[1]
            assert ports.is_occupied(number)
            assert ports.listeners(number) & ports.sockets_of({os.getpid()})
        assert not ports.is_occupied(number)


async def test_a_port_of_an_attempt_that_never_came_is_let_go(runner: Runner, world: LocalWorld) -> None:
    """It was reserved, and its launch was given up: nobody else needs to stay away from it."""
    reserved = await runner.backend.reserve(
        execution_id="early",
        owner="ada",
        service="a.b-0",
        attempt=1,
        node="local",
        ports={"rpc": Port()},
        framework_folder="",
    )
    number = reserved.ports["rpc"]
    assert not ports.Ports().hold(number)

    await runner.backend.stop("early", "a.b-0", 1, grace_s=1.0)

    others = ports.Ports()
    assert others.hold(number)
    others.release(number)


def test_ports_that_others_hold_or_use_without_end_keep_nothing_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    low, high = 27100, 27108
    monkeypatch.setattr(ports, "_range", lambda: (low, high))
    hoarder, mine = ports.Ports(), ports.Ports()
    with contextlib.ExitStack() as used:
        for number in range(low, high, 2):
            used.enter_context(listener(number))
        held = [number for number in range(low, high) if hoarder.hold(number)]
        chosen = [mine.choose() for _ in range(3)]
    for number in held:
        hoarder.release(number)
    after = mine.choose()
    for number in (*chosen, after):
        mine.release(number)
    assert not {*range(low, high)} & {*chosen}
    assert all(ports._is_free(number) for number in chosen)
    assert low <= after < high
