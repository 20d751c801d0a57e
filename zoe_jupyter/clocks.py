"""Time that nobody sets, for whoever must not be led astray by a clock that somebody does."""

from __future__ import annotations

import time

SET_S = 5.0
"""A clock that is off by less is followed without a word, as it is corrected all the time."""


def running_s() -> float:
    """Seconds since the machine was started, those in which it was suspended included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
