"""Reads YAML (and JSON, which is a part of it) with limits, and remembers the line of every field.

The tree is built from the parser's events, so a bomb is refused while it is read. Scalars follow YAML 1.2's core schema:
``yes`` and ``on`` are text, ``1:30`` is no number. Tags, merge keys, infinities and duplicate keys are refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from zoe_jupyter.shop.problems import Document, Findings, Path, shorten

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_NODES = 20_000
MAX_ALIASES = 100
MAX_TEXT = 64 << 10
MAX_PROBLEMS = 100
MAX_INTEGER = 2**63

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTANTS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)


class _Stop(Exception):
    """Reading further would be unsafe or useless."""


def read(text: str | bytes, *, file: str = "") -> Document:
    """Parse a description; raises InvalidDescription with every problem that its text has."""
    findings = Findings(Document(None, file=file))
    content = _decode(text, findings)
    reader = _Reader(findings)
    try:
        for event in yaml.parse(content, Loader=_LOADER):
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        findings.within(Document(None, {(): line}, file)).add((), f"is not YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        findings.add((), f"is not YAML: {str(error)[:200]}")
    except _Stop:
        pass
    findings.raise_if_any()
    return Document(reader.tree, reader.lines, file)


def document_of(tree: Any, *, file: str = "") -> Document:
    """A tree that came as JSON, held to the same limits; raises InvalidDescription."""
    findings = Findings(Document(None, file=file))
    check_tree(tree, findings)
    findings.raise_if_any()
    return Document(tree, file=file)


def check_tree(tree: Any, findings: Findings, at: Path = ()) -> None:
    """Note what breaks the limits in a tree of plain values."""
    stack: list[tuple[Any, Path]] = [(tree, at)]
    nodes = 0
    while stack:
        value, path = stack.pop()
        nodes += 1
        if nodes > MAX_NODES:
            findings.add(at, f"has more than {MAX_NODES} values")
            return
        if len(path) - len(at) > MAX_DEPTH:
            findings.add(path[: len(at) + 3], f"is nested more than {MAX_DEPTH} deep")
            return
        stack.extend(_children(value, path, findings))


def _children(value: Any, path: Path, findings: Findings) -> list[tuple[Any, Path]]:
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                findings.add(path, f"has a key that is not text: {shorten(key)}")
        keys = [key for key in value if isinstance(key, str) and _is_scalar_fine(key, path, findings)]
        return [(value[key], (*path, key)) for key in keys]
    if isinstance(value, list | tuple):
        return [(item, (*path, index)) for index, item in enumerate(value)]
    _is_scalar_fine(value, path, findings)
    return []


def _is_scalar_fine(value: Any, path: Path, findings: Findings) -> bool:
    problem = _scalar_problem(value)
    if problem:
        findings.add(path, problem)
    return problem is None


def _scalar_problem(value: Any) -> str | None:
    if isinstance(value, str):
        if len(value) > MAX_TEXT:
            return f"has {len(value)} characters, more than {MAX_TEXT}"
        return None if _is_unicode(value) else "has characters that are no Unicode text"
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return None if abs(value) < MAX_INTEGER else "is a number of more than 64 bits"
    if isinstance(value, float):
        return None if math.isfinite(value) else "must be a finite number"
    return f"is a {type(value).__name__}; only text, numbers, true, false, null, lists and mappings are allowed"


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


def _decode(text: str | bytes, findings: Findings) -> str:
    if len(text) > MAX_BYTES:
        findings.add((), f"is larger than {MAX_BYTES >> 20} MiB")
        findings.raise_if_any()
    try:
        content = text.decode("utf-8-sig") if isinstance(text, bytes) else text
        size = len(content.encode())
    except UnicodeError as error:
        findings.add((), f"is not UTF-8: {str(error)[-100:]}")
        findings.raise_if_any()
        raise
    if size > MAX_BYTES:
        findings.add((), f"is larger than {MAX_BYTES >> 20} MiB")
        findings.raise_if_any()
    return content


@dataclass
class _Frame:
    """A collection that is being read."""

    value: Any
    path: Path
    nodes_before: int
    anchor: str | None
    key: str | None = None
    seen: set[str] = field(default_factory=set)


class _Reader:
    """Builds the tree from events."""

    def __init__(self, findings: Findings) -> None:
        self.tree: Any = None
        self.lines: dict[Path, int] = {}
        self._findings = findings
        self._stack: list[_Frame] = []
        self._nodes = 0
        self._aliases = 0
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._documents = 0

    def take(self, event: Any) -> None:
        kind = type(event).__name__
        line = event.start_mark.line + 1
        if kind == "DocumentStartEvent":
            self._documents += 1
            if self._documents > 1:
                self._fail(line, "has more than one document (---)")
                raise _Stop
        elif kind == "AliasEvent":
            self._alias(event.anchor, line)
        elif kind == "ScalarEvent":
            self._scalar(event, line)
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._open({} if kind.startswith("M") else [], event, line)
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._close()

    def _fail(self, line: int, message: str) -> None:
        path = self._next_path()
        self._findings.within(Document(None, {path: line}, self._findings.document.file)).add(path, message)
        if len(self._findings.problems) >= MAX_PROBLEMS:
            raise _Stop

    def _count(self, line: int, nodes: int = 1) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._fail(line, f"has more than {MAX_NODES} values, aliases counted as often as they are used")
            raise _Stop

    def _next_path(self) -> Path:
        if not self._stack:
            return ()
        frame = self._stack[-1]
        if isinstance(frame.value, list):
            return (*frame.path, len(frame.value))
        return (*frame.path, frame.key) if frame.key is not None else frame.path

    def _tag(self, event: Any, line: int) -> None:
        if event.tag not in (None, "!"):
            self._fail(line, f"has the tag {shorten(event.tag)}; tags are not allowed")

    def _open(self, value: Any, event: Any, line: int) -> None:
        self._count(line)
        self._tag(event, line)
        if self._is_key():
            self._fail(line, "has a key that is not plain text")
            raise _Stop
        path = self._next_path()
        if len(self._stack) >= MAX_DEPTH:
            self._fail(line, f"is nested more than {MAX_DEPTH} deep")
            raise _Stop
        self.lines.setdefault(path, line)
        self._stack.append(_Frame(value, path, self._nodes - 1, event.anchor))

    def _close(self) -> None:
        frame = self._stack.pop()
        if frame.anchor:
            self._anchors[frame.anchor] = (frame.value, self._nodes - frame.nodes_before)
        self._put(frame.value)

    def _alias(self, anchor: str, line: int) -> None:
        self._aliases += 1
        if self._aliases > MAX_ALIASES:
            self._fail(line, f"uses more than {MAX_ALIASES} aliases")
            raise _Stop
        if anchor not in self._anchors:
            self._fail(line, f"uses the alias *{anchor} before or inside of what it names")
            raise _Stop
        if self._is_key():
            self._fail(line, "has an alias as a key")
            raise _Stop
        value, nodes = self._anchors[anchor]
        self._count(line, nodes)
        self.lines.setdefault(self._next_path(), line)
        self._put(value)

    def _is_key(self) -> bool:
        return bool(self._stack) and isinstance(self._stack[-1].value, dict) and self._stack[-1].key is None

    def _scalar(self, event: Any, line: int) -> None:
        self._count(line)
        self._tag(event, line)
        if self._is_key():
            self._key(event, line)
            return
        value = _plain(event.value) if event.style in (None, "") and event.tag is None else event.value
        problem = "must be a finite number" if value is _INFINITE else _scalar_problem(value)
        if problem:
            self._fail(line, problem)
            value = None
        if event.anchor:
            self._anchors[event.anchor] = (value, 1)
        self.lines.setdefault(self._next_path(), line)
        self._put(value)

    def _key(self, event: Any, line: int) -> None:
        frame, key = self._stack[-1], event.value
        if len(key) > 256 or not key:
            self._fail(line, "has a key of more than 256 characters" if key else "has an empty key")
        if key == "<<" and event.style in (None, ""):
            self._fail(line, "has a merge key (<<); write the fields out")
        frame.key = key[:256]
        if key in frame.seen:
            self._fail(line, "is there twice")
        frame.seen.add(key)
        self.lines.setdefault((*frame.path, frame.key), line)

    def _put(self, value: Any) -> None:
        if not self._stack:
            self.tree = value
            return
        frame = self._stack[-1]
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.key is not None:
            frame.value.setdefault(frame.key, value)
            frame.key = None


_INFINITE = object()


def _plain(text: str) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if len(text) > 64:
        return text
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text[:2] in ("0x", "0o") else int(text)
    if _FLOAT.fullmatch(text):
        value = float(text)
        return value if math.isfinite(value) else _INFINITE
    return _INFINITE if _NOT_FINITE.fullmatch(text) else text
