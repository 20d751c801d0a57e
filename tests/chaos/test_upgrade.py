"""The database of an earlier release is brought to today's schema while executions run, with a kill at each step of it; a newer one is refused."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from tests.chaos.test_failpoints import local_failpoints
from tests.requirements import require
from zoe_jupyter.store import schema
from zoe_jupyter.testing.chaos import ChaosHarness, Died, Server, until
from zoe_jupyter.testing.postgresql import running_postgresql

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

TODAY = schema.REVISIONS[-1]
BACK = {
    "0002": ("DROP TABLE zoe_disabled_nodes",),
    "0003": ("DROP TABLE zoe_quotas", "DROP TABLE zoe_drained_nodes", "DROP TABLE zoe_kept"),
}
"""For each schema: what makes it the one before again. Its rows stay."""
STEPS = [name for name in local_failpoints() if name.startswith("upgrade.")]
COMMITTED = "open.migrated"
"""The point that comes next when it is done."""
SERVICES = ["crew.head-0#1", "crew.worker-0#1", "crew.worker-1#1"]
PATIENCE_S = 30.0


class Database:
    """Where a home keeps its state."""

    def __init__(self, home: ChaosHarness, url: str = "") -> None:
        self.path = home.database
        self.url = url or f"sqlite:///{home.database}"
        if url:
            config = home.folder / "config" / "jupyter_zoe_config.py"
            config.write_text(config.read_text() + f"c.Zoe.database_url = {url!r}\n")

    @contextmanager
    def opened(self) -> Iterator[Any]:
        engine = create_engine(self.url)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()

    def revision(self) -> str:
        with self.opened() as connection:
            return str(connection.execute(text(f"SELECT version_num FROM {schema.VERSION_TABLE}")).scalar_one())

    def take_back(self, revision: str) -> None:
        """Make it what the release with that schema would have written; its rows stay."""
        with self.opened() as connection:
            for later in reversed(schema.REVISIONS[schema.REVISIONS.index(revision) + 1 :]):
                for statement in BACK[later]:
                    connection.execute(text(statement))
            connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = :was"), {"was": revision})


def run(server: Server) -> None:
    server.ask("POST", "executions", {"use": "crew", "name": "mine"})
    until(lambda: server.ask("GET", "executions/mine")["state"] == "running", PATIENCE_S)


def left_running(home: ChaosHarness) -> None:
    """An execution runs, and no Zoe does."""
    server = home.hatch()
    run(server)
    until(lambda: sorted(home.sleepers()) == SERVICES, PATIENCE_S, home.sleepers)
    server.end()


def is_found_again(home: ChaosHarness, database: Database) -> None:
    """Today's Zoe goes on with what an earlier one started, and can end it."""
    server = home.hatch()
    try:
        assert database.revision() == TODAY
        until(lambda: server.ask("GET", "executions/mine")["state"] == "running", PATIENCE_S)
        assert sorted(home.sleepers()) == SERVICES, "nothing was started anew"
        assert server.ask("GET", "quarantine")["items"] == []
        server.ask("POST", "executions/mine/stop")
        until(lambda: server.ask("GET", "executions/mine")["state"] == "ended", PATIENCE_S)
        until(lambda: not home.processes() and not home.run_folders(), PATIENCE_S, home.processes)
    finally:
        server.end()


def test_the_steps_of_an_upgrade_can_be_killed_at() -> None:
    assert STEPS == ["upgrade.altered", "upgrade.backed_up", "upgrade.before", "upgrade.checked"]


@pytest.mark.parametrize("revision", schema.REVISIONS[:-1])
@pytest.mark.parametrize("step", [*STEPS, COMMITTED])
def test_an_upgrade_with_executions_running_survives_a_kill_at_each_step(
    home: ChaosHarness, step: str, revision: str
) -> None:
    database = Database(home)
    left_running(home)
    database.take_back(revision)

    killed_at(home, step)
    assert database.revision() == (TODAY if step == COMMITTED else revision), "all of it or nothing"
    backup = database.path.with_name(f"zoe.db.before-{TODAY}")
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute(f"SELECT version_num FROM {schema.VERSION_TABLE}").fetchone() == (revision,)
        assert connection.execute("SELECT state FROM zoe_executions").fetchall() == [("running",)]
    is_found_again(home, database)
    home.check(is_idle=True)


@pytest.mark.postgresql
@pytest.mark.parametrize("revision", schema.REVISIONS[:-1])
def test_an_upgrade_of_postgresql_survives_a_kill_at_each_step(home: ChaosHarness, revision: str) -> None:
    require("postgresql")
    with running_postgresql() as postgresql:
        database = Database(home, postgresql.new_database())
        left_running(home)
        for step in [*(step for step in STEPS if step != "upgrade.backed_up"), COMMITTED]:
            if database.revision() != revision:
                database.take_back(revision)
            killed_at(home, step)
            assert database.revision() == (TODAY if step == COMMITTED else revision), step
            assert sorted(home.sleepers()) == SERVICES
        is_found_again(home, database)


def killed_at(home: ChaosHarness, step: str) -> None:
    with pytest.raises(Died, match="-9"):
        home.hatch(failpoint=step)


def test_a_newer_database_is_refused_with_the_way_out_and_what_runs_goes_on(home: ChaosHarness) -> None:
    left_running(home)
    with closing(sqlite3.connect(home.database)) as connection, connection:
        connection.execute(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'")
    before = hashlib.sha256(home.database.read_bytes()).hexdigest()

    with pytest.raises(Died, match=r"newer Zoe.*9999.*install the newer version"):
        home.hatch()

    assert hashlib.sha256(home.database.read_bytes()).hexdigest() == before
    assert sorted(home.sleepers()) == SERVICES
    with closing(sqlite3.connect(home.database)) as connection, connection:
        connection.execute(f"UPDATE {schema.VERSION_TABLE} SET version_num = '{TODAY}'")
    is_found_again(home, Database(home))
