"""Named points at which a test may have the process killed: ``ZOE_FAILPOINT=launch.before`` or ``launch.before:3`` for the third time."""

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
    point, _, count = wanted.partition(":")
    if point == name:
        _hits[name] += 1
        if _hits[name] == int(count or 1):
            os.kill(os.getpid(), signal.SIGKILL)
