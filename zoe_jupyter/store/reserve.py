"""Room that is kept on the disk for the end of things: given up, a slice at a time, when the disk is full, so that what runs can still be stopped."""

from __future__ import annotations

import os
import stat
import time
from contextlib import suppress
from pathlib import Path

RESERVE_BYTES = 8 << 20
"""Holds some hundred stops: one writes about ten pages of 4 KiB a few times, and the write-ahead log is used anew after 4 MiB."""
SLICE_BYTES = 1 << 20
"""Given up at a time: whatever fills the disk would at once fill all of it."""


class Reserve:
    """A file beside the database. Nothing new is accepted while it is not whole; it is made whole again when there is room for two."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}.reserve")
        self._is_whole = False

    def hold(self) -> bool:
        """Have it whole; False when there is too little room for that."""
        if not self._is_whole:
            self._is_whole = self._extended()
        return self._is_whole

    def give_up(self) -> bool:
        """Free a slice; False when nothing is left of it."""
        self._is_whole = False
        try:
            left = self._path.stat().st_size
            os.truncate(self._path, max(0, left - SLICE_BYTES))
        except OSError:
            return False
        return left > 0

    def _extended(self) -> bool:
        try:
            self._clear_place()
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError:
            return False
        try:
            return self._is_extended(descriptor)
        finally:
            os.close(descriptor)

    def _clear_place(self) -> None:
        """Move aside what is no file: else all that is new would be refused for want of room."""
        with suppress(FileNotFoundError):
            if not stat.S_ISREG(self._path.lstat().st_mode):
                self._path.rename(f"{self._path}.{time.monotonic_ns()}")

    def _is_extended(self, descriptor: int) -> bool:
        has = os.fstat(descriptor).st_size
        if has >= RESERVE_BYTES:
            return True
        if free_bytes(self._path) < 2 * RESERVE_BYTES - has:
            return False
        try:
            os.posix_fallocate(descriptor, has, RESERVE_BYTES - has)
        except OSError:
            os.ftruncate(descriptor, has)
            return False
        return True


class NoReserve:
    """Of a database whose disk is not ours."""

    def hold(self) -> bool:
        return True

    def give_up(self) -> bool:
        return False


def free_bytes(path: Path) -> int:
    """Room for us on the disk that ``path`` (or its folder) is on."""
    found = os.statvfs(path if path.exists() else path.parent)
    return found.f_bavail * found.f_frsize
