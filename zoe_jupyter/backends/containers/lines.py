"""What a reason tells of a log: it is kept, and told with every change, so that no line of it may be of any length."""

from __future__ import annotations

LINE_CHARS = 500


def cut(line: str) -> str:
    """Its beginning, without its end of line."""
    return line.rstrip("\r\n")[:LINE_CHARS]
