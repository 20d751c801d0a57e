"""The embedded database: private files, migrations, damage, a full disk, a lock, a kill at any moment."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from zoe_jupyter.store import connections, migration, schema
from zoe_jupyter.store.errors import (
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreGone,
    StoreTooNew,
    StoreUnwritable,
)
from zoe_jupyter.store.repository import Store, file_url
from zoe_jupyter.store.writing import Transaction
from zoe_jupyter.testing.executions import make_event, make_execution, make_service
from zoe_jupyter.testing.store_contract import advance, submit

TODAY = schema.REVISIONS[-1]
NEXT = f"{int(TODAY) + 1:04}"
ADD_COLUMN = f"""
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "{NEXT}", "{TODAY}", None, None

def upgrade():
    op.add_column("zoe_executions", sa.Column("colour", sa.String(), nullable=False, server_default="red"))
    with op.batch_alter_table("zoe_executions") as batch:
        batch.alter_column("colour", nullable=True)
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[Store]:
    store = Store(file_url(path))
    try:
        yield store
    finally:
        store.close()


@pytest.fixture
def newer_zoe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make this Zoe one that has one more migration."""

    def bring(source: str) -> None:
        scripts = tmp_path / "migrations"
        shutil.copytree(Path(migration.__file__).parent / "migrations", scripts)
        (scripts / "versions" / f"v{NEXT}_next.py").write_text(source)
        monkeypatch.setattr(migration, "SCRIPTS", str(scripts))
        monkeypatch.setattr(schema, "REVISIONS", (*schema.REVISIONS, NEXT))

    return bring


def test_all_files_are_private_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        with opened(path) as store:
            store.migrate()
            store.take_over("test", 0.0)
            submit(store, make_execution(1))
            assert {found.name for found in path.parent.iterdir()} == {
                "zoe.db",
                "zoe.db-wal",
                "zoe.db-shm",
                "zoe.db.reserve",
            }
            assert {mode(found) for found in path.parent.iterdir()} == {0o600}
    finally:
        os.umask(before)
    assert mode(path.parent) == 0o700


def test_a_file_that_others_could_read_is_closed(path: Path) -> None:
    path.parent.mkdir()
    path.touch(mode=0o644)
    with opened(path) as store:
        store.migrate()
        assert mode(path) == 0o600


def test_writes_are_durable_before_they_return(store: Store) -> None:
    with store._engines.writing.connect() as connection:
        values = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert values == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_alembic_is_imported_only_when_there_is_something_to_do(path: Path) -> None:
    program = (
        "import sys; from zoe_jupyter.store.repository import Store; store = Store(sys.argv[1]);"
        " store.migrate(); print('alembic' in sys.modules)"
    )
    command = [sys.executable, "-c", program, f"sqlite:///{path}"]
    seen = [
        subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip() for _ in range(2)
    ]
    assert seen == ["True", "False"]


def test_a_url_without_a_file_or_of_another_database_is_refused() -> None:
    for url in ("sqlite://", "sqlite:///:memory:", "mysql://host/db", "nonsense"):
        with pytest.raises(StoreError, match=r"sqlite|SQLite"):
            Store(url)


def test_only_migrating_makes_the_file(path: Path) -> None:
    path.parent.mkdir()
    with opened(path) as store:
        with pytest.raises(StoreError, match="unable to open"):
            store.live()
        with pytest.raises(StoreError, match="unable to open"):
            store.take_over("test", 0.0)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "50%", "%41", "#1", "é", "a&b=c;d"])
def test_any_folder_name_will_do(tmp_path: Path, name: str) -> None:
    with opened(tmp_path / name / "zoe.db") as store:
        store.migrate()
        assert store.last_seq() == 0
    assert (tmp_path / name / "zoe.db").exists()


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with opened(tmp_path / "file" / "zoe.db") as store, pytest.raises(StoreError, match="cannot be opened"):
        store.migrate()


# Migrations


def test_a_newer_schema_is_refused_and_left_alone(path: Path, store: Store) -> None:
    store.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE zoe_schema_version SET version_num = '9999'")
    before = digest(path)
    with opened(path) as later, pytest.raises(StoreTooNew, match=r"9999.*newer version"):
        later.migrate()
    assert digest(path) == before


def test_another_programs_database_is_refused_and_left_alone(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE recipes (name TEXT)")
    before = digest(path)
    with opened(path) as store, pytest.raises(StoreError, match="another program"):
        store.migrate()
    assert digest(path) == before
    assert [found.name for found in path.parent.iterdir()] == ["zoe.db"]


def test_an_older_schema_is_backed_up_then_upgraded(path: Path, store: Store, newer_zoe: Callable[[str], None]) -> None:
    execution = make_execution(1, services={"dask.worker-0": make_service(0)})
    submit(store, execution)
    newer_zoe(ADD_COLUMN)
    with opened(path) as later:
        later.migrate()
        assert later.get(execution.id) == execution
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT colour FROM zoe_executions").fetchall() == [("red",)]
        assert connection.execute("SELECT count(*) FROM zoe_services").fetchone() == (1,)
    backup = path.with_name(f"zoe.db.before-{NEXT}")
    assert mode(backup) == 0o600
    with closing(sqlite3.connect(backup)) as connection:
        assert connection.execute("SELECT version_num FROM zoe_schema_version").fetchone() == (TODAY,)
        assert connection.execute("SELECT id FROM zoe_executions").fetchall() == [(execution.id,)]
    assert not backup.with_name(f"{backup.name}.partial").exists()


@pytest.mark.parametrize(
    "trouble", ["    raise RuntimeError('no')\n", "    op.execute('DELETE FROM zoe_executions')\n"]
)
def test_a_migration_that_fails_changes_nothing(
    path: Path, store: Store, newer_zoe: Callable[[str], None], trouble: str
) -> None:
    execution = make_execution(1, services={"dask.worker-0": make_service(0)})
    submit(store, execution)
    newer_zoe(ADD_COLUMN + trouble)
    with opened(path) as later, pytest.raises((RuntimeError, StoreCorrupt)):
        later.migrate()
    with closing(sqlite3.connect(path)) as connection:
        assert "colour" not in {row[1] for row in connection.execute("PRAGMA table_info(zoe_executions)")}
    assert store.get(execution.id) == execution


def test_references_are_enforced_again_after_a_migration(path: Path, newer_zoe: Callable[[str], None]) -> None:
    newer_zoe(ADD_COLUMN)
    with opened(path) as store:
        store.migrate()
        with store._engines.writing.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


# Trouble


@pytest.mark.parametrize(
    "content", [b"this is no database, but somebody's precious text\n" * 100, b"SQLite format 3\0" + b"\xff" * 5000]
)
def test_a_file_that_is_no_database_is_left_untouched(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with opened(path) as store, pytest.raises(StoreCorrupt, match="backup"):
        store.migrate()
    assert path.read_bytes() == content
    assert [found.name for found in path.parent.iterdir()] == ["zoe.db"]


def test_a_database_that_was_cut_off_is_left_untouched(path: Path, store: Store) -> None:
    for number in range(30):
        submit(store, make_execution(number))
    store.close()
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = digest(path)
    with opened(path) as later, pytest.raises(StoreCorrupt):
        later.migrate()
    assert digest(path) == before


def test_damage_in_the_middle_is_told_when_it_is_met(path: Path, store: Store) -> None:
    for number in range(30):
        submit(store, make_execution(number))
    store.close()
    content = bytearray(path.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 2048] = b"\xaa" * 2048
    path.write_bytes(content)

    def look() -> None:
        with opened(path) as later:
            later.migrate()
            later.live()

    with pytest.raises(StoreCorrupt, match="damaged"):
        look()


def test_damage_is_found_before_an_upgrade(path: Path, store: Store, newer_zoe: Callable[[str], None]) -> None:
    for number in range(30):
        submit(store, make_execution(number))
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'ix_zoe_executions_ended_at'"
        page = connection.execute(query).fetchone()[0]
    store.close()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xaa" * 4096
    path.write_bytes(content)
    newer_zoe(ADD_COLUMN)
    with opened(path) as later, pytest.raises(StoreCorrupt, match="not upgraded"):
        later.migrate()
    assert path.read_bytes() == content


def test_a_full_disk_is_told_and_nothing_is_half_written(store: Store) -> None:
    submit(store, make_execution(1))
    store._engines.writing.dispose()

    def limit(connection: sqlite3.Connection, record: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 2}")

    event.listen(store._engines.writing, "connect", limit)
    large = make_execution(2, parameters={"text": "x" * 100_000})
    with pytest.raises(StoreFull, match="make room"):
        submit(store, large)
    assert store.last_seq() == 1
    event.remove(store._engines.writing, "connect", limit)
    store._engines.writing.dispose()
    submit(store, large)
    assert store.get(large.id) == large


def test_a_disk_that_became_read_only_is_told_and_goes_on_when_it_is_not(store: Store) -> None:
    submit(store, make_execution(1))
    _set_query_only(store, "ON")
    with pytest.raises(StoreUnwritable, match="cannot be written to now"):
        submit(store, make_execution(2))
    with pytest.raises(StoreUnwritable):
        advance(store, make_execution(1))
    assert store.last_seq() == 1
    _set_query_only(store, "OFF")
    submit(store, make_execution(2))


def _set_query_only(store: Store, value: str) -> None:
    """SQLite says the same of a file that it may not write to."""
    with closing(store._engines.writing.raw_connection()) as connection:
        connection.cursor().execute(f"PRAGMA query_only={value}")


def test_nothing_new_is_stored_without_room_to_stop_it_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    execution = make_execution(1)
    submit(store, execution)
    monkeypatch.setattr(store._reserve, "hold", lambda: False)

    with pytest.raises(StoreFull, match="make room"):
        submit(store, make_execution(2))
    assert store.get(make_execution(2).id) is None
    store.save([replace(execution, version=execution.version + 1)], [])


@pytest.mark.parametrize("name", ["zoe.db", "zoe.db-wal"])
@pytest.mark.parametrize("way", ["removed", "replaced"])
def test_nothing_new_is_stored_in_files_that_the_next_start_will_not_find(
    path: Path, store: Store, name: str, way: str
) -> None:
    """SQLite itself writes on, into files that have no name any more; what lives may still be changed."""
    execution = make_execution(1)
    submit(store, execution)
    file, aside = path.with_name(name), path.with_name("aside")
    file.rename(aside)
    if way == "replaced":
        shutil.copy(aside, file)

    with pytest.raises(StoreGone, match="removed or replaced"):
        submit(store, make_execution(2))
    store.save([replace(execution, version=execution.version + 1)], [])

    aside.replace(file)
    submit(store, make_execution(2))


def test_a_connection_that_was_opened_anew_counts(path: Path, store: Store) -> None:
    submit(store, make_execution(1))
    store._engines.dispose()
    assert not path.with_name("zoe.db-wal").exists()

    submit(store, make_execution(2))
    submit(store, make_execution(3))


def test_reading_a_database_that_was_removed_says_so(path: Path, store: Store) -> None:
    store._engines.dispose()
    path.rename(path.with_name("aside"))

    with pytest.raises(StoreGone, match=r"unable to open .* removed or replaced"):
        store.live()


def test_nothing_more_is_written_to_what_was_found_damaged(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    submit(store, make_execution(1))

    def damaged(*_: object) -> None:
        raise sqlite3.DatabaseError("database disk image is malformed")

    with monkeypatch.context() as patch:
        patch.setattr(Transaction, "close", damaged)
        with pytest.raises(StoreCorrupt):
            submit(store, make_execution(2))
    with pytest.raises(StoreCorrupt):
        submit(store, make_execution(3))
    assert store.last_seq() == 1


def test_a_lock_that_lasts_is_told_and_one_that_ends_is_waited_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "BUSY_S", 0.3)
    with opened(path) as store:
        store.migrate()
        store.take_over("test", 0.0)
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreBusy, match="locked"):
                submit(store, make_execution(1))
            assert store.live() == []
            release = threading.Timer(0.1, other.execute, ["ROLLBACK"])
            release.start()
            submit(store, make_execution(1))
            release.join()


def test_no_error_shows_a_secret(store: Store) -> None:
    submit(store, make_execution(1))
    with pytest.raises(StoreError) as caught:
        submit(store, make_execution(1), secrets={"token": "hunter2"})
    cause: BaseException | None = caught.value
    while cause is not None:
        assert "hunter2" not in str(cause)
        cause = cause.__cause__


WRITER = """
import sys
from dataclasses import replace
from zoe_jupyter.store.repository import Store, file_url
from zoe_jupyter.store.writing import Transaction
from zoe_jupyter.testing.executions import make_event, make_execution, make_service
from zoe_jupyter.testing.store_contract import advance, submit

