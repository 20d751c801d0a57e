"""The few filters that templates have; each is a pure function over plain values with a limit on what it gives."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from zoe_jupyter.model.units import duration_s, memory_bytes

MAX_TEXT = 64 << 10
MAX_ITEMS = 1000

_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


class TemplateError(ValueError):
    """A template cannot be filled; the message says why, without a place."""


def _smallest(value: Any, *others: Any) -> Any:
    return min(_candidates(value, others))


def _largest(value: Any, *others: Any) -> Any:
    return max(_candidates(value, others))


def _candidates(value: Any, others: tuple[Any, ...]) -> list[Any]:
    items = [*(value if isinstance(value, list) else [value]), *others]
    if not items or not all(isinstance(item, int | float) for item in items):
        raise ValueError("needs numbers")
    return items


def _integer(value: Any) -> int:
    if isinstance(value, str) and len(value) > 20:
        raise ValueError("is too long for a number")
    return int(value)


def _float(value: Any) -> float:
    if isinstance(value, str) and len(value) > 40:
        raise ValueError("is too long for a number")
    return float(value)


def _rounded(value: Any, digits: int = 0) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("needs a number")
    if not 0 <= digits <= 9:
        raise ValueError("rounds to 0 to 9 digits")
    return round(value, digits) if digits else round(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError("needs text or a number")


def _joined(value: Any, separator: str = "") -> str:
    if not isinstance(value, list) or not isinstance(separator, str):
        raise ValueError("needs a list and a separator")
    parts = [_text(item) for item in value]
    if sum(map(len, parts)) + len(separator) * len(parts) > MAX_TEXT:
        raise ValueError(f"gives more than {MAX_TEXT} characters")
    return separator.join(parts)


def _replaced(value: Any, old: str, new: str) -> str:
    text = _text(value)
    if not isinstance(old, str) or not isinstance(new, str) or not old:
        raise ValueError("needs what to replace, and by what")
    if len(text) + text.count(old) * len(new) > 2 * MAX_TEXT:
        raise ValueError(f"gives more than {MAX_TEXT} characters")
    return text.replace(old, new)


def _length(value: Any) -> int:
    if isinstance(value, str | list | Mapping):
        return len(value)
    raise ValueError("needs text, a list or a mapping")


def _memory(value: Any, unit: str = "m") -> str:
    """Bytes as the JVM and others write them: ``512m``; rounded down, so that a limit is kept."""
    if unit not in _UNITS:
        raise ValueError("has the units k, m and g")
    return f"{int(memory_bytes(value)) // _UNITS[unit]}{unit}"


def _merged(value: Any, *others: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in (value, *others):
        if not isinstance(part, Mapping):
            raise ValueError("needs mappings")
        merged.update(part)
    return merged


def _json(value: Any) -> str:
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, sort_keys=True)
    if len(text) > MAX_TEXT:
        raise ValueError(f"gives more than {MAX_TEXT} characters")
    return text


def _unreachable(value: Any, *_: Any) -> Any:
    raise ValueError("is for names that may be missing")


FILTERS: Mapping[str, Callable[..., Any]] = {
    "bytes": memory_bytes,
    "default": _unreachable,
    "float": _float,
    "int": _integer,
    "join": _joined,
    "json": _json,
    "length": _length,
    "lower": lambda value: _text(value).lower(),
    "max": _largest,
    "memory": _memory,
    "merge": _merged,
    "min": _smallest,
    "replace": _replaced,
    "round": _rounded,
    "seconds": duration_s,
    "string": _text,
    "upper": lambda value: _text(value).upper(),
}
"""``default`` is handled where names are looked up."""
