"""Watching an execution come up: its events drive when to look, its own record says what to tell."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zoe_jupyter.client.api import Api
from zoe_jupyter.client.http import Json, Lost
from zoe_jupyter.model.errors import Unavailable, UserError

SILENCE_S = 40.0
"""The server gives a sign of life more often than this."""
OUTAGE_S = 60.0
"""How long a wait outlasts a server that is not there."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of progress."""

    execution: Mapping[str, Any]
    text: str
    is_last: bool = False


class NotInTime(UserError, TimeoutError):
    """It did not come so far within the time that the user gave it."""

    reason = "not_in_time"


def steps(
    api: Api, execution_id: str, *, until: Callable[[Json], bool], timeout_s: float | None = None
) -> Iterator[Step]:
    """Each change of its progress, until the record satisfies ``until`` or it has ended. Outlasts a restart of the server.

    Raises NotInTime after ``timeout_s``.
    """
    told = ""
    for execution in _records(api, execution_id, timeout_s):
        text, is_last = progress_text(execution), until(execution) or execution["state"] == "ended"
        if text != told or is_last:
            yield Step(execution, text, is_last)
        told = text
        if is_last:
            return


def progress_text(execution: Mapping[str, Any]) -> str:
    """One line for people: ``queued, 2nd in line: ...``, ``starting master``, ``worker 1 of 2 ready``."""
    if execution["state"] == "queued":
        queue = execution.get("queue") or {}
        why = (queue.get("reason") or {}).get("text", "")
        place = f"queued, number {queue['position']} in line" if queue.get("position") else "queued"
        return f"{place}: {why}" if why else place
    if execution["state"] == "ended":
        return ended_text(execution)
    return str(execution.get("progress") or execution["state"])


def ended_text(execution: Mapping[str, Any]) -> str:
    """How it ended, with the reason; no word twice, where the reason says it too: ``stopped by you``."""
    reason = str((execution.get("reason") or {}).get("text", ""))
    outcome = str(execution.get("outcome") or "ended")
    if not reason:
        return outcome
    return reason if reason.startswith(outcome) else f"{outcome}: {reason}"


def _records(api: Api, execution_id: str, timeout_s: float | None) -> Iterator[Json]:
    """Its record once the stream is open, after each event, and at each sign of life."""
    lost_since: float | None = None
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while True:
        left_s = SILENCE_S if deadline is None else deadline - time.monotonic()
        if left_s <= 0:
            raise NotInTime(f"not within {timeout_s:g} s; the execution goes on by itself")
        try:
            with api.event_stream(execution_id=execution_id, silence_s=min(left_s, SILENCE_S)) as events:
                for _ in events:
                    yield api.execution(execution_id)
                    lost_since = None
                    if deadline is not None and time.monotonic() >= deadline:
                        break
        except TimeoutError:
            continue
        except (Lost, Unavailable) as error:
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > OUTAGE_S:
                raise Unavailable(f"{error}; the execution goes on by itself") from error
            api.http.forget_connection()
        time.sleep(0.2)
