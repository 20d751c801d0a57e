"""Small files that a later core reads: never half written, and lost without harm."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def read(file: Path) -> dict[str, Any]:
    """Empty where there is none that can be read."""
    try:
        body = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def replace(file: Path, body: Mapping[str, Any], *, touched_at: float | None = None) -> None:
    """``touched_at``: the file's time, unless it is now. Raises OSError."""
    draft = file.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(body), encoding="utf-8")
    if touched_at is not None:
        os.utime(draft, (touched_at, touched_at))
    draft.replace(file)
