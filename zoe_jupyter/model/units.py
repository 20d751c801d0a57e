"""Quantities with units: memory, durations, cores; as people write them, and as Zoe computes with them."""

from __future__ import annotations

import math
import re

_MEMORY = {
    "": 1, "B": 1,
    "K": 1000, "KB": 1000, "M": 1000**2, "MB": 1000**2, "G": 1000**3, "GB": 1000**3, "T": 1000**4, "TB": 1000**4,
    "KI": 1024, "KIB": 1024, "MI": 1024**2, "MIB": 1024**2, "GI": 1024**3, "GIB": 1024**3, "TI": 1024**4, "TIB": 1024**4,
}  # fmt: skip
_DURATION_S = {"": 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]{0,3})", re.ASCII)
_DURATION_PART = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(ms|s|m|h|d)?", re.ASCII)
_MOST_CORES = 1e12
_MOST = 1e18
"""Bytes or seconds; an integer of some hundred digits is no float any more."""
_STEPS = (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


def memory_bytes(value: str | int | float) -> int:
    """Read ``1GiB``, ``512MiB``, ``1.5G`` or a plain number of bytes; raises ValueError that says what is accepted."""
    if isinstance(value, bool):
        raise ValueError("a memory size is a number with a unit, such as 512MiB")
    if isinstance(value, int | float):
        if not 0 <= value <= _MOST:
            raise ValueError(f"a memory size is a finite number of bytes, not {str(value)[:40]}")
        return math.ceil(value)
    match = _QUANTITY.fullmatch(value.strip())
    factor = _MEMORY.get(match[2].upper()) if match else None
    if match is None or factor is None:
        raise ValueError(f"{value[:40]!r} is not a memory size; write for example 512MiB or 2GiB")
    return math.ceil(float(match[1]) * factor)


def format_bytes(count: float) -> str:
    """Say a number of bytes as people read it: ``2.1 GiB``."""
    for unit, factor in _STEPS:
        if abs(count) >= factor:
            return f"{count / factor:.3g} {unit}" if count / factor < 1000 else f"{count / factor:.0f} {unit}"
    return f"{count:.0f} B"


def duration_s(value: str | int | float) -> float:
    """Read ``90``, ``1h30m``, ``10m`` or ``500ms`` as seconds; raises ValueError that says what is accepted."""
    if isinstance(value, bool):
        raise ValueError("a duration is a number with a unit, such as 10m")
    if isinstance(value, int | float):
        if not 0 <= value <= _MOST:
            raise ValueError(f"a duration is a finite number of seconds, not {str(value)[:40]}")
        return float(value)
    text = value.strip()
    parts = list(_DURATION_PART.finditer(text))
    if (
        not parts
        or "".join(part[0] for part in parts) != text
        or (len(parts) > 1 and not all(part[2] for part in parts))
    ):
        raise ValueError(f"{value[:40]!r} is not a duration; write for example 30s, 10m, 8h or 1h30m")
    return sum(float(part[1]) * _DURATION_S[part[2] or ""] for part in parts)


def format_duration(seconds: float) -> str:
    """Say seconds as people read them: ``40 s``, ``10 min``, ``1 h 30 min``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, days = round(seconds / 60), round(seconds / 86400)
    if minutes < 60:
        return f"{minutes} min"
    if seconds < 2 * 86400:
        hours, rest = divmod(minutes, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    return f"{days} days"


def microcores(value: str | int | float) -> int:
    """Read a number of CPU cores (``0.5``, ``"2"``, ``"500m"``) as millionths, rounded up; raises ValueError."""
    if isinstance(value, bool):
        raise ValueError("cores are a number, such as 0.5")
    if isinstance(value, str):
        match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)(m?)", value.strip(), re.ASCII)
        if match is None:
            raise ValueError(f"{value[:40]!r} is not a number of cores; write for example 0.5 or 500m")
        value = float(match[1]) / (1000 if match[2] else 1)
    if not 0 <= value <= _MOST_CORES:
        raise ValueError(f"cores are a number between 0 and {_MOST_CORES:g}, not {value}")
    return math.ceil(round(value * 1_000_000, 3))


def format_cores(count: int) -> str:
    """Say microcores as cores: ``1.5``."""
    return f"{count / 1_000_000:.4g}"
