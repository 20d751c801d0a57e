"""The supervisor's event loop: readable and writable descriptors, timers. An error in a callback is written down and survived."""

from __future__ import annotations

import contextlib
import heapq
import selectors
import sys
import time
import traceback
from collections.abc import Callable

READ = selectors.EVENT_READ
WRITE = selectors.EVENT_WRITE
_LONGEST_WAIT_S = 60.0


class Timer:
    """A callback at a moment; ``cancel`` may be called at any time."""

    __slots__ = ("at", "callback", "order")

    def __init__(self, at: float, order: int, callback: Callable[[], object]) -> None:
        self.at = at
        self.order = order
        self.callback: Callable[[], object] | None = callback

    def __lt__(self, other: Timer) -> bool:
        return (self.at, self.order) < (other.at, other.order)

    def cancel(self) -> None:
        self.callback = None


class Loop:
    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[Timer] = []
        self._count = 0
        self._is_running = True
        self.timers_began_at = 0.0
        """When the timers that run now, or ran last, began to (monotonic clock)."""

    def watch(self, fd: int, events: int, callback: Callable[[int], object]) -> None:
        """Call back whenever the descriptor is ready; a second call for it replaces the first."""
        try:
            self._selector.modify(fd, events, callback)
        except KeyError:
            self._selector.register(fd, events, callback)

    def unwatch(self, fd: int) -> None:
        """Forget the descriptor; one that is not watched is no error."""
        with contextlib.suppress(KeyError, ValueError, OSError):
            self._selector.unregister(fd)

    def later(self, delay_s: float, callback: Callable[[], object]) -> Timer:
        self._count += 1
        timer = Timer(time.monotonic() + delay_s, self._count, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def stop(self) -> None:
        self._is_running = False

    def run(self) -> None:
        """Go on until ``stop``."""
        while self._is_running:
            for key, events in self._selector.select(self._wait_s()):
                guarded(key.data, events)
            self._run_timers()

    def _wait_s(self) -> float:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return _LONGEST_WAIT_S
        return min(_LONGEST_WAIT_S, max(0.0, self._timers[0].at - time.monotonic()))

    def _run_timers(self) -> None:
        self.timers_began_at = time.monotonic()
        due = []
        while self._timers and self._timers[0].at <= self.timers_began_at:
            due.append(heapq.heappop(self._timers))
        for timer in due:
            if timer.callback is not None:
                guarded(timer.callback)


def guarded(callback: Callable[..., object], *arguments: object) -> None:
    """Call it; an exception goes to the supervisor's own log, and the supervisor goes on."""
    try:
        callback(*arguments)
    except Exception:
        complain()


def complain() -> None:
    """Write the exception in hand to the supervisor's own log."""
    try:
        traceback.print_exc(file=sys.stderr)
        sys.stderr.flush()
    except OSError:
        pass
