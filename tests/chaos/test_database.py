"""Databases that are locked, damaged, restored from a backup, begun anew, removed, or restarted under load."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.requirements import require
from zoe_jupyter.testing.chaos import ChaosHarness, Died, Refused, Server, until
from zoe_jupyter.testing.postgresql import running_postgresql

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

LOCKED_S = 30.0
PATIENCE_S = 30.0
SUBMITS = 25
"""Of each of the users that submit while PostgreSQL is restarted."""


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


def until_state(server: Server, execution_id: str, state: str) -> Any:
    def now() -> Any:
        return server.ask("GET", f"executions/{execution_id}")

    return until(lambda: (found := now())["state"] == state and found, PATIENCE_S, now)


def refusal(server: Server, method: str, path: str, body: Any = None, *, key: str = "") -> tuple[int, dict[str, Any]]:
    with pytest.raises(Refused) as caught:
        server.ask(method, path, body, key=key)
    return caught.value.status, json.loads(str(caught.value).partition(": ")[2])


def stop_all(server: Server) -> None:
    for item in server.ask("GET", "executions")["items"]:
        if item["state"] != "ended":
            server.ask("POST", f"executions/{item['id']}/stop")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def damage(path: Path) -> None:
    """Overwrite every page in place, as a broken disk or program would."""
    with path.open("r+b") as file:
        for start in range(0, path.stat().st_size, 4096):
            file.seek(start)
            file.write(b"\xaa" * 2048)


def test_a_lock_of_half_a_minute_is_waited_for_or_told_and_nothing_dies_of_it(home: ChaosHarness) -> None:
    """Looking still works; what was refused can be sent again with its key."""
    with served(home) as server:
        execution_id = run(server, "crew", "mine")
        pids = dict(home.launches())
        killed = pids.pop("crew.worker-1#1")
        with closing(sqlite3.connect(home.database, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            began = time.monotonic()
            status, error = refusal(server, "POST", "executions", {"use": "crew", "name": "late"}, key="once")
            assert (status, error["reason"]) == (503, "store_busy"), error
            assert "locked" in error["message"]
            assert server.ask("GET", f"executions/{execution_id}")["state"] == "running"
            os.kill(killed, signal.SIGKILL)
            threading.Event().wait(max(0.0, began + LOCKED_S - time.monotonic()))
            other.execute("ROLLBACK")

        late = server.ask("POST", "executions", {"use": "crew", "name": "late"}, key="once")
        until_state(server, late["id"], "running")
        until(lambda: "crew.worker-1#2" in home.sleepers(), PATIENCE_S, home.sleepers)
        assert set(pids.values()) <= home.processes().keys()
        home.settle(server)
        stop_all(server)
        home.settle(server, is_idle=True)


def test_a_damaged_file_is_told_and_left_untouched_while_running_and_at_the_next_start(home: ChaosHarness) -> None:
    server = home.hatch()
    run(server, "crew", "mine")
    before = home.sleepers()
    with closing(sqlite3.connect(home.database)) as source, closing(sqlite3.connect(home.folder / "backup")) as copy:
        source.backup(copy)
    with closing(sqlite3.connect(home.database)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    damage(home.database)
    damaged = digest(home.database)

    status, error = refusal(server, "POST", "executions", {"use": "crew", "name": "late"})
    assert (status, error["reason"]) == (503, "store_corrupt"), error
    assert "backup" in error["message"]
    assert refusal(server, "POST", "executions/mine/stop")[0] == 503
    server.kill()
    assert digest(home.database) == damaged
    with pytest.raises(Died, match=r"damaged.*backup"):
        home.serve()
    assert digest(home.database) == damaged
    assert home.sleepers() == before

    put_in_place(home, home.folder / "backup")
    with served(home) as server:
        until_state(server, "mine", "running")
        assert home.sleepers() == before
        server.ask("POST", "executions/mine/stop")
        home.settle(server, is_idle=True)


@pytest.mark.parametrize("name", ["zoe.db", "zoe.db-wal"])
def test_nothing_is_accepted_that_the_next_start_would_not_find(home: ChaosHarness, name: str) -> None:
    """Somebody removes the database's files while Zoe runs; SQLite itself would write on into nowhere."""
    file, aside = home.state / name, home.folder / "aside"
    with served(home) as server:
        run(server, "crew", "mine")
        before = home.sleepers()
        file.rename(aside)

        status, error = refusal(server, "POST", "executions", {"use": "crew", "name": "late"}, key="once")
        assert (status, error["reason"]) == (503, "store_gone"), error
        assert "put the file back" in error["message"]
        assert server.ask("GET", "executions/mine")["state"] == "running"
        assert home.sleepers() == before

        aside.rename(file)
        late = server.ask("POST", "executions", {"use": "crew", "name": "late"}, key="once")
        until_state(server, late["id"], "running")
        server.kill()
    with served(home) as server:
        assert {item["name"] for item in server.ask("GET", "executions")["items"]} == {"mine", "late"}
        stop_all(server)
        home.settle(server, is_idle=True)


def test_what_runs_can_be_stopped_although_its_database_was_removed(home: ChaosHarness) -> None:
    with served(home) as server:
        run(server, "crew", "mine")
        for file in home.state.glob("zoe.db*"):
            file.unlink()
        assert refusal(server, "POST", "executions", {"use": "crew"})[1]["reason"] == "store_gone"
        server.ask("POST", "executions/mine/stop")
        until(lambda: not home.processes() and not home.run_folders(), PATIENCE_S, home.processes)
    with served(home) as server:
        assert server.ask("GET", "executions")["items"] == []
        run(server, "crew", "mine")
        stop_all(server)
        home.settle(server, is_idle=True)


