"""A core on the fake backend with a real store, on a simulated machine: a day goes by in seconds, and it can die at any turn."""

from __future__ import annotations

import asyncio
import atexit
import itertools
import shutil
import sqlite3
import tempfile
from collections.abc import Coroutine, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

from zoe_jupyter.engine.core import Core
from zoe_jupyter.engine.door import Caller, Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.execution import Execution
from zoe_jupyter.store.repository import Store, file_url
from zoe_jupyter.testing.fake_backend import FakeBackend
from zoe_jupyter.testing.house import ALICE, House
from zoe_jupyter.testing.simulated import Killed, Machine, SimulatedLoop

T = TypeVar("T")


class SimulatedHouse:
    """What survives a core, and the core that works on it now. Close it, or its folder stays."""

    def __init__(self, *, history_days: float = 90.0) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="zoe-simulated-", dir=_fast_folder())
        self.folder = Path(self._temporary.name)
        self.machine = Machine()
        self.backend = FakeBackend(data_dir=self.folder / "backend")
        House(self.folder, self.backend).furnish()
        self.settings = Settings(
            data_dir=self.folder, shop_sources=(str(self.folder / "shop"),), history_days=history_days
        )
        shutil.copy(_empty_database(), self.database)
        self.loop: SimulatedLoop | None = None
        self.core: Core = None  # type: ignore[assignment]
        self._store: Store | None = None
        # In the order of their submits, not at random: what is done next goes by the order of ids, too.
        numbers = itertools.count(1)
        self._ids = mock.patch(
            "zoe_jupyter.engine.submitting.secrets.token_hex", lambda size: f"{next(numbers):0{2 * size}x}"
        )
        self._ids.start()

    @property
    def database(self) -> Path:
        return self.folder / "zoe.db"

    def open(self, *, dies_in: int | None = None) -> None:
        """Begin with a new core; when it dies in that, the next one tries."""
        while self.loop is None:
            self.loop = SimulatedLoop(self.machine)
            self.loop.die_after(dies_in)
            dies_in = None
            self._store = Store(file_url(self.database))
            self.core = Core(
                settings=self.settings, backend=self.backend, store=self._store, clock=self.machine.clock()
            )
            self.do(self.core.open())
        self.loop.die_after(None)

    def do(self, work: Coroutine[Any, Any, T]) -> T | None:
        """What the core answers; None when it died in the middle. Raises what the core raises."""
        assert self.loop is not None
        try:
            return self.loop.run(work)
        except Killed:
            self.die()
            return None

    def die_after(self, turns: int | None) -> None:
        """Let the core be killed after so many turns of its loop; None: do not."""
        if self.loop is not None:
            self.loop.die_after(turns)

    def die(self) -> None:
        """Be killed now."""
        assert self.loop is not None
        assert self._store is not None
        self.loop.bury()
        self.backend.leave()
        self._store.close()
        self.loop = None

    def end(self) -> None:
        """Let the core end in order."""
        if self.loop is not None and self.do(self.core.close()) is None and self.loop is not None:
            self.loop.run(self.loop.shutdown_asyncgens())
            self.loop.close()
            self.loop = None

    def pass_time(self, seconds: float) -> None:
        """Let everybody do what they do in that time."""
        self.do(asyncio.sleep(seconds))

    def submit(self, use: str = "cluster", caller: Caller = ALICE, *, key: str = "", **fields: Any) -> Execution | None:
        stored = self.do(self.core.submit(Submission(use=use, **fields), caller, key=key or None))
        return stored[0] if stored else None

    def living(self) -> Sequence[Execution]:
        """What the core believes to live."""
        return list(self.core._ledger.executions.values())

    def close(self) -> None:
        """Let nothing remain."""
        self.die_after(None)
        self.end()
        self._ids.stop()
        self._temporary.cleanup()


@cache
def _empty_database() -> Path:
    """Made once, as Alembic takes its time; closed to its end, so that one file is all of it."""
    folder = Path(tempfile.mkdtemp(prefix="zoe-simulated-empty-", dir=_fast_folder()))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "zoe.db"
    store = Store(file_url(path))
    store.migrate()
    store.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return path


def _fast_folder() -> str | None:
    """In memory, where there is one: these tests are about the order of things, not about disks."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() else None
