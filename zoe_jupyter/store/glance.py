"""A look into a closed store: cheap enough for Jupyter's start, so nothing but the standard library."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def has_live_executions(file: Path) -> bool:
    """Say whether anything in that SQLite file has not ended; False when there is no store, or none that can be read now."""
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=0.2)) as connection:
            return (
                connection.execute("SELECT 1 FROM zoe_executions WHERE state <> 'ended' LIMIT 1").fetchone() is not None
            )
    except sqlite3.Error:
        return False
