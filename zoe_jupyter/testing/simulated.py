"""Time that is simulated: an event loop that never waits, the clocks of a machine to be set and suspended, and deaths at any turn.

Everything runs in one thread, also what is meant for others, so that one seed is one story. A loop that has nothing left to do at this moment
jumps to the next one. ``die_after`` ends a loop between two of its turns, as SIGKILL would: nothing of what was begun goes on.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import selectors
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar

from zoe_jupyter.engine.clock import Clock

T = TypeVar("T")
START = 1_800_000_000.0


class Killed(BaseException):
    """The loop came to the turn at which it was to die."""


class Machine:
    """The clocks of one machine, in seconds."""

    def __init__(self) -> None:
        self.awake_s = 1000.0
        """CLOCK_MONOTONIC: stands still while the machine is suspended."""
        self.suspended_s = 0.0
        self.set_by_s = 0.0

    def running_s(self) -> float:
        """CLOCK_BOOTTIME."""
        return self.awake_s + self.suspended_s

    def wall_s(self) -> float:
        return START + self.running_s() + self.set_by_s

    def clock(self) -> Clock:
        """What a core that begins now goes by."""
        return Clock(wall=self.wall_s, running=self.running_s, awake=lambda: self.awake_s, worked=lambda: 0.0)


class _Selector(selectors.DefaultSelector):
    """Does not wait for anything but the time, which goes on at once."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine
        self.turns_left: int | None = None

    def select(self, timeout: float | None = None) -> Any:
        if self.turns_left is not None:
            self.turns_left -= 1
            if self.turns_left < 0:
                raise Killed
        found = super().select(0)
        if found or timeout == 0:
            return found
        if timeout is None:
            raise RuntimeError("nothing would ever happen any more")
        self._machine.awake_s += timeout
        return found


class SimulatedLoop(asyncio.SelectorEventLoop):
    """A loop on a simulated machine."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._simulated = _Selector(machine)
        super().__init__(self._simulated)

    def time(self) -> float:
        return self._machine.awake_s

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Done in a later turn, and its result known in one after that, so that a death may come before, between and after."""
        future: asyncio.Future[T] = self.create_future()
        self.call_soon(self._work, future, func, args)
        return future

    def _work(self, future: asyncio.Future[T], func: Callable[..., T], args: tuple[Any, ...]) -> None:
        try:
            result = func(*args)
        except BaseException as error:
            self.call_soon(_settle, future, None, error)
        else:
            self.call_soon(_settle, future, result, None)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.run_until_complete(work)

    def pass_time(self, seconds: float) -> None:
        """Let the loop do whatever it does in that time."""
        self.run(asyncio.sleep(seconds))

    def die_after(self, turns: int | None) -> None:
        """Raise ``Killed`` out of ``run`` after so many turns; None: do not."""
        self._simulated.turns_left = turns

    def bury(self) -> None:
        """Give back what the dead loop has of the system; what was under way stays as it is for ever."""
        dead = asyncio.all_tasks(self)
        for task in dead:
            work = task.get_coro()
            if inspect.iscoroutine(work) and inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
                work.close()
        _GRAVES.append([self, *dead])
        self.set_exception_handler(_say_nothing)
        self.close()


_GRAVES: list[Any] = []
"""A task that is collected runs its ``finally``, which the dead do not."""


def _settle(future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(result)


def _say_nothing(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    logging.getLogger(__name__).debug("after its death: %s", context.get("message"))
