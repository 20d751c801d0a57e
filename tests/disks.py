"""Small disks of their own, to be filled and closed."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_BYTES, _FILES = 48 << 20, 1000
_REMOUNT_S = 5.0


class Disk:
    """A small disk of its own on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"
        self._many = folder / "many"

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def fill(self) -> None:
        """To the last byte, also what others free meanwhile."""
        with self._filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def empty(self) -> None:
        self._filler.unlink()

    def crowd(self) -> None:
        """Until no file more can be made, though there are bytes enough."""
        self._many.mkdir()
        with suppress(OSError):
            for number in itertools.count():
                (self._many / str(number)).touch()

    def thin_out(self) -> None:
        shutil.rmtree(self._many)

    def close(self) -> None:
        """Nothing can be written to it any more."""
        self._remount("ro")

    def reopen(self) -> None:
        self._remount("rw")

    def _remount(self, how: str) -> None:
        """Not while somebody has a file open to write to it, who may be done in a moment."""
        command, end = ["mount", "-o", f"remount,{how}", str(self.folder)], time.monotonic() + _REMOUNT_S
        while (done := subprocess.run(command, check=False, capture_output=True)).returncode:
            assert time.monotonic() < end, done.stderr


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    options = f"size={_BYTES},nr_inodes={_FILES},mode=700"
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip(f"a disk cannot be mounted here: {done.stderr.decode().strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
