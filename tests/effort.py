"""What work costs, in what the same machine needs for other work: a limit in seconds breaks where a machine is slow or busy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

TRIES = 3
LINEAR = 30.0
"""Of ten times the size: linear work takes about 10 times as long, quadratic 100 times."""
_TURNS = range(20_000)


def is_linear(prepare: Callable[[int], Callable[[], object]], size: int, *, most: float = LINEAR) -> bool:
    """Whether work grows with its size or less, and not with its square: what is prepared for a tenth of the size tells how long the whole may take.

    ``most``: so many times as long; fewer where much of it is the same for any size.
    """
    part, whole = prepare(size // 10), prepare(size)
    least_s = min(_cpu_s(part) for _ in range(TRIES))
    return any(_cpu_s(whole) < most * least_s for _ in range(TRIES))


@contextmanager
def at_most(loops: int) -> Iterator[None]:
    """Allow what is done inside as much CPU time as so many loops of twenty thousand turns take, of which a thousand are about a second."""
    began = time.thread_time()
    yield
    taken_s = time.thread_time() - began
    if taken_s > loops * _usual_loop_s():
        loop_s = max(_cpu_s(_loop) for _ in range(TRIES))
        assert taken_s < loops * loop_s, f"it took {taken_s:.3f} s, a loop now takes {loop_s:.6f} s"


@cache
def _usual_loop_s() -> float:
    return min(_cpu_s(_loop) for _ in range(TRIES))


def _cpu_s(work: Callable[[], object]) -> float:
    """Of this thread."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


def _loop() -> None:
    count = 0
    for turn in _TURNS:
        count += turn
