"""Brings a database to today's schema, in one explicit transaction; Alembic is imported only when there is something to do."""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, inspect, text

from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.store import schema
from zoe_jupyter.store.connections import is_sqlite, shown
from zoe_jupyter.store.errors import StoreCorrupt, StoreError, StoreTooNew
from zoe_jupyter.store.location import make_folder

SCRIPTS = "zoe_jupyter.store:migrations"
_LOCK_NUMBER = 0x5A6F65
"""Of the PostgreSQL advisory lock that keeps two cores from migrating at once."""


def bring_up_to_date(url: URL, engine: Engine) -> None:
    """Create or upgrade the schema. Raises StoreTooNew, StoreCorrupt (the file is left as it is), StoreError."""
    if is_sqlite(url):
        path = Path(str(url.database))
        create_private_file(path)
        if _look_into(path) in schema.REVISIONS[:-1]:
            _check_pages(path)
            _back_up(path)
            failpoint("upgrade.backed_up")
    with engine.connect() as connection:
        _upgrade(connection, shown(url))


def create_private_file(path: Path) -> None:
    """Have ``path``, mode 0600, in a folder that is 0700 if it had to be made; SQLite gives its other files the same mode.

    Raises StoreError where others could have laid it out.
    """
    make_folder(path.parent)
    _refuse_open_folder(path.parent)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        if any(found.st_uid != os.getuid() for found in (path.lstat(), path.stat())):
            raise StoreError(
                f"{path} belongs to somebody else; name a database that is yours, in a folder of yours"
            ) from None
        if path.stat().st_mode & 0o077:
            path.chmod(0o600)


def _refuse_open_folder(folder: Path) -> None:
    """Whoever may write to it can lay out a database, or a journal that SQLite would play back into ours."""
    found = folder.stat()
    if found.st_mode & stat.S_IWOTH or found.st_uid not in (os.getuid(), 0):
        raise StoreError(
            f"everybody may write to {folder}, or it belongs to somebody else; keep the database in a folder of yours"
        )


def _look_into(path: Path) -> str | None:
    """Read the version without changing the file; None for an empty one. Raises StoreError if it is somebody else's database."""
    with closing(_open_as_is(path)) as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return None
        if schema.VERSION_TABLE not in tables:
            raise StoreError(f"{path} is the database of another program; name another file")
        rows = connection.execute(f"SELECT version_num FROM {schema.VERSION_TABLE}").fetchall()  # noqa: S608 (our own name)
    return str(rows[0][0]) if rows else None


def _open_as_is(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)


def _check_pages(path: Path) -> None:
    with closing(_open_as_is(path)) as connection:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreCorrupt(f"{path} is damaged ({found}) and was not upgraded; put a backup in its place")


def _back_up(path: Path) -> Path:
    """Copy the database beside it, whole or not at all."""
    target = path.with_name(f"{path.name}.before-{schema.REVISIONS[-1]}")
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    create_private_file(partial)
    with closing(_open_as_is(path)) as source, closing(sqlite3.connect(partial)) as copy:
        source.backup(copy)
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    return partial.replace(target)


def _upgrade(connection: Connection, place: str) -> None:
    is_on_sqlite = connection.dialect.name == "sqlite"
    if is_on_sqlite:
        # Rebuilding a table (the only ALTER that SQLite has for much) must not cascade; it is checked before the commit.
        _outside_transaction(connection, "PRAGMA foreign_keys=OFF")
    try:
        with connection.begin():
            if not is_on_sqlite:
                connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK_NUMBER})
            if _needs_upgrade(connection, place):
                failpoint("upgrade.before")
                _run_alembic(connection)
                failpoint("upgrade.altered")
                _check_references(connection)
                failpoint("upgrade.checked")
    finally:
        if is_on_sqlite:
            _outside_transaction(connection, "PRAGMA foreign_keys=ON")


def _outside_transaction(connection: Connection, statement: str) -> None:
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    driver.execute(statement)


def _needs_upgrade(connection: Connection, place: str) -> bool:
    if not inspect(connection).has_table(schema.VERSION_TABLE):
        return True
    stored = connection.execute(text(f"SELECT version_num FROM {schema.VERSION_TABLE}")).scalar()  # noqa: S608 (our own name)
    if stored is not None and stored not in schema.REVISIONS:
        raise StoreTooNew(
            f"{place} was written by a newer Zoe: its schema is {stored}, and this one knows up to"
            f" {schema.REVISIONS[-1]}; install the newer version again, or name another database"
        )
    return bool(stored != schema.REVISIONS[-1])


def _run_alembic(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _check_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
        raise StoreCorrupt("the upgrade would leave rows that belong to nothing; nothing was changed")
