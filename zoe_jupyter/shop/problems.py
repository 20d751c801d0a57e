"""Collects what is wrong, with file, line and path, so that all of it is reported at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from zoe_jupyter.model.errors import InvalidDescription, Problem

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """A parsed description, and where each of its fields is written."""

    tree: Any
    lines: Mapping[Path, int] = field(default_factory=dict)
    """First line is 1; empty where there is no text."""
    file: str = ""

    def line(self, path: Path) -> int:
        """The line of this field, else of the nearest one around it."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 0


@dataclass
class Findings:
    """The problems found so far in one document."""

    document: Document = field(default_factory=lambda: Document(tree=None))
    problems: list[Problem] = field(default_factory=list)
    _known: set[Problem] = field(default_factory=set)

    def add(self, path: Path, message: str, *, at: Path | None = None) -> None:
        """Note a problem; ``at`` names the field to point at when it is another than ``path``."""
        place = path if at is None else at
        dotted = ".".join(map(str, path))
        self.take([Problem(message, path=dotted, file=self.document.file, line=self.document.line(place))])

    def take(self, problems: Iterable[Problem]) -> None:
        """Note problems that were found elsewhere; each is told once."""
        for problem in problems:
            if problem not in self._known:
                self._known.add(problem)
                self.problems.append(problem)

    def within(self, document: Document) -> Findings:
        """The same list of problems, for another document."""
        return Findings(document, self.problems, self._known)

    def raise_if_any(self) -> None:
        if self.problems:
            raise InvalidDescription(self.problems)


def close_names(name: str, known: Iterable[str]) -> str:
    """``"; did you mean a or b?"``, else what there is, else nothing."""
    names = sorted(known)
    matches = get_close_matches(name[:100], names, n=3, cutoff=0.6)
    if matches:
        return f"; did you mean {' or '.join(matches)}?"
    if not names:
        return "; there is none"
    shown = ", ".join(names[:12])
    return f"; there is {shown}{' and more' if len(names) > 12 else ''}"


def shorten(value: Any, length: int = 60) -> str:
    """A value as a message may quote it."""
    text = repr(value[: length + 1] if isinstance(value, str) else value)
    return text if len(text) <= length else f"{text[: length - 1]}…"
