"""From what supervisors count to samples of use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from zoe_jupyter.backends.base import Usage

_LEAST_S = 0.05


class _Last(NamedTuple):
    at: float
    cpu_s: float
    cores: float


class Meter:
    """Remembers the last count of each attempt, since use is the difference of two."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, int], _Last] = {}

    def measure(self, counts: Mapping[str, Mapping[str, Any]], now: float) -> list[Usage]:
        """One sample of every service; ``counts`` is ``{execution: {service: {attempt, age_s, cpu_s, memory_bytes, processes}}}``."""
        kept: dict[tuple[str, str, int], _Last] = {}
        samples = []
        for execution_id, services in counts.items():
            for name, count in services.items():
                key = (execution_id, name, count["attempt"])
                kept[key] = last = self._next(key, count, now)
                samples.append(Usage(execution_id, name, last.cores, count["memory_bytes"], count["processes"]))
        self._last = kept
        return samples

    def _next(self, key: tuple[str, str, int], count: Mapping[str, Any], now: float) -> _Last:
        """The first sample is the mean since the start."""
        before = self._last.get(key)
        since_s = now - before.at if before else float(count["age_s"])
        if before is not None and since_s < _LEAST_S:
            return before
        used_s = count["cpu_s"] - (before.cpu_s if before else 0.0)
        return _Last(now, count["cpu_s"], max(0.0, used_s / max(_LEAST_S, since_s)))
