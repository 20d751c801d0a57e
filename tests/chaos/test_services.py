"""Supervisors and services are killed, one does not want to end, something of one slips away: all is made whole, with a true reason."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zoe_jupyter.backends.local.supervisor import cages
from zoe_jupyter.backends.local.supervisor.processes import is_alive, start_of
from zoe_jupyter.testing.chaos import ChaosHarness, Server, until
from zoe_jupyter.testing.sight import processes_of

SUPERVISOR, HEAD, WORKER, ELASTIC = "", "crew.head-0", "crew.worker-0", "crew.worker-1"
CREW = {HEAD, WORKER, ELASTIC}
CAGED = any(place.controller == "pids" for place in cages.places())
SLIP = """
import os, signal, sys, time
folder, slipped = sys.argv[1:]
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.chdir("/")
        null = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        os.execve(sys.executable, ["kworker", "-I", "-S", "-c", slipped, folder], {})
    os._exit(0)
os.wait()
while not os.path.exists(f"{folder}/slipped"):
    time.sleep(0.01)
print("awake", flush=True)
time.sleep(600)
"""
SLIPPED = """
import os, sys, time
with open(f"{sys.argv[1]}/slipped.new", "w") as file:
    file.write(str(os.getpid()))
os.replace(f"{sys.argv[1]}/slipped.new", f"{sys.argv[1]}/slipped")
time.sleep(600)
"""
SLIPPERY = f"""
zoe: 1
kind: framework
name: slippery
version: "1"
title: Slips away
processes:
  main:
    command: ["{{{{ python }}}}", "-I", "-S", "-c", {json.dumps(SLIP)}, "{{{{ folder }}}}", {json.dumps(SLIPPED)}]
    resources: {{cores: 0.1, memory: 64MiB}}
    ready: {{log: "^awake", timeout_s: 60}}
    restart: {{when: never}}
    stop: {{grace_s: 0.3}}
"""

GREEDY = """
import os, sys, time
print("awake", flush=True)
pid = os.fork()
if pid == 0:
    kept = [bytearray(os.urandom(1)) * 2**20 for _ in range(200)]
