"""Databases that released versions of Zoe have written are read by this one; the dumps are what they wrote."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine

from zoe_jupyter.model.execution import ServiceState, State
from zoe_jupyter.store import schema
from zoe_jupyter.store.repository import Settled, Store
from zoe_jupyter.testing.postgresql import Server
from zoe_jupyter.testing.store_contract import advance

DUMPS = Path(__file__).parent


def test_there_is_a_dump_of_each_released_schema() -> None:
    names = {f"v{revision}.{kind}.sql" for revision in schema.REVISIONS[:-1] for kind in ("sqlite", "postgresql")}
    assert {file.name for file in DUMPS.glob("v*.sql")} == names


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=schema.REVISIONS[:-1])
def url(request: pytest.FixtureRequest, kind: str, path: Path) -> Iterator[str]:
    dump = (DUMPS / f"v{request.param}.{kind}.sql").read_text()
    if kind == "sqlite":
        path.parent.mkdir(mode=0o700)
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(dump)
        yield f"sqlite:///{path}"
        return
    server: Server = request.getfixturevalue("postgresql")
    made = server.new_database()
    engine = create_engine(made, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        driver.execute(dump)
    engine.dispose()
    yield made


def test_what_a_released_version_wrote_is_there_after_the_upgrade_and_can_go_on(url: str) -> None:
    store = Store(url)
    store.migrate()
    store.take_over("today", 10.0)
    try:
        (live,) = store.live()
        assert (live.owner, live.state, live.version) == ("ada", State.SUBMITTED, 1)
        assert {name: service.state for name, service in live.services.items()} == {
            "dask.worker-0": ServiceState.RUNNING,
            "dask.worker-1": ServiceState.RUNNING,
        }
        assert store.secrets(live.id) == {"token": "word"}
        assert [lease.id for lease in store.leases()] == ["lease-1"]
        assert store.find_by_key(live.owner, "once", digest="d", now=10.0) == live
        page, _ = store.find()
        assert [execution.state for execution in page if execution.id != live.id] == [State.ENDED]
        events = store.events(since=0, limit=100)
        assert [event.seq for event in events] == list(range(1, store.last_seq() + 1))
        assert store.known([live.id, "nobody"]) == {live.id}
        assert store.settled() == Settled()
        advance(store, live)
    finally:
        store.close()
