"""Disks that are full: of the database, of the logs, of both. New work is refused, what runs goes on and can be stopped, and all heals by itself."""

from __future__ import annotations

import json
import os
import signal
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.disks import small_disk
from zoe_jupyter.store.reserve import RESERVE_BYTES
from zoe_jupyter.testing.chaos import ChaosHarness, Refused, Server, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

PATIENCE_S = 30.0
SOON_S = 4.0
TALKER = """
zoe: 1
kind: framework
name: talker
version: "1"
title: Says a line ten times a second
processes:
  main:
    command:
      ["{{ python }}", "-I", "-S", "-u", "-c",
       "import time\\nfor n in range(10**6):\\n  print('line', n, 'x' * 4000)\\n  time.sleep(0.05)", "{{ folder }}"]
    resources: {cores: 0.1, memory: 64MiB}
    stop: {grace_s: 1}
"""


@pytest.fixture
def home(home: ChaosHarness) -> ChaosHarness:
    home.add("talker", TALKER)
    return home


@contextmanager
def served(home: ChaosHarness) -> Iterator[Server]:
    server = home.hatch()
    try:
        yield server
    finally:
        server.end()


def run(server: Server, entry: str, name: str) -> str:
    execution_id: str = server.ask("POST", "executions", {"use": entry, "name": name})["id"]
    until_state(server, execution_id, "running")
    wanted = 3 if entry == "crew" else 1
    until(lambda: _count_running(server, execution_id) == wanted, PATIENCE_S)
    return execution_id


def _count_running(server: Server, execution_id: str) -> int:
    """The elastic ones come later than the rest."""
    services = server.ask("GET", f"executions/{execution_id}")["services"]
    return sum(service["state"] == "running" for service in services)


def until_state(server: Server, execution_id: str, state: str, limit_s: float = PATIENCE_S) -> Any:
    def now() -> Any:
        found = server.ask("GET", f"executions/{execution_id}")
        assert found["state"] in (state, "starting", "queued", "submitted", "running", "stopping"), found
        return found

    return until(lambda: (found := now())["state"] == state and found, limit_s, now)


def refusal(server: Server, body: Any) -> tuple[int, dict[str, Any]]:
    with pytest.raises(Refused) as caught:
        server.ask("POST", "executions", body)
    return caught.value.status, json.loads(str(caught.value).partition(": ")[2])


def is_refused_as_full(server: Server) -> str:
    status, error = refusal(server, {"use": "crew", "name": "late"})
    assert (status, error["reason"]) == (507, "store_full"), error
    assert "make room" in error["message"]
    return str(error["message"])


def test_on_a_full_disk_new_work_is_refused_and_what_runs_can_be_stopped(home: ChaosHarness) -> None:
    """Everything of Zoe is on that disk, and what fills it goes on doing so."""
    with small_disk(home.state) as disk, served(home) as server:
        ids = [run(server, "crew", name) for name in ("one", "two", "three")]
        before = home.sleepers()
        disk.fill()

        is_refused_as_full(server)
        assert home.sleepers() == before
        for execution_id in ids:
            disk.fill()
            server.ask("POST", f"executions/{execution_id}/stop")
        for execution_id in ids:
            assert until_state(server, execution_id, "ended")["outcome"] == "stopped"
        until(lambda: not home.processes(), PATIENCE_S, home.processes)
        is_refused_as_full(server)

        disk.empty()
        run(server, "crew", "again")
        assert (home.state / "zoe.db.reserve").stat().st_size == RESERVE_BYTES
        server.ask("POST", "executions/again/stop")
        home.settle(server, is_idle=True)


def test_a_crash_of_a_service_on_a_full_disk_is_noticed_and_healed_when_there_is_room(home: ChaosHarness) -> None:
    with small_disk(home.state) as disk, served(home) as server:
        execution_id = run(server, "crew", "mine")
        disk.fill()
        os.kill(dict(home.launches())["crew.worker-0#1"], signal.SIGKILL)
        until(lambda: "crew.worker-0#1" not in home.sleepers(), PATIENCE_S)
        disk.fill()
        is_refused_as_full(server)
        assert server.ask("GET", f"executions/{execution_id}")["state"] != "ended"

        disk.empty()
        until_state(server, execution_id, "running")
        home.settle(server)
        server.ask("POST", "executions/mine/stop")
        home.settle(server, is_idle=True)


def test_zoe_starts_on_a_full_disk_and_can_stop_what_it_finds(home: ChaosHarness) -> None:
    """Its shared memory and its take-over have to be written: the reserve makes room for them."""
    with small_disk(home.state) as disk:
        server = home.hatch()
        execution_id = run(server, "crew", "mine")
        server.kill()
        disk.fill()
        with served(home) as server:
            assert server.ask("GET", f"executions/{execution_id}")["state"] == "running"
            is_refused_as_full(server)
            server.ask("POST", f"executions/{execution_id}/stop")
            until_state(server, execution_id, "ended")
            disk.empty()
            home.settle(server, is_idle=True)