def put_in_place(home: ChaosHarness, backup: Path) -> None:
    for name in ("zoe.db", "zoe.db-wal", "zoe.db-shm"):
        (home.state / name).unlink(missing_ok=True)
    shutil.copy(backup, home.database)


def test_what_a_restored_database_does_not_know_is_shown_and_not_killed(home: ChaosHarness) -> None:
    """Until an admin stops it, over any number of starts; what it does know goes on as before."""
    with served(home) as server:
        run(server, "crew", "known")
        with (
            closing(sqlite3.connect(home.database)) as source,
            closing(sqlite3.connect(home.folder / "backup")) as copy,
        ):
            source.backup(copy)
        unknown = run(server, "crew", "unknown")
        pids = {pid for _, pid in home.launches()}
    put_in_place(home, home.folder / "backup")

    for _ in range(2):
        with served(home) as server:
            shown = until(lambda: server.ask("GET", "quarantine")["items"], PATIENCE_S)
            services = ["crew.head-0", "crew.worker-0", "crew.worker-1"]
            assert shown == [{"id": unknown, "services": services}]
            assert {item["name"] for item in server.ask("GET", "executions")["items"]} == {"known"}
            until_state(server, "known", "running")
            assert pids <= home.processes().keys()

    with served(home) as server:
        until(lambda: server.ask("GET", "quarantine")["items"], PATIENCE_S)
        server.ask("POST", f"quarantine/{unknown}/stop")
        until(lambda: not server.ask("GET", "quarantine")["items"], PATIENCE_S)
        until(lambda: home.run_folders() != [] and unknown not in home.run_folders(), PATIENCE_S, home.run_folders)
        until(
            lambda: len(home.sleepers()) == 3 and len(pids & home.processes().keys()) == 3, PATIENCE_S, home.processes
        )
        assert server.ask("GET", "executions/known")["state"] == "running"
        server.ask("POST", "executions/known/stop")
        until_state(server, "known", "ended")
        until(lambda: not home.processes(), PATIENCE_S, home.processes)


class User(threading.Thread):
    """Submits one after the other, each again with its key until it is accepted."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._number = number
        self.accepted: dict[str, str] = {}
        self.refused: list[int] = []
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            for n in range(SUBMITS):
                self._submit(f"user-{self._number}-{n}")
        except BaseException as error:
            self.error = error

    def _submit(self, name: str) -> None:
        deadline = time.monotonic() + 60
        while not self._is_accepted(name):
            assert time.monotonic() < deadline, f"{name} was never accepted"
            threading.Event().wait(0.1)

    def _is_accepted(self, name: str) -> bool:
        try:
            execution = self._server.ask("POST", "executions", {"use": "hall", "name": name}, key=name)
        except Refused as refused:
            if refused.status not in (429, 503):
                raise
            self.refused.append(refused.status)
            return False
        self.accepted[name] = execution["id"]
        return True


def unsettled(server: Server) -> list[Any]:
    """Those that neither run nor say what they wait for: this core does not know of them, or has lost them."""
    items = server.ask("GET", "executions?limit=1000")["items"]
    return [
        item
        for item in items
        if item["state"] not in ("running", "ended")
        and not (item["state"] == "queued" and item["queue"] and item["queue"]["reason"]["text"])
    ]


@pytest.mark.postgresql
def test_a_restart_of_postgresql_under_load_loses_nothing_and_doubles_nothing(home: ChaosHarness) -> None:
    require("postgresql")
    with running_postgresql() as postgresql:
        config = home.folder / "config" / "jupyter_zoe_config.py"
        config.write_text(config.read_text() + f"c.Zoe.database_url = {postgresql.new_database()!r}\n")
        with served(home) as server:
            run(server, "hall", "first")
            before = home.processes().keys()
            users = [User(server, number) for number in range(4)]
            for _ in range(2):
                so_far = sum(len(user.accepted) for user in users)
                until(lambda: sum(len(user.accepted) for user in users) > so_far + 10, PATIENCE_S)  # noqa: B023
                postgresql.kill()
                until(lambda: any(user.refused for user in users) or users[0].error, PATIENCE_S)
                postgresql.start()
            for user in users:
                user.join(PATIENCE_S)
                assert user.error is None, user.error
            items = server.ask("GET", "executions?limit=1000")["items"]
            accepted = {name: own for user in users for name, own in user.accepted.items()}
            assert len(accepted) == 4 * SUBMITS
            assert {item["name"]: item["id"] for item in items if item["name"] != "first"} == accepted
            assert len(items) == len(accepted) + 1
            assert server.ask("GET", "executions/first")["state"] == "running"
            assert home.processes().keys() == before
            until(lambda: not unsettled(server), PATIENCE_S, lambda: unsettled(server))
            server.ask("POST", "executions/first/stop")
            until(lambda: server.ask("GET", "executions?state=running")["items"], PATIENCE_S)
        with served(home) as server:
            assert len(server.ask("GET", "executions?limit=1000")["items"]) == len(accepted) + 1
            for name in (*accepted, "first"):
                server.ask("POST", f"executions/{name}/stop")
            until(lambda: not home.processes(), PATIENCE_S, home.processes)
