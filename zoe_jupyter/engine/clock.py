"""The core's time: goes on evenly while somebody sets the machine's clock, and tells when that happened or when nobody could listen."""

from __future__ import annotations

import time
from collections.abc import Callable

from zoe_jupyter.clocks import running_s

PAUSE_S = 15.0
"""A core that did not come to itself for so long beyond its turn was stopped, starved or asleep with its machine."""


class Clock:
    """Epoch seconds that never jump: the wall clock as it was when last agreed with, and the time that went by since.

    Three clocks are behind it. ``wall`` may be set by anybody; ``running`` counts on also while the machine is suspended;
    ``awake`` stands still then, so that what nobody could do in that time is held against nobody. Beside them, ``worked``
    counts the seconds in which this thread was busy.
    """

    def __init__(
        self,
        *,
        wall: Callable[[], float] = time.time,
        running: Callable[[], float] = running_s,
        awake: Callable[[], float] = time.monotonic,
        worked: Callable[[], float] = time.thread_time,
    ) -> None:
        self._wall = wall
        self._running = running
        self.awake = awake
        self.worked = worked
        self._offset_s = wall() - running()
        self._noticed_at = running()

    def __call__(self) -> float:
        return self._running() + self._offset_s

    def set_by_s(self) -> float:
        """How far the wall clock was set since it was last agreed with: positive for forward."""
        return self._wall() - self._running() - self._offset_s

    def agree(self, by_s: float) -> None:
        """Take over how far the wall clock was set, once what lives was brought to it."""
        self._offset_s += by_s

    def paused_s(self, turn_s: float) -> float:
        """How long nobody could listen since the last call, which was due again after ``turn_s``; 0.0 when all went well."""
        now = self._running()
        late_s = now - self._noticed_at - turn_s
        self._noticed_at = now
        return late_s if late_s > PAUSE_S else 0.0
