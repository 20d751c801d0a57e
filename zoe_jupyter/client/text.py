"""Results as plain text, for terminals, pipes and ``text/plain``. Nothing that a name or a log says can control the terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence

from zoe_jupyter.client.verbs.results import Block, Cell, Facts, Heading, Lines, Note, Result, Table

_SEQUENCES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|[ -/]*[0-~]?)"
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: object) -> str:
    """Text without escape sequences, control characters and direction marks; lines and tabs stay."""
    return _CONTROLS.sub("", _SEQUENCES.sub("", str(text)))


def to_json(data: object, *, is_ascii: bool = False) -> str:
    """Data as JSON to read; what could control a terminal is written as JSON's own escapes, so that nothing is lost."""
    text = json.dumps(data, indent=2, ensure_ascii=is_ascii)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def as_line(text: object) -> str:
    """Cleaned text on one line."""
    return " ".join(clean(text).split())


def to_lines(result: Result) -> Iterator[str]:
    """The result line by line; one that never ends comes as long as it is read."""
    for number, block in enumerate(result.blocks):
        if number and isinstance(block, Heading):
            yield ""
        yield from _block(block)


def to_text(result: Result) -> str:
    return "\n".join(to_lines(result))


def _block(block: Block) -> Iterable[str]:
    if isinstance(block, Note):
        return clean(block.text).splitlines()
    if isinstance(block, Heading):
        return [as_line(block.text)]
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Facts):
        return _facts(block)
    return _written(block)


def _written(block: Lines) -> Iterator[str]:
    for line in block.lines:
        yield clean(line)


def _facts(block: Facts) -> list[str]:
    width = max((len(name) for name, _ in block.pairs), default=0)
    return [f"{as_line(name) + ':':<{width + 1}} {_cell(value)}".rstrip() for name, value in block.pairs]


def _table(block: Table) -> list[str]:
    if not block.rows:
        return [block.empty] if block.empty else []
    return aligned([[*block.columns], *([_cell(value) for value in row] for row in block.rows)])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, each column as wide as its widest value."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _cell(value: Cell | str) -> str:
    if isinstance(value, str):
        return as_line(value)
    return as_line(f"{value.text} {value.link}" if value.link and value.link != value.text else value.text)
