"""What of an order stands in its pod, to judge it later. Pure.

Whoever may change pods there may write anything: what Zoe cannot have written counts as nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from zoe_jupyter.model.patterns import pattern_problem

_TEXTS = ("ready", "log", "health", "node", "image", "image_prefix")
_MOST_BYTES = 2**63
_MOST_PORT = 2**16 - 1
_MOST_S = 1e9
_UNKEPT = re.compile("[\0\ud800-\udfff]")


@lru_cache(maxsize=1024)
def read(text: str) -> Mapping[str, Any]:
    """Those of ``manifests``; none of them where one is not as they write it."""
    try:
        found = json.loads(text)
        return found if _is_zoes(found) else {}
    except (ValueError, RecursionError):
        return {}


def _is_zoes(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and all(_is_text(found.get(name, "")) for name in _TEXTS)
        and isinstance(found.get("waits", False), bool)
        and _is_whole(found.get("memory_bytes", 0), most=_MOST_BYTES)
        and _are_ports(found.get("ports", {}))
        and _are_names(found.get("published", []))
        and _is_time(found.get("timeout_s", 0 if not found.get("ready") else None))
        and not pattern_problem(found.get("log", ""))
    )


def _is_text(found: Any) -> bool:
    """That a database can keep."""
    return isinstance(found, str) and not _UNKEPT.search(found)


def _is_whole(found: Any, *, most: int) -> bool:
    return type(found) is int and 0 <= found <= most


def _are_ports(found: Any) -> bool:
    return isinstance(found, dict) and all(
        _is_text(name) and _is_whole(number, most=_MOST_PORT) for name, number in found.items()
    )


def _are_names(found: Any) -> bool:
    return isinstance(found, list) and all(map(_is_text, found))


def _is_time(found: Any) -> bool:
    """Whoever has something to prove has a time for it."""
    return isinstance(found, int | float) and not isinstance(found, bool) and 0 <= found <= _MOST_S
