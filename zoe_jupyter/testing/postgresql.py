"""A real PostgreSQL for tests: Debian's package (or any on the path), in a folder of its own, on a free port of this host."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine
from sqlalchemy.engine import URL

_START_S = 60.0
_USER = "zoe"
HOW = "apt-get install postgresql, or put the folder of initdb and postgres on the path"


def find_programs() -> Path | None:
    """Find the folder of ``initdb`` and ``postgres``: on the path, else the newest of Debian's."""
    named = shutil.which("initdb")
    if named and (Path(named).resolve().parent / "postgres").exists():
        return Path(named).resolve().parent
    packaged = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(packaged, key=lambda folder: int(folder.parent.name), default=None)


@dataclass
class Server:
    """A running server; ``new_database`` gives each test its own."""

    programs: Path
    data: Path
    port: int
    password: str
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        made = URL.create(
            "postgresql+psycopg",
            username=_USER,
            password=self.password,
            host="127.0.0.1",
            port=self.port,
            database=database,
        )
        return made.render_as_string(hide_password=False)

    def new_database(self) -> str:
        """Create an empty database; returns its URL."""
        name = f"test_{secrets.token_hex(6)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def execute(self, statement: str) -> None:
        """Run one statement as the superuser, outside any transaction."""
        engine = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.exec_driver_sql(statement)
        finally:
            engine.dispose()

    def kill(self) -> None:
        """End it as a crash would: no goodbye to anybody; ``start`` recovers."""
        self._end("immediate")

    def stop(self) -> None:
        self._end("fast")

    def start(self) -> None:
        """Start it, again after ``kill``, and wait until it answers."""
        self.process = _launch(self.programs, self.data, self.port)
        self._wait(self.process)

    def _end(self, mode: str) -> None:
        command = [str(self.programs / "pg_ctl"), "stop", "-D", str(self.data), "-m", mode, "-w", "-t", "30", "-s"]
        with suppress(subprocess.SubprocessError):
            subprocess.run(command, check=True, capture_output=True, timeout=40, **_account())
        if self.process is None:
            return
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(10)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        command = [str(self.programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-t", "5"]
        deadline = time.monotonic() + _START_S
        while subprocess.run(command, check=False, timeout=30).returncode != 0:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(
                    f"PostgreSQL did not start: {(self.data / 'server.log').read_text(errors='replace')[-2000:]}"
                )
            time.sleep(0.05)


@contextmanager
def running_postgresql() -> Iterator[Server]:
    """Start a server that listens on loopback only, with a password; it is gone, with its files, at the end.

    Raises FileNotFoundError, which says how to get it, where PostgreSQL is missing.
    """
    programs = find_programs()
    if programs is None:
        raise FileNotFoundError(f"PostgreSQL is not installed; {HOW}")
    # Not below pytest's own folder: that one is closed to the account that PostgreSQL has to run under for root.
    base = Path(tempfile.mkdtemp(prefix="zoe-postgresql-"))
    try:
        password = _prepare(programs, base)
        server = Server(programs, base / "data", _free_port(), password)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _prepare(programs: Path, base: Path) -> str:
    password = secrets.token_urlsafe(16)
    password_file = base / "password"
    password_file.write_text(password)
    if os.getuid() == 0:
        owner = _stranger()
        for path in (base, password_file):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    command = [str(programs / "initdb"), "-D", str(base / "data"), "-U", _USER, "-A", "scram-sha-256"]
    command += ["--pwfile", str(password_file), "--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, cwd=base, **_account())
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stderr[-2000:]}")
    return password


def _launch(programs: Path, data: Path, port: int) -> subprocess.Popen[bytes]:
    command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", ""]
    command += ["-c", "shared_buffers=16MB"]
    log = data / "server.log"
    with log.open("ab") as stream:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=data, **_account())


def _account() -> dict[str, Any]:
    """PostgreSQL refuses to run as root; then it gets another account."""
    if os.getuid() != 0:
        return {}
    owner = _stranger()
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _stranger() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
