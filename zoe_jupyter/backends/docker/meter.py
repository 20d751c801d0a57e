"""From what an engine counts to samples of use. Pure but for what it remembers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoe_jupyter.backends.base import Usage
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.translate import moment

_LEAST_S = 0.05
_NS = 1e9


class Meter:
    """Remembers the last count of each attempt, since use is the difference of two."""

    def __init__(self) -> None:
        self._last: dict[Attempt, tuple[float, float, float]] = {}
        """When, seconds of CPU until then, cores in use then."""

    def measure(self, counts: Mapping[Attempt, Mapping[str, Any]]) -> list[Usage]:
        """One sample of every service; the first of a service says 0 cores."""
        self._last = {attempt: self._next(attempt, body) for attempt, body in counts.items()}
        return [
            Usage(
                attempt.execution_id,
                attempt.service,
                cpu_cores=self._last[attempt][2],
                memory_bytes=memory_bytes(body.get("memory_stats") or {}),
                processes=int((body.get("pids_stats") or {}).get("current") or 1),
            )
            for attempt, body in counts.items()
        ]

    def _next(self, attempt: Attempt, body: Mapping[str, Any]) -> tuple[float, float, float]:
        at, used_s = moment(body["read"]), float(body["cpu_stats"]["cpu_usage"]["total_usage"]) / _NS
        before = self._last.get(attempt)
        if before is None:
            return at, used_s, 0.0
        if at - before[0] < _LEAST_S:
            return before
        return at, used_s, max(0.0, (used_s - before[1]) / (at - before[0]))


def memory_bytes(stats: Mapping[str, Any]) -> int:
    """What is really taken: without files that the kernel could drop, as control groups of version 1 and 2 name them."""
    detail = stats.get("stats") or {}
    cache = detail.get("total_inactive_file", detail.get("inactive_file", 0))
    return max(0, int(stats.get("usage") or 0) - int(cache))


async def figures(engine: Engine, container_id: str) -> Mapping[str, Any]:
    """What the engine measures of it now; waits for its turn."""
    async with engine.figures:
        return await engine.calls.do(_stats, container_id)


def _stats(client: Any, container_id: str) -> Mapping[str, Any]:
    body: Mapping[str, Any] = client.stats(container_id, stream=False, one_shot=True)
    return body
