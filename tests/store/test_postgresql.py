"""PostgreSQL goes away, comes back, is locked, is wrong: told as what it is, and never written twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text

from zoe_jupyter.store import connections
from zoe_jupyter.store.errors import Fenced, StoreBusy, StoreError, StoreTooNew
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.executions import make_event, make_execution
from zoe_jupyter.testing.postgresql import Server, running_postgresql
from zoe_jupyter.testing.store_contract import advance, submit

pytestmark = pytest.mark.postgresql


@pytest.fixture
def url(postgresql: Server) -> str:
    return postgresql.new_database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    store = Store(url)
    store.migrate()
    store.take_over("test", 0.0)
    yield store
    store.close()


def cut_off_others(url: str) -> None:
    """End every other connection to this database, as a restart or a firewall would."""
    engine = create_engine(url)
    with engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    engine.dispose()


@pytest.fixture
def around_commit(store: Store, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Do something before and after the next commit of the driver."""
    dialect: Any = store._engines.writing.dialect
    commit = dialect.do_commit

    def arrange(before: Callable[[], None] = lambda: None, after: Callable[[], None] = lambda: None) -> None:
        def once(connection: Any) -> None:
            monkeypatch.setattr(dialect, "do_commit", commit)
            before()
            commit(connection)
            after()
            connection.execute("SELECT 1")

        monkeypatch.setattr(dialect, "do_commit", once)

    return arrange


def test_a_commit_whose_answer_was_lost_is_found_to_be_made(
    store: Store, url: str, around_commit: Callable[..., None]
) -> None:
    execution = make_execution(1)
    around_commit(after=lambda: cut_off_others(url))
    _, is_new, logged = submit(store, execution)
    assert (is_new, [one.seq for one in logged]) == (True, [1])
    advance(store, execution, [make_event(execution, "x")])
    assert store.last_seq() == 2


def test_a_commit_that_was_cut_off_before_is_known_not_to_be_made(
    store: Store, url: str, around_commit: Callable[..., None]
) -> None:
    around_commit(before=lambda: cut_off_others(url))
    with pytest.raises(StoreBusy, match="cannot be reached") as caught:
        submit(store, make_execution(1))
    assert "outcome" not in caught.value.details
    assert store.live() == []
    submit(store, make_execution(1))


def test_a_commit_that_nobody_can_look_at_says_that_its_outcome_is_unknown(
    store: Store, url: str, around_commit: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "BUSY_S", 0.5)
    monkeypatch.setattr(Store, "_count_writes", lambda *_: None)
    around_commit(after=lambda: cut_off_others(url))
    with pytest.raises(StoreBusy) as caught:
        submit(store, make_execution(1))
    assert caught.value.details == {"outcome": "unknown"}


def test_who_was_taken_over_while_cut_off_is_fenced(store: Store, url: str, around_commit: Callable[..., None]) -> None:
    def take_over() -> None:
        cut_off_others(url)
        other = Store(url)
        other.take_over("other", 1.0)
        other.close()

    around_commit(after=take_over)
    with pytest.raises(Fenced):
        submit(store, make_execution(1))


def test_a_restart_of_the_server_is_survived() -> None:
    with running_postgresql() as server:
        store = Store(server.new_database())
        store.migrate()
        store.take_over("test", 0.0)
        execution = make_execution(1)
        submit(store, execution)
        server.kill()
        for call in (store.live, lambda: advance(store, execution)):
            with pytest.raises(StoreBusy, match="cannot be reached"):
                call()
        server.start()
        advance(store, execution)
        assert [one.version for one in store.live()] == [1]
        store.close()


def test_a_lock_that_lasts_is_told(store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BUSY_S", 0.3)
    engine = create_engine(url)
    with engine.begin() as other:
        other.execute(text("SELECT * FROM zoe_core FOR UPDATE"))
        with pytest.raises(StoreBusy, match="locked"):
            submit(store, make_execution(1))
        assert store.live() == []
    submit(store, make_execution(1))
    engine.dispose()


def test_a_newer_schema_is_refused(store: Store, url: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE zoe_schema_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(StoreTooNew, match="9999"):
        store.migrate()


def test_a_wrong_password_is_told_without_showing_it(postgresql: Server, url: str) -> None:
    store = Store(url.replace(postgresql.password, "hunter2"))
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        store.migrate()
    assert "hunter2" not in str(caught.value)
    store.close()


def test_readers_cannot_write(store: Store) -> None:
    with pytest.raises(StoreError, match="read-only"):
        store._read(lambda connection: connection.execute(text("UPDATE zoe_core SET seq = 5")))


@pytest.mark.parametrize("whose", ["DATABASE {}", "ROLE CURRENT_USER IN DATABASE {}"])
@pytest.mark.parametrize(("chosen", "is_now"), [("off", "on"), ("local", "local"), ("remote_apply", "remote_apply")])
def test_a_commit_is_on_the_disk_whatever_the_server_is_set_to(
    postgresql: Server, url: str, whose: str, chosen: str, is_now: str
) -> None:
    postgresql.execute(f"ALTER {whose.format(make_url(url).database)} SET synchronous_commit = {chosen}")
    store = Store(url)
    store.migrate()
    store.take_over("test", 0.0)
    submit(store, make_execution(1))
    with store._engines.writing.connect() as connection:
        assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == is_now
    store.close()


def test_a_server_that_is_told_otherwise_meanwhile_changes_no_commit_of_ours(postgresql: Server, url: str) -> None:
    store = Store(url)
    store.migrate()
    store.take_over("test", 0.0)
    try:
        with store._engines.writing.connect() as connection:
            loaded = connection.execute(text("SELECT pg_conf_load_time()")).scalar_one()
            postgresql.execute("ALTER SYSTEM SET synchronous_commit = off")
            postgresql.execute("SELECT pg_reload_conf()")
            deadline = time.monotonic() + 10
            while connection.execute(text("SELECT pg_conf_load_time()")).scalar_one() == loaded:
                assert time.monotonic() < deadline, "the settings were not read again"
                time.sleep(0.01)
            assert connection.execute(text("SHOW synchronous_commit")).scalar_one() == "on"
    finally:
        postgresql.execute("ALTER SYSTEM RESET synchronous_commit")
        postgresql.execute("SELECT pg_reload_conf()")
        store.close()


def test_a_url_without_a_driver_name_works(url: str) -> None:
    for plain in ("postgresql://", "postgres://"):
        store = Store(url.replace("postgresql+psycopg://", plain))
        store.migrate()
        assert store.last_seq() == 0
        store.close()