store = Store(sys.argv[1])
store.migrate()
store.take_over("writer", 0.0)
number = int(sys.argv[2])
while True:
    execution = make_execution(number, services={f"dask.worker-{n}": make_service(n) for n in range(3)})
    submit(store, execution, key=str(number), digest="d")
    print("submitted", number, flush=True)
    services = {name: replace(service, attempt=2) for name, service in execution.services.items()}
    advance(store, execution, [make_event(execution, "execution.changed")], services=services)
    print("saved", number, flush=True)
    number += 1
"""


@pytest.mark.parametrize("lines", [1, 7, 40, 121])
def test_a_kill_in_the_middle_of_writes_loses_nothing_that_was_acknowledged(path: Path, lines: int) -> None:
    command = [sys.executable, "-c", WRITER, f"sqlite:///{path}", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [process.stdout.readline() for _ in range(lines)]
        process.send_signal(signal.SIGKILL)
        said += process.stdout.readlines()
        process.wait(10)
    promised = [line.split() for line in said if line.endswith("\n")]
    assert len(promised) >= lines
    with opened(path) as store:
        store.migrate()
        found = {execution.created_at: execution for execution in store.find(limit=1000)[0]}
        for word, number in promised:
            assert found[float(number)].version >= (1 if word == "saved" else 0)
        for execution in found.values():
            assert {service.attempt for service in execution.services.values()} == {execution.version + 1}
        events = store.events(since=0, limit=10_000)
        assert [event.seq for event in events] == list(range(1, store.last_seq() + 1))
        assert len(events) == sum(execution.version + 1 for execution in found.values())
        store.take_over("next", 0.0)
        last = max(found.values(), key=lambda execution: execution.created_at)
        advance(store, last, [make_event(last, "execution.changed")])
