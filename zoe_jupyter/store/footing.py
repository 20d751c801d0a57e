"""Whether the next start will find what is written now: somebody may remove or replace the files of a database that is open."""

from __future__ import annotations

import os
from pathlib import Path

_Identity = tuple[int, int] | None
"""Device and inode; None where there is no file."""


class Footing:
    """The database and its write-ahead log, as the connection that writes has them open. SQLite itself goes on without a word."""

    def __init__(self, database: Path) -> None:
        file = os.path.realpath(database)
        self._paths = (file, f"{file}-wal")
        self._opened: tuple[_Identity, ...] | None = None

    def lose(self) -> None:
        """Another connection is opened: its files count."""
        self._opened = None

    def take(self) -> None:
        """These files were just written to."""
        if self._opened is None:
            self._opened = self._now()

    def is_firm(self) -> bool:
        return self._opened is None or (None not in self._opened and self._now() == self._opened)

    def _now(self) -> tuple[_Identity, ...]:
        return tuple(_identity(path) for path in self._paths)


class NoFooting:
    """Of a database that another program looks after."""

    def lose(self) -> None: ...

    def take(self) -> None: ...

    def is_firm(self) -> bool:
        return True


def _identity(path: str) -> _Identity:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