def test_a_full_disk_of_the_database_alone_is_told_and_heals(home: ChaosHarness) -> None:
    database = home.folder / "elsewhere"
    with small_disk(database) as disk:
        config = home.folder / "config" / "jupyter_zoe_config.py"
        config.write_text(config.read_text() + f"c.Zoe.database_url = 'sqlite:///{database}/zoe.db'\n")
        with served(home) as server:
            execution_id = run(server, "crew", "mine")
            disk.fill()
            assert str(database) in is_refused_as_full(server)
            server.ask("POST", f"executions/{execution_id}/scale", {"counts": {"worker": 1}})
            server.ask("POST", f"executions/{execution_id}/stop")
            until_state(server, execution_id, "ended")
            disk.empty()
            run(server, "crew", "again")
            server.ask("POST", "executions/again/stop")
            until_state(server, "again", "ended")
            until(lambda: not home.processes(), PATIENCE_S, home.processes)


def test_a_full_disk_of_run_folders_and_logs_alone_is_told_and_heals(home: ChaosHarness) -> None:
    with small_disk(home.state / "run") as disk, served(home) as server:
        execution_id = run(server, "crew", "mine")
        disk.fill()
        is_refused_as_full(server)
        assert len(home.sleepers()) == 3
        server.ask("POST", f"executions/{execution_id}/stop")
        until_state(server, execution_id, "ended")
        disk.empty()
        run(server, "crew", "again")
        server.ask("POST", "executions/again/stop")
        until_state(server, "again", "ended")
        until(lambda: not home.processes(), PATIENCE_S, home.processes)


def begins_soon(server: Server) -> str:
    """Accepted while all is well, and begun when that is over."""
    body = {"use": "crew", "name": "soon", "begin": f"+{SOON_S:g}s"}
    execution_id: str = server.ask("POST", "executions", body)["id"]
    return execution_id


def until_told(server: Server, execution_id: str, text: str) -> None:
    """What people see of it says so."""

    def said() -> Any:
        found = server.ask("GET", f"executions/{execution_id}")
        assert found["state"] in ("queued", "starting"), found
        return text in found["progress"] + json.dumps(found["queue"])

    until(said, PATIENCE_S, lambda: server.ask("GET", f"executions/{execution_id}"))


def runs_after_all(server: Server, execution_id: str) -> None:
    """What it could not do meanwhile has cost it no try."""
    found = until_state(server, execution_id, "running")
    assert "start 1 of" not in json.dumps(found["story"])
    server.ask("POST", f"executions/{execution_id}/stop")
    until_state(server, execution_id, "ended")


@pytest.mark.parametrize("place", ["", "run"])
def test_a_disk_on_which_no_file_can_be_made_is_told_and_all_goes_on_when_one_can(
    home: ChaosHarness, place: str
) -> None:
    with small_disk(home.state / place) as disk, served(home) as server:
        own = run(server, "crew", "mine")
        soon = begins_soon(server)
        disk.crowd()
        assert "files" in is_refused_as_full(server)
        until_told(server, soon, "make room")
        assert len(home.sleepers()) == 3
        server.ask("POST", f"executions/{own}/stop")
        until_state(server, own, "ended")

        disk.thin_out()
        runs_after_all(server, soon)
        home.settle(server, is_idle=True)


def test_a_disk_of_run_folders_that_became_read_only_is_told_and_all_goes_on_when_it_is_not(home: ChaosHarness) -> None:
    with small_disk(home.state / "run") as disk, served(home) as server:
        soon = begins_soon(server)
        disk.close()
        status, error = refusal(server, {"use": "crew", "name": "late"})
        assert (status, error["reason"]) == (503, "read_only"), error
        until_told(server, soon, "read-only")

        disk.reopen()
        runs_after_all(server, soon)
        home.settle(server, is_idle=True)


class Follower(threading.Thread):
    """Reads a service's log as it comes."""

    def __init__(self, server: Server, execution_id: str) -> None:
        super().__init__(daemon=True)
        self._request = urllib.request.Request(
            f"{server.address}/zoe/api/executions/{execution_id}/logs?follow=true",
            headers={"Authorization": f"Bearer {server.token}"},
        )
        self.text = b""
        self.is_complete = False
        self.start()

    def run(self) -> None:
        with suppress(OSError), urllib.request.urlopen(self._request, timeout=PATIENCE_S) as answer:
            while data := answer.read1(65536):
                self.text += data
            self.is_complete = True


def test_who_follows_a_log_on_a_full_disk_is_told_what_was_lost_and_goes_on(home: ChaosHarness) -> None:
    """The service never blocks on its output; lines that had no room are counted in the log once there is."""
    with small_disk(home.state / "run") as disk, served(home) as server:
        execution_id = run(server, "talker", "mine")
        follower = Follower(server, execution_id)
        until(lambda: b"line 5 " in follower.text, PATIENCE_S)
        disk.fill()
        dropped = home.state / "run" / execution_id / "logs" / "talker.main-0.log"
        size = dropped.stat().st_size
        pid = next(pid for pid, command in home.processes().items() if "range(10**6)" in command)
        until(lambda: _is_dropping(dropped, size), PATIENCE_S)
        disk.empty()
        until(lambda: b"bytes" in follower.text and b"[zoe]" in follower.text, PATIENCE_S, lambda: follower.text[-300:])
        assert (Path("/proc") / str(pid)).exists(), "the service went on"
        so_far = len(follower.text)
        until(lambda: len(follower.text) > so_far + 20_000, PATIENCE_S)
        server.ask("POST", f"executions/{execution_id}/stop")
        until(lambda: follower.is_complete, PATIENCE_S)


def _is_dropping(log: Path, size: int) -> bool:
    """Whether it stands still though its service talks: nothing came in half a second."""
    before = log.stat().st_size
    threading.Event().wait(0.5)
    return before >= size and log.stat().st_size == before
