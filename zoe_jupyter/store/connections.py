"""Engines for both databases: one connection that writes, a few that read; and what their errors mean."""

from __future__ import annotations

import hashlib
import os
import platform
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from zoe_jupyter.store.errors import StoreBusy, StoreCorrupt, StoreError, StoreFull, StoreGone, StoreUnwritable
from zoe_jupyter.store.reserve import free_bytes

BUSY_S = 10.0
"""How long a write waits for another writer, and a call for a free connection."""
_READERS = 4
_JOURNAL_BYTES = 64 * 1024 * 1024
_LEAST_BYTES = 64 * 1024
"""With less room than this for its shared memory SQLite fails in a general way."""
# Of libpq: a network that swallows packets is noticed within a minute.
_KEEP_ALIVE = {"keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 40_000}
_DURABLE = (
    "SELECT set_config(name, CASE setting WHEN 'off' THEN 'on' ELSE setting END, false) FROM pg_settings"
    " WHERE name = 'synchronous_commit'"
)
"""As long as the connection lasts, whatever the server is told meanwhile.

All other values wait for the disk of the server itself at least; which standbys are waited for besides is the site's choice."""


@dataclass(frozen=True, slots=True)
class Engines:
    reading: Engine
    writing: Engine

    def dispose(self) -> None:
        self.reading.dispose()
        self.writing.dispose()


def file_url(path: Path) -> str:
    """The URL of SQLite in that file, whatever characters its name has."""
    return URL.create("sqlite", database=str(path.absolute())).render_as_string()


def parse_url(url: str) -> URL:
    """Read a database URL; raises StoreError for what Zoe cannot use."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreError("not a database URL; write sqlite:////path/zoe.db or postgresql://user@host/name") from error
    kind = parsed.drivername.partition("+")[0]
    if kind in ("postgresql", "postgres"):
        return parsed.set(drivername="postgresql+psycopg")
    if kind != "sqlite":
        raise StoreError(f"Zoe keeps its state in SQLite or PostgreSQL, not in {kind!r}")
    if parsed.database in (None, "", ":memory:"):
        raise StoreError("a store needs a file: sqlite:////path/zoe.db")
    return parsed.set(drivername="sqlite+pysqlite")


def shared_name(url: str) -> str:
    """The same for all cores that name the host of that database alike, and no secret. Raises StoreError."""
    found = parse_url(url)
    host = str(found.query.get("host") or found.host or os.environ.get("PGHOST", ""))
    if is_sqlite(found):
        place: tuple[str, ...] = (platform.node(), os.path.realpath(str(found.database)))
    else:
        place = (host, str(found.port or 5432), str(found.database), str(found.query.get("options")))
    return hashlib.sha256(repr(place).encode()).hexdigest()[:16]


def open_engines(url: URL) -> Engines:
    """Make both engines; nothing is connected before the first call."""
    try:
        return _sqlite_engines(url) if is_sqlite(url) else _postgresql_engines(url)
    except (ImportError, NoSuchModuleError) as error:
        raise StoreError("the driver of PostgreSQL is missing; `pip install 'psycopg[binary]>=3.1'`") from error


def is_sqlite(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def shown(url: URL) -> str:
    """The URL as people may see it."""
    return url.render_as_string(hide_password=True)


def _sqlite_engines(url: URL) -> Engines:
    # Only ``migrate`` makes the file, closed to others; a connection never does.
    address = f"{Path(str(url.database)).absolute().as_uri()}?mode=rw"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, check_same_thread=False, timeout=BUSY_S)

    common: dict[str, Any] = {
        "creator": connect,
        "pool_timeout": BUSY_S,
        "hide_parameters": True,
    }
    writing = create_engine(url, pool_size=1, max_overflow=0, **common)
    reading = create_engine(url, pool_size=_READERS, max_overflow=_READERS, **common)
    event.listen(writing, "connect", _prepare_sqlite_writer)
    event.listen(reading, "connect", _prepare_sqlite_reader)
    event.listen(writing, "begin", _begin_immediate)
    event.listen(reading, "begin", _begin_deferred)
    return Engines(reading, writing)


def _prepare_sqlite_writer(connection: sqlite3.Connection, record: object) -> None:
    # No transactions of the driver's own: it would not begin one before DDL, and begin them as readers.
    connection.isolation_level = None
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"journal_size_limit={_JOURNAL_BYTES}"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _prepare_sqlite_reader(connection: sqlite3.Connection, record: object) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA query_only=ON")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin_deferred(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _postgresql_engines(url: URL) -> Engines:
    common: dict[str, Any] = {
        "connect_args": {"connect_timeout": int(BUSY_S), "application_name": "zoe", **_KEEP_ALIVE},
        "pool_pre_ping": True,
        "pool_timeout": BUSY_S,
        "hide_parameters": True,
    }
    writing = create_engine(url, pool_size=1, max_overflow=0, isolation_level="READ COMMITTED", **common)
    reading = create_engine(url, pool_size=_READERS, max_overflow=_READERS, isolation_level="REPEATABLE READ", **common)
    event.listen(writing, "connect", _executing(f"SET lock_timeout = {int(BUSY_S * 1000)}"))
    event.listen(writing, "connect", _executing(_DURABLE))
    event.listen(reading, "connect", _executing("SET default_transaction_read_only = on"))
    return Engines(reading, writing)


def _executing(statement: str) -> Callable[[Any, object], None]:
    """On each new connection, and so no message more in each transaction."""

    def execute(connection: Any, record: object) -> None:
        connection.execute(statement)
        connection.commit()

    return execute


@contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn the drivers' errors into the store's."""
    try:
        yield
    except PoolTimeout as error:
        raise StoreBusy(f"every connection to {place} was in use for {BUSY_S:.0f} s") from error
    except DBAPIError as error:
        raise _meaning(error.orig, place, is_cut_off=error.connection_invalidated) from error
    except sqlite3.Error as error:
        raise _meaning(error, place, is_cut_off=False) from error


def _meaning(error: BaseException | None, place: str, *, is_cut_off: bool) -> StoreError:
    if isinstance(error, sqlite3.Error):
        return _sqlite_meaning(str(error), place)
    state = getattr(error, "sqlstate", None)
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if state in ("53100", "53200"):
        return StoreFull(f"PostgreSQL has no room left: {text}")
    if state in ("55P03", "40P01", "40001", "57014"):
        return StoreBusy(f"{place} is locked by somebody else: {text}")
    if is_cut_off or state is None or state[:2] in ("08", "57"):
        return StoreBusy(f"{place} cannot be reached: {text}")
    if state in ("XX001", "XX002"):
        return StoreCorrupt(f"{place} is damaged: {text}")
    return StoreError(f"{place}: {text}")


def full_text(place: str) -> str:
    return f"no room is left on the disk for {place}; make room, Zoe goes on by itself"


def gone_text(place: str) -> str:
    return (
        f"{place} was removed or replaced while Zoe used it: nothing new is accepted, what runs goes on; put the file back"
        " as it was, or start Zoe again with what is there now"
    )


def _is_on_full_disk(place: str) -> bool:
    """SQLite does not say so where it could not make or grow a file beside the database."""
    try:
        return free_bytes(Path(str(make_url(place).database))) < _LEAST_BYTES
    except (OSError, ArgumentError):
        return False


def _sqlite_meaning(text: str, place: str) -> StoreError:
    # The codes behind these texts are known to Python 3.11 and newer only; the texts have not changed in ten years.
    if "locked" in text or "busy" in text:
        return StoreBusy(f"{place} is locked by another program")
    if "full" in text or (("I/O" in text or "unable to open" in text) and _is_on_full_disk(place)):
        return StoreFull(full_text(place))
    if "malformed" in text or "not a database" in text:
        return StoreCorrupt(
            f"{place} is damaged ({text}); move it away to begin anew, or put a backup in its place, and start Zoe again"
        )
    if "unable to open" in text and not Path(str(make_url(place).database)).exists():
        return StoreGone(f"{text}: {gone_text(place)}")
    if "readonly" in text or "I/O" in text:  # the latter where the file was open already when its disk became read-only
        return StoreUnwritable(
            f"the disk of {place} cannot be written to now ({text}): it is read-only or fails; what runs goes on, and once it can be, so does Zoe"
        )
    return StoreError(f"{place}: {text}")
