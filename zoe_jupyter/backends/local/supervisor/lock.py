"""The lock of a run folder: whoever holds it is in charge of the execution. The kernel frees it however its holder ends."""

from __future__ import annotations

import fcntl
import os
import time

_TRIES, _PAUSE_S = 20, 0.01


class Lock:
    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1

    def take(self) -> bool:
        """False while somebody else holds it; a predecessor may take a moment to go."""
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        for _ in range(_TRIES):
            if self._is_locked():
                return True
            time.sleep(_PAUSE_S)
        return False

    def is_held(self) -> bool:
        """Whether it still keeps others out; where somebody removed it and nobody else was there yet, it is made anew."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except FileNotFoundError:
            return self._is_made_anew()
        except OSError:
            return False

    def _is_made_anew(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        except OSError:
            return False
        os.close(self._descriptor)
        self._descriptor = descriptor
        return self._is_locked()

    def _is_locked(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
