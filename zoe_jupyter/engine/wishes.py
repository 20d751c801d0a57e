"""What somebody may wish for with a submission, beside the application: read from words, or refused with all that is wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from zoe_jupyter.engine.door import Submission
from zoe_jupyter.model.application import Application, Lifetime, LifetimeWith
from zoe_jupyter.model.errors import InvalidDescription, Problem
from zoe_jupyter.model.units import duration_s

LABEL_LENGTH = 600
LONGEST_LIFETIME_S = 366 * 86400.0
MOST_WEIGHT = 1000.0
_CLOCK_TIME = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Turn:
    """When it is its turn, as its submitter and its description say."""

    priority: int
    priority_class: str
    weight: float
    estimate_s: float | None
    not_before: float


def turn(submission: Submission, application: Application, *, classes: Mapping[str, int], now: float) -> Turn:
    """What the submission says, else what its description says. An attach is interactive unless somebody says otherwise."""
    problems: list[Problem] = []
    estimate_s = _seconds(submission.estimate, "estimate", problems)
    weight = application.weight if submission.weight is None else submission.weight
    if not (isinstance(weight, int | float) and 0 < weight <= MOST_WEIGHT):
        problems.append(Problem(f"is a number above 0 and at most {MOST_WEIGHT:g}", "weight"))
    name = submission.priority or application.priority or ("interactive" if submission.lease == "kernel" else "batch")
    if name not in classes:
        known = ", ".join(sorted(classes, key=lambda each: -classes[each]))
        problems.append(Problem(f"{name[:40]!r} is no priority class; there are {known}", "priority"))
    not_before = _begin(submission.begin, now, problems)
    if problems:
        raise InvalidDescription(problems)
    return Turn(
        priority=classes[name],
        priority_class=name,
        weight=float(weight),
        estimate_s=application.estimate_s if estimate_s is None else estimate_s,
        not_before=not_before,
    )


def begin(value: Any, now: float) -> float:
    """A moment in epoch seconds; 0.0: at once. Raises InvalidDescription."""
    problems: list[Problem] = []
    at = _begin(value, now, problems)
    if problems:
        raise InvalidDescription(problems)
    return at


def _begin(value: Any, now: float, problems: list[Problem]) -> float:
    """Epoch seconds, a date and time, ``18:30`` (the next one), or ``+2h``; 0.0: at once."""
    if value is None or value == "":
        return 0.0
    try:
        at = read_moment(value, now)
    except (ValueError, OverflowError, OSError):
        problems.append(Problem(f"{str(value)[:40]!r} is no moment; write 2030-01-31T18:30, 18:30 or +2h", "begin"))
        return 0.0
    if at > now + LONGEST_LIFETIME_S:
        problems.append(Problem(f"is later than in {LONGEST_LIFETIME_S / 86400:g} days", "begin"))
    return at


def read_moment(value: Any, now: float) -> float:
    """A moment in epoch seconds; times without a zone are those of this machine. Raises ValueError and what ``datetime`` does."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("not a moment")
    if isinstance(value, int | float):
        if not math.isfinite(value) or value < 0:
            raise ValueError("not a moment")
        return float(value)
    text = value.strip()
    if text.startswith("+"):
        return now + duration_s(text[1:])
    clock = _CLOCK_TIME.fullmatch(text)
    if clock is None:
        # Python 3.10 does not know the letter.
        return datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text)).timestamp()
    today = datetime.fromtimestamp(now).replace(hour=int(clock[1]), minute=int(clock[2]), second=0, microsecond=0)
    return (today if today.timestamp() >= now else today + timedelta(days=1)).timestamp()


def labels(given: Mapping[str, str]) -> dict[str, str]:
    problems = [
        Problem(f"a label is a text of at most {LABEL_LENGTH} characters, none of them NUL", f"labels.{str(key)[:40]}")
        for key, value in given.items()
        if not isinstance(value, str) or max(len(key), len(value)) > LABEL_LENGTH or "\0" in key + value
    ]
    if len(given) > 64:
        problems.append(Problem("at most 64 labels", "labels"))
    if problems:
        raise InvalidDescription(problems)
    return dict(given)


def lifetime(wanted: Mapping[str, Any] | None, own: Lifetime) -> Lifetime:
    """The lifetime wished for, else the application's own."""
    if wanted is None:
        return own
    problems = [
        Problem("unknown; a lifetime has after, idle, with, grace", f"lifetime.{key}")
        for key in wanted
        if key not in ("after", "idle", "with", "grace")
    ]
    seconds = {key: _seconds(wanted.get(key), f"lifetime.{key}", problems) for key in ("after", "idle", "grace")}
    together = wanted.get("with")
    if together not in (None, "", "kernel", "server"):
        problems.append(Problem("is kernel or server", "lifetime.with"))
    if problems:
        raise InvalidDescription(problems)
    grace = seconds["grace"]
    return Lifetime(
        after_s=seconds["after"],
        idle_s=seconds["idle"],
        together_with=LifetimeWith(together) if together else None,
        grace_s=own.grace_s if grace is None else grace,
    )


def _seconds(value: Any, path: str, problems: list[Problem]) -> float | None:
    try:
        found = None if value is None else duration_s(value)
    except (ValueError, TypeError, AttributeError) as error:
        problems.append(Problem(str(error), path))
        return None
    if found is not None and found > LONGEST_LIFETIME_S:
        problems.append(Problem(f"is longer than {LONGEST_LIFETIME_S / 86400:g} days", path))
    return found
