"""Named points at which a test may have the process killed: ``ZOE_FAILPOINT=launch.before``, or ``launch.before:3`` for the third time.

``ZOE_FAILPOINT=@PATH`` reads the name from a file each time, so that a test can arm one while the process runs; a new text counts anew.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

_hits: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Kill this process as SIGKILL does, when the environment says so; else nothing. Names are literals, so that tests find them in the code."""
    wanted = os.environ.get("ZOE_FAILPOINT")
    if not wanted:
        return
    armed = _read(wanted[1:]) if wanted.startswith("@") else wanted
    point, _, count = armed.partition(" ")[0].partition(":")
    if point == name:
        _hits[armed] += 1
        if _hits[armed] == int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
