"""Why a service ended, from what is known of its end. Pure."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

STOP, NOT_READY, UNHEALTHY, OUT_OF_MEMORY, PROCESS_LIMIT, EXPIRED, SHUTDOWN, REMOVED = (
    "stop",
    "not_ready",
    "unhealthy",
    "out_of_memory",
    "process_limit",
    "expired",
    "shutdown",
    "removed",
)
"""Causes: what the supervisor itself did to the service first."""
_ECHO_S = 10.0
"""Who ends so soon after one of its processes was killed or refused ended of that."""


class End(NamedTuple):
    """What is known of the end of a service."""

    exit_code: int | None
    """128 + signal when a signal ended it."""
    cause: str = ""
    was_ready: bool = False
    oom_kills: int = 0
    since_oom_s: float = 0.0
    used_bytes: int = 0
    limit_bytes: int = 0
    tasks: int = 0
    """Processes and threads that it had when there were too many."""
    task_limit: int = 0
    since_refused_s: float = 1e9
    """How long ago the kernel refused it a process or thread more."""
    taken: Sequence[int] = ()
    """Its ports that others hold now that it is gone."""
    waited_for: str = ""
    timeout_s: float = 0.0
    failures: int = 0
    why_expired: str = ""
    log: Sequence[str] = ()


def judge(end: End) -> tuple[Mapping[str, Any], bool]:
    """The reason as ``{code, text, numbers}``, and whether the program is blameless."""
    code, text, numbers, is_blameless = _judge(end)
    if end.exit_code is not None:
        numbers = {"exit_code": end.exit_code, **numbers}
    if (
        end.log
        and code in ("exited", "killed", "not_ready", "unhealthy", "port_taken", "process_limit")
        and end.exit_code != 0
        and end.cause != STOP
    ):
        numbers = {**numbers, "log": list(end.log)}
    return {"code": code, "text": text, "numbers": numbers}, is_blameless


def _judge(end: End) -> tuple[str, str, dict[str, Any], bool]:
    if end.cause == EXPIRED:
        return "expired", f"ended by its supervisor: {end.why_expired}", {}, False
    if end.cause == SHUTDOWN:
        return (
            "lost",
            "its supervisor was told to end, as when the machine is shut down or the user's session ends",
            {},
            True,
        )
    if end.cause == REMOVED:
        return "lost", "somebody removed the folder in which its supervisor works", {}, True
    if end.cause == OUT_OF_MEMORY or _was_starved(end):
        return "out_of_memory", "", {"used": max(end.used_bytes, end.limit_bytes), "limit": end.limit_bytes}, False
    if end.cause == PROCESS_LIMIT:
        return (
            "process_limit",
            f"too many processes: had {end.tasks}, threads included, and may have {end.task_limit}",
            {"used": end.tasks, "limit": end.task_limit},
            False,
        )
    if end.cause == STOP:
        return _plain(end)
    if end.taken and not end.was_ready:
        listed = ", ".join(map(str, end.taken))
        return "port_taken", f"another program took its port {listed} before it could", {"ports": list(end.taken)}, True
    if end.cause in (NOT_READY, UNHEALTHY):
        return _unproven(end)
    if end.exit_code and end.since_refused_s <= _ECHO_S:
        _, text, numbers, _ = _plain(end)
        return (
            "process_limit",
            f"{text} after it {refused_text(end.task_limit)}",
            {**numbers, "limit": end.task_limit},
            False,
        )
    return _plain(end)


def _unproven(end: End) -> tuple[str, str, dict[str, Any], bool]:
    if end.cause == UNHEALTHY:
        return UNHEALTHY, f"it works no more: {end.failures} times in a row waited for {end.waited_for}", {}, False
    text = f"not ready after {end.timeout_s:g} s: waited for {end.waited_for}"
    return NOT_READY, text, {"timeout_s": end.timeout_s}, False


def refused_text(limit: int) -> str:
    return f"could start no more processes: it has the {limit} that it may have, threads included"


def _was_starved(end: End) -> bool:
    """The kernel killed it, or one of its children so lately that it ended of that."""
    if not end.oom_kills or end.exit_code == 0:
        return False
    return end.exit_code == 128 + signal.SIGKILL or end.since_oom_s <= _ECHO_S


def _plain(end: End) -> tuple[str, str, dict[str, Any], bool]:
    if end.exit_code is None:
        return "lost", "nobody saw how it ended", {}, True
    if end.exit_code > 128:
        number = end.exit_code - 128
        return "killed", f"killed by {_signal_name(number)}", {"signal": number}, False
    return "exited", f"exited with {end.exit_code}", {}, False


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