os.waitpid(pid, 0)
time.sleep(600)
"""


def one(name: str, code: str) -> str:
    """A framework of one service that runs this code."""
    return SLIPPERY.replace("slippery", name).replace(json.dumps(SLIP), json.dumps(code))


@pytest.fixture
def home(home: ChaosHarness) -> Iterator[ChaosHarness]:
    """Nothing may be left running in it."""
    home.add("slippery", SLIPPERY)
    yield home
    assert not home.clear()


@pytest.fixture
def server(home: ChaosHarness) -> Iterator[Server]:
    server = home.hatch()
    yield server
    server.end()


def begin(server: Server, entry: str) -> None:
    server.ask("POST", "executions", {"use": entry, "name": "mine"})
    until(lambda: mine(server)["state"] == "running", 30, lambda: mine(server))


def mine(server: Server) -> Any:
    return server.ask("GET", "executions/mine")


def services(server: Server) -> dict[str, str]:
    return {service["name"]: service["state"] for service in mine(server)["services"]}


def pid_of(home: ChaosHarness, service: str) -> int:
    return next(found.pid for found in processes_of(home.folder) if found.service == service)


def story(server: Server) -> list[str]:
    return [line["text"] for line in mine(server)["story"]]


def end(home: ChaosHarness, server: Server) -> None:
    server.ask("POST", "executions/mine/stop")
    home.settle(server, is_idle=True)


@pytest.mark.parametrize(
    ("victims", "said"),
    [
        ((HEAD,), {f"{HEAD} ended with exit code 137": "killed by SIGKILL"}),
        ((ELASTIC,), {f"{ELASTIC} ended with exit code 137": "killed by SIGKILL"}),
        ((HEAD, ELASTIC), {f"{name} ended with exit code 137": "killed by SIGKILL" for name in (HEAD, ELASTIC)}),
        ((SUPERVISOR,), {f"{name} ended": "its supervisor was killed" for name in CREW}),
        ((SUPERVISOR, HEAD, ELASTIC), {f"{name} ended": "its supervisor was killed" for name in CREW}),
        ((HEAD, ELASTIC, SUPERVISOR), {HEAD: "killed", ELASTIC: "killed", WORKER: "its supervisor was killed"}),
    ],
    ids=["core", "elastic", "core and elastic", "supervisor", "supervisor, then services", "services, then supervisor"],
)
def test_who_is_killed_is_replaced_and_told_by_its_true_reason(
    home: ChaosHarness, server: Server, victims: tuple[str, ...], said: dict[str, str]
) -> None:
    begin(server, "crew")
    until(lambda: services(server) == dict.fromkeys(CREW, "running"), 30, lambda: mine(server))
    pids = {pid: start_of(pid) for pid in (pid_of(home, name) for name in victims)}
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(is_alive(pid, start) for pid, start in pids.items()), 10)

    def is_told() -> bool:
        lines = story(server)
        return all(any(line.startswith(who) and why in line for line in lines) for who, why in said.items())

    until(is_told, 10, lambda: story(server))
    until(lambda: services(server) == dict.fromkeys(CREW, "running"), 20, lambda: mine(server))
    home.settle(server)
    end(home, server)


def test_who_does_not_want_to_end_is_killed_after_its_grace(home: ChaosHarness, server: Server) -> None:
    begin(server, "slippery")
    end(home, server)
    assert any("137" in line for line in story(server)), story(server)


@pytest.mark.parametrize("moment", ["", "force.before", "force.killed", "force.after"])
def test_who_is_to_end_does_so_although_its_supervisor_does_not_answer(home: ChaosHarness, moment: str) -> None:
    """Nor the next Zoe, nor the one after that, when the next one is killed at what it does about it."""
    server = home.hatch()
    try:
        begin(server, "slippery")
        os.kill(pid_of(home, SUPERVISOR), signal.SIGSTOP)
        server.kill()
        server = home.hatch(failpoint=moment)
        server.ask("POST", "executions/mine/stop")
        if moment:
            assert server.ended() == -signal.SIGKILL
            server = home.hatch()
        until(lambda: mine(server)["state"] == "ended", 30, lambda: mine(server))
        assert mine(server)["outcome"] == "stopped"
        home.settle(server, is_idle=True)
    finally:
        server.end()


@pytest.mark.parametrize("victims", [(), ("",), ("slippery.main-0",), ("", "slippery.main-0")], ids=str)
@pytest.mark.parametrize(
    "is_caged", [pytest.param(True, marks=pytest.mark.skipif(not CAGED, reason="no cgroups")), False]
)
def test_what_slipped_away_is_found(home: ChaosHarness, victims: tuple[str, ...], is_caged: bool) -> None:
    """It forked twice, is in a session of its own, has no environment, no output and no folder of ours."""
    with (home.folder / "config" / "jupyter_zoe_config.py").open("a") as config:
        config.write(f"\nc.Zoe.backend_options = {{'is_caged': {is_caged}}}\n")
    server = home.hatch()
    try:
        begin(server, "slippery")
        slipped = int((home.folder / "shop" / "slippery" / "slipped").read_text())
        start = start_of(slipped)
        assert Path(f"/proc/{slipped}/environ").read_bytes() == b""
        if not is_caged:
            until(lambda: is_written_down(home, slipped), 10)
        for pid in [pid_of(home, name) for name in victims]:
            os.kill(pid, signal.SIGKILL)
        if victims:
            until(lambda: mine(server)["state"] == "ended", 15, lambda: mine(server))
        else:
            server.ask("POST", "executions/mine/stop")
        home.settle(server, is_idle=True)
        until(lambda: not is_alive(slipped, start), 5)
    finally:
        server.end()


def is_written_down(home: ChaosHarness, pid: int) -> bool:
    """Without control groups what slipped away is known once the supervisor has looked; the docs say so."""
    return any(f"[{pid}, " in state.read_text() for state in (home.state / "run").glob("*/state.json"))


@pytest.mark.skipif(not CAGED, reason="who is watched is ended as a whole")
def test_who_goes_on_although_a_child_ran_out_of_memory_says_so_and_nobody_else_notices(
    home: ChaosHarness, server: Server
) -> None:
    home.add("greedy", one("greedy", GREEDY))
    server.ask("POST", "executions", {"use": "crew", "name": "other"})
    awake = {f"{name}#1" for name in CREW}
    until(lambda: home.sleepers() == awake, 30, home.sleepers)
    begin(server, "greedy")
    until(lambda: mine(server)["services"][0]["reason"], 10, lambda: mine(server))
    (service,) = mine(server)["services"]
    assert (mine(server)["state"], service["state"]) == ("running", "running")
    said = "out of memory: used 64 MiB of 64 MiB; the kernel killed 1 of its processes, and it goes on"
    assert service["reason"]["text"] == said
    assert f"greedy.main-0 is in trouble: {said}" in story(server)
    assert home.sleepers() == awake
    server.ask("POST", "executions/other/stop")
    end(home, server)
