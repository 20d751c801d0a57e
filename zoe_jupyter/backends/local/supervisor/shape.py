"""Whether something has the shape of a state as supervisors write and tell it. Shared with the backend.

Services run as the same user: they can write anything into the state's place, and listen in that of the socket.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from .verdict import OUT_OF_MEMORY

_LONGEST_TEXT = 512 * 1024
_HALF = re.compile("[\ud800-\udfff]")
"""Half a character: nobody can answer with one."""
_Fits = Callable[[Any], bool]


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _LONGEST_TEXT and not _HALF.search(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < 1 << 62


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (isinstance(value, float) and math.isfinite(value))


def _is_plain(value: Any) -> bool:
    return _is_text(value) or _is_number(value)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_state(value: Any) -> bool:
    return value in ("starting", "ready", "exited")


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value))


def _maybe(fits: _Fits) -> _Fits:
    return lambda value: value is None or fits(value)


def _list_of(fits: _Fits) -> _Fits:
    return lambda value: isinstance(value, list) and all(map(fits, value))


def _table_of(fits: _Fits) -> _Fits:
    return lambda value: isinstance(value, dict) and all(map(_is_text, value)) and all(map(fits, value.values()))


def _has(fields: Mapping[str, _Fits], later: Mapping[str, _Fits] = {}) -> _Fits:
    """``later``: fields that supervisors of earlier releases did not write. There may be more, of later ones."""

    def fits(value: Any) -> bool:
        return (
            isinstance(value, dict)
            and all(name in value and each(value[name]) for name, each in fields.items())
            and all(each(value[name]) for name, each in later.items() if name in value)
        )

    return fits


_are_amounts = _has({"used": _is_whole, "limit": _is_whole})
_are_texts = _list_of(_is_text)
_are_plain = _list_of(_is_plain)
_is_told = _has(
    {"code": _is_text, "text": _is_text, "numbers": _table_of(lambda one: _is_plain(one) or _are_plain(one))}
)


def _is_reason(value: Any) -> bool:
    return _is_told(value) and (value["code"] != OUT_OF_MEMORY or _are_amounts(value["numbers"]))


_is_record = _has(
    {
        "attempt": _is_whole, "state": _is_state, "pid": _is_whole, "start": _is_whole, "ports": _table_of(_is_whole),
        "exit_code": _maybe(_is_whole), "reason": _maybe(_is_reason), "is_blameless": _is_truth, "is_stopping": _is_truth,
        "oom_kills": _is_whole, "dropped_bytes": _is_whole, "memory": _is_text,
    },
    {"trouble": _maybe(_is_reason), "processes": _is_text, "cages": _are_texts, "gpus": _are_texts, "members": _list_of(_is_pair)},
)  # fmt: skip
is_sound = _has(
    {
        "deployment": _is_text, "execution": _is_text, "boot_id": _is_text, "services": _table_of(_is_record),
        "supervisor": _has({"pid": _is_whole, "start": _is_whole}),
    },
    {
        "sequence": _is_whole, "reserved": _table_of(_has({"attempt": _is_whole, "ports": _table_of(_is_whole)})),
        "bounds": _has({"silence_s": _is_number}),
    },
)  # fmt: skip
is_usage = _table_of(
    _has(
        {
            "attempt": _is_whole,
            "age_s": _is_number,
            "cpu_s": _is_number,
            "memory_bytes": _is_whole,
            "processes": _is_whole,
        }
    )
)
