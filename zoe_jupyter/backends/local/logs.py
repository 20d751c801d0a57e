"""Read the log of a service, from the oldest of its files to the newest, also while it is written and rotated."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path

from zoe_jupyter.backends.local.supervisor.files import plain
from zoe_jupyter.backends.local.supervisor.logfile import begin_of

CHUNK = 65536
_MOST_FILES = 64


class LogReader:
    """Knows its place by the open file, not by its name, so that rotation and moving of files do not matter. Blocks: use it in a thread."""

    def __init__(self, folders: Sequence[Path], service: str) -> None:
        self._folders = folders
        self._name = f"{service}.log"
        self._chain: list[int] = []
        """Open files, oldest first; the first is the one that is read."""
        self._has_gap = False
        """Whether files may have come and gone between the one in hand and the next."""
        self._is_at_line_start = True
        self._lock = threading.Lock()
        """A reader may be closed while a thread still reads."""

    def open(self) -> bool:
        """Open what there is; False when there never was such a log."""
        self._chain = self._open_all()
        return bool(self._chain)

    def close(self) -> None:
        with self._lock:
            while self._chain:
                os.close(self._chain.pop())

    def seek_tail(self, lines: int) -> None:
        """Go to where the last so many lines begin; an unfinished last line counts as one."""
        wanted, is_last_byte = lines, True
        for index in range(len(self._chain) - 1, -1, -1):
            end = os.fstat(self._chain[index]).st_size
            if end and is_last_byte:
                is_last_byte = False
                end -= lines > 0 and os.pread(self._chain[index], 1, end - 1) == b"\n"
            offset, wanted = _newline_from_end(self._chain[index], end, wanted)
            if wanted <= 0 or index == 0:
                self._begin_at(index, offset)
                return

    def _begin_at(self, index: int, offset: int) -> None:
        os.lseek(self._chain[index], offset, os.SEEK_SET)
        for older in self._chain[:index]:
            os.close(older)
        del self._chain[:index]

    def read(self) -> bytes:
        """The next bytes, at most 64 KiB; empty when there are none now."""
        with self._lock:
            data = self._read()
            self._is_at_line_start = data.endswith(b"\n") if data else self._is_at_line_start
            return data

    def _read(self) -> bytes:
        while self._chain:
            data = os.read(self._chain[0], CHUNK)
            if data:
                return data
            if len(self._chain) == 1 and not self._was_rotated():
                return b""
            data = os.read(self._chain[0], CHUNK)  # what came between the last look and the rotation
            if data:
                return data
            end = _end_of(self._chain[0])
            os.close(self._chain.pop(0))
            if self._has_gap:
                self._has_gap = False
                if gap := self._gap(end):
                    return gap
        return b""

    def _gap(self, end: int | None) -> bytes:
        """A line that says what is missing before the file in hand, when the one before it ended there."""
        begin = begin_of(self._chain[0])
        missing = "output may be"
        if begin is not None and end is not None:
            if begin <= end:
                return b""
            missing = f"{begin - end} bytes of output are"
        line = f"[zoe] {missing} missing here: it made room for newer output faster than it was read\n".encode()
        return line if self._is_at_line_start else b"\n" + line

    def _was_rotated(self) -> bool:
        """Whether newer files follow the one in hand; they are opened then."""
        own = _identity(self._chain[0])
        newer = self._open_all()
        identities = [_identity(descriptor) for descriptor in newer]
        known = identities.index(own) + 1 if own in identities else 0
        self._has_gap = bool(newer) and not known
        for descriptor in newer[:known]:
            os.close(descriptor)
        self._chain += newer[known:]
        return len(self._chain) > 1

    def _open_all(self) -> list[int]:
        """All files, oldest first, each once, also when they are rotated while we look: from the newest to the oldest, until nothing changes."""
        for folder in self._folders:
            for _ in range(5):
                found = self._open_in(folder)
                identities = [_identity(descriptor) for descriptor in found]
                if not found or (len(set(identities)) == len(identities) and self._is_newest(folder, identities[-1])):
                    break
                for descriptor in found:
                    os.close(descriptor)
                found = []
            if found:
                return found
        return []

    def _open_in(self, folder: Path) -> list[int]:
        found: list[int] = []
        for number in range(_MOST_FILES):
            path = folder / (f"{self._name}.{number}" if number else self._name)
            try:
                descriptor = plain(str(path), os.O_RDONLY)
            except OSError:
                if number:
                    break
                continue
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                found.append(descriptor)
            else:
                os.close(descriptor)
        return found[::-1]

    def _is_newest(self, folder: Path, identity: tuple[int, int]) -> bool:
        try:
            status = os.stat(folder / self._name)
        except FileNotFoundError:
            return True
        return (status.st_dev, status.st_ino) == identity


def _end_of(descriptor: int) -> int | None:
    begin = begin_of(descriptor)
    return None if begin is None else begin + os.fstat(descriptor).st_size


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _newline_from_end(descriptor: int, end: int, count: int) -> tuple[int, int]:
    """Offset after the ``count``-th newline before ``end``, counted from there; and how many were not found."""
    if count <= 0:
        return end, 0
    position = end
    while position > 0:
        begin = max(0, position - CHUNK)
        block = os.pread(descriptor, position - begin, begin)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            count -= 1
            if count == 0:
                return begin + at + 1, 0
        position = begin
    return 0, count
