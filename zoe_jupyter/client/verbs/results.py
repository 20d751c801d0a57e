"""What a verb returns: the data as JSON, and how to show it in neutral blocks that every face can draw."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any


class Tone(str, Enum):
    PLAIN = ""
    GOOD = "good"
    BUSY = "busy"
    BAD = "bad"
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    tone: Tone = Tone.PLAIN
    link: str = ""


@dataclass(frozen=True, slots=True)
class Note:
    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Table:
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell | str]]
    empty: str = ""
    """What to say when there are no rows."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values, one a line."""

    pairs: Sequence[tuple[str, Cell | str]]


@dataclass(frozen=True, slots=True)
class Heading:
    text: str


@dataclass(frozen=True, slots=True)
class Lines:
    """Text as a program wrote it; ``lines`` may come for as long as somebody reads."""

    lines: Iterable[str]


Block = Note | Table | Facts | Heading | Lines


@dataclass(frozen=True, slots=True)
class Result:
    blocks: Sequence[Block]
    data: Any = None
    """What ``--json`` prints."""
    executions: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    """What it started or changed; the Python API makes objects of them."""
    value: Any = None
    """What the Python function returns instead, when it is neither."""
    exit_code: int = 0
    trouble: str = ""
    """Why it says less than was asked for: a shell tells it on standard error, and then ends with 1."""

    def whole(self) -> Result:
        """With its trouble among the blocks, for who has one place for both."""
        return replace(self, blocks=[*self.blocks, Note(self.trouble, Tone.BAD)], trouble="") if self.trouble else self


def say(text: str, *executions: Mapping[str, Any], tone: Tone = Tone.PLAIN) -> Result:
    """One sentence about some executions."""
    return Result(
        [Note(text, tone)], data=list(executions) if len(executions) != 1 else executions[0], executions=executions
    )
