"""The log of a service: everything it says over all its attempts, in one file with a limit on its size.

``<service>.log`` is the newest, ``.log.1`` the one before it. Bytes are written as they come. When the disk is full they are dropped, counted,
and the log says so once there is room again. Each file knows how much was said before it (an extended attribute, where the disk takes those), so
that a reader that was overtaken can tell how much it missed.
"""

from __future__ import annotations

import contextlib
import os

from .files import plain

_BEGIN = "user.zoe.begin"


class LogFile:
    def __init__(self, path: str, *, limit_bytes: int, files: int) -> None:
        self.dropped = 0
        """Bytes that could not be written, over all."""
        self._path = path
        self._limit_bytes = limit_bytes
        self._files = files
        self._fd = -1
        self._size = 0
        self._begin: int | None = 0
        """Bytes in all files before this one; None when nobody knows."""
        self._owed = 0
        self._is_at_line_start = True
        self._open()

    def write(self, data: bytes) -> None:
        """Append; never raises."""
        if self._size >= self._limit_bytes:
            self._rotate()
        if self._owed and self._put(
            f"[zoe] {self._owed} bytes of output are missing here: the disk was full\n".encode()
        ):
            self._owed = 0
        if not self._put(data):
            self._owed += len(data)
            self.dropped += len(data)
        self._is_at_line_start = data.endswith(b"\n")

    def note(self, text: str) -> None:
        """Add a line of Zoe's own."""
        self.write(f"{'' if self._is_at_line_start else chr(10)}[zoe] {text}\n".encode())

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def tail(self, lines: int) -> list[str]:
        """The last lines, for reasons; of the newest file, or of the one before when that is empty."""
        for path in (self._path, f"{self._path}.1"):
            found = _tail(path, lines)
            if found:
                return found
        return []

    def _open(self) -> None:
        try:
            self._fd = plain(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            self._size = os.fstat(self._fd).st_size
            if self._size == 0:
                _mark(self._fd, self._begin)
            else:
                self._begin = begin_of(self._fd)
        except OSError:
            self._fd = -1

    def _put(self, data: bytes) -> bool:
        if self._fd < 0:
            self._open()
        rest = memoryview(data)
        try:
            while rest:
                count = os.write(self._fd, rest)
                self._size += count
                rest = rest[count:]
        except OSError:
            return False
        return True

    def _rotate(self) -> None:
        self._begin = None if self._begin is None else self._begin + self._size
        self.close()
        try:
            for number in range(self._files - 1, 0, -1):
                older = f"{self._path}.{number}"
                newer = f"{self._path}.{number - 1}" if number > 1 else self._path
                if os.path.exists(newer):
                    os.replace(newer, older)
            if self._files == 1:
                os.unlink(self._path)
        except OSError:
            pass
        self._size = 0
        self._open()


def begin_of(descriptor: int) -> int | None:
    """How many bytes were written before this file of a log; None when it does not say."""
    try:
        return int(os.getxattr(descriptor, _BEGIN))
    except (OSError, ValueError, AttributeError):
        return None


def _mark(descriptor: int, begin: int | None) -> None:
    if begin is not None:
        with contextlib.suppress(OSError, AttributeError):
            os.setxattr(descriptor, _BEGIN, str(begin).encode())


def _tail(path: str, lines: int) -> list[str]:
    try:
        with open(path, "rb", opener=plain) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 8192))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line[:500] for line in text.splitlines() if line.strip()][-lines:]
