"""The whole tree of errors: what is safe to show, and what to do about a backend's trouble.

``ZoeError`` > ``UserError`` (InvalidDescription, NotFound, Conflict, Forbidden, QuotaExceeded, TooMany, Unfit, Unavailable,
NoRoom)
and ``BackendError`` (Retryable > Busy, Fatal). ``reason`` is the stable word that REST answers carry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a description: where and what, with the way out in the message."""

    message: str
    path: str = ""
    """Dotted path of the field, such as ``processes.worker.count.core``."""
    file: str = ""
    line: int = 0
    """First line is 1; 0 when there is no text to point at."""

    def __str__(self) -> str:
        place = (
            f"{self.file}:{self.line}"
            if self.file and self.line
            else self.file or (f"line {self.line}" if self.line else "")
        )
        return ": ".join(part for part in (place, self.path, self.message) if part)


class ZoeError(Exception):
    """Everything that Zoe raises on purpose."""

    reason = "internal"

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = dict(details or {})


class UserError(ZoeError):
    """Safe to show to the user; mapped once to HTTP in ``server/errors.py``."""

    reason = "bad_request"


class InvalidDescription(UserError):
    """A description or its parameters are wrong; carries every problem, not the first only."""

    reason = "invalid_description"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(
            "\n".join(str(problem) for problem in self.problems),
            details={
                "problems": [
                    {"message": p.message, "path": p.path, "file": p.file, "line": p.line} for p in self.problems
                ]
            },
        )


class NotFound(UserError):
    """There is no such thing, or the caller may not know of it."""

    reason = "not_found"


class Conflict(UserError):
    """The thing is not in a state that allows this."""

    reason = "conflict"


class Forbidden(UserError):
    """The caller may not do this."""

    reason = "forbidden"


class QuotaExceeded(UserError):
    """A limit of the user or of the site; the message has the numbers."""

    reason = "quota_exceeded"


class TooMany(UserError):
    """Too much at once from this user. Nothing was done: the same request may be sent again after ``retry_after_s``."""

    reason = "too_many_requests"

    def __init__(self, message: str, *, retry_after_s: float = 1.0, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, details={"retry_after_s": retry_after_s, **(details or {})})

    @property
    def retry_after_s(self) -> float:
        return float(self.details["retry_after_s"])


class Unfit(UserError):
    """Can never run here: larger than every node, or needs what the backend lacks."""

    reason = "unfit"


class Unavailable(UserError):
    """Zoe itself cannot be reached, or cannot take work now; the message has the way out."""

    reason = "unavailable"


class NoRoom(UserError):
    """A disk is full: nothing new is begun; the message says which."""

    reason = "store_full"


class ReadOnly(Unavailable):
    """A disk cannot be written to now: nothing new is begun; the message says which."""

    reason = "read_only"


class BackendError(ZoeError):
    """Trouble of a backend; ``reason`` is a more telling word for it, where there is one."""

    reason = "backend"

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None, reason: str = "") -> None:
        super().__init__(message, details=details)
        self.reason = reason or type(self).reason


class Retryable(BackendError):
    """May go well on another try, after ``delay_s`` seconds. ``is_blameless``: it waits for something, and that counts as no try."""

    reason = "backend_retryable"

    def __init__(
        self,
        message: str,
        *,
        delay_s: float = 2.0,
        details: Mapping[str, Any] | None = None,
        reason: str = "",
        is_blameless: bool = False,
    ) -> None:
        super().__init__(message, details=details, reason=reason)
        self.delay_s = delay_s
        self.is_blameless = is_blameless


class Busy(Retryable):
    """What runs services cannot take this one now, and that is nobody's fault: it is asked less and less often."""

    reason = "backend_busy"

    def __init__(self, message: str, *, delay_s: float = 2.0) -> None:
        super().__init__(message, delay_s=delay_s, is_blameless=True)


class Fatal(BackendError):
    """Will fail again in the same way, such as a command that does not exist."""

    reason = "backend_fatal"


class InvalidTransition(ZoeError):
    """The lifecycle has no such transition; the message tells the execution's story. A defect, never the user's fault."""

    reason = "invalid_transition"
