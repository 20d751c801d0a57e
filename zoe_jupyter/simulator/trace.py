"""Workloads as CSV files: one application a line. Every bad line is told, with its number."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from zoe_jupyter.model.errors import InvalidDescription, Problem
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.model.units import microcores
from zoe_jupyter.simulator.workload import PRIORITIES, Application, two_kinds

COLUMNS = (
    "id", "owner", "priority", "submit_s", "run_s", "core_services", "core_cores", "core_memory_mib", "elastic_services", "elastic_cores",
    "elastic_memory_mib",
)  # fmt: skip
OPTIONAL = ("estimate_s",)
MAX_BYTES = 256 << 20
MAX_ROWS = 1_000_000
MAX_PROBLEMS = 20
MAX_TEXT = 200
MAX_SECONDS = 1e10
MAX_SERVICES = 100_000
"""Of one application."""
MAX_CORES = 1e6
MAX_MIB = 1e9
MIB = 1 << 20
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?(?:nan|inf|infinity)", re.IGNORECASE)


class _Wrong(ValueError):
    """What is wrong with one field."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


def read_trace(path: Path) -> tuple[Application, ...]:
    """The applications of a CSV file, in its order; raises InvalidDescription with the lines that are wrong."""
    name = str(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InvalidDescription([Problem(f"is larger than {MAX_BYTES >> 20} MiB", file=name)])
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InvalidDescription([Problem(f"cannot be read: {error.strerror or error}", file=name)]) from None
    except UnicodeDecodeError as error:
        raise InvalidDescription([Problem(f"is not UTF-8: {error.reason} at byte {error.start}", file=name)]) from None
    return parse_trace(text, file=name)


def parse_trace(text: str, *, file: str = "") -> tuple[Application, ...]:
    """As ``read_trace``, from text."""
    problems: list[Problem] = []
    found: list[Application] = []
    lines: dict[str, int] = {}
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = _header(next(reader, []), file)
        for line, row in _rows(reader):
            try:
                application = _application(_fields(row, columns), lines)
            except _Wrong as wrong:
                problems.append(Problem(str(wrong), path=wrong.column, file=file, line=line))
                if len(problems) >= MAX_PROBLEMS:
                    break
                continue
            lines[application.id] = line
            found.append(application)
            if len(found) > MAX_ROWS:
                raise InvalidDescription([Problem(f"has more than {MAX_ROWS} applications", file=file, line=line)])
    except csv.Error as error:
        problems.append(Problem(f"is not CSV: {error}", file=file, line=max(1, reader.line_num)))
    if problems:
        raise InvalidDescription(problems)
    if not found:
        raise InvalidDescription([Problem("has no application", file=file, line=1)])
    return tuple(found)


def _header(row: Sequence[str], file: str) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in row)
    missing = [name for name in COLUMNS if name not in columns]
    unknown = [name for name in columns if name not in COLUMNS + OPTIONAL]
    if missing or unknown or len(set(columns)) < len(columns):
        told = (
            f"lacks the column {missing[0]!r}"
            if missing
            else f"has the unknown column {unknown[0][:MAX_TEXT]!r}"
            if unknown
            else "names a column twice"
        )
        raise InvalidDescription([Problem(f"the header {told}; it is {','.join(COLUMNS)}", file=file, line=1)])
    return columns


def _rows(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Each row with the number of its last line; empty lines are none."""
    for row in reader:
        if row:
            yield getattr(reader, "line_num", 0), row


def _fields(row: Sequence[str], columns: Sequence[str]) -> Mapping[str, str]:
    if len(row) != len(columns):
        raise _Wrong("", f"has {len(row)} fields, the header has {len(columns)}")
    return {column: field.strip() for column, field in zip(columns, row, strict=True)}


def _application(fields: Mapping[str, str], lines: Mapping[str, int]) -> Application:
    name = _text(fields, "id")
    if not name:
        raise _Wrong("id", "is empty")
    if name in lines:
        raise _Wrong("id", f"{name!r} is there twice, first in line {lines[name]}")
    elastic = _count(fields, "elastic_services")
    return Application(
        id=name,
        owner=_text(fields, "owner"),
        priority=_priority(fields),
        submit_s=_number(fields, "submit_s", MAX_SECONDS),
        run_s=_number(fields, "run_s", MAX_SECONDS),
        demands=two_kinds(
            _count(fields, "core_services", least=1),
            _resources(fields, "core"),
            elastic,
            _resources(fields, "elastic") if elastic else None,
        ),
        estimate_s=_number(fields, "estimate_s", MAX_SECONDS) if fields.get("estimate_s") else None,
    )


def _resources(fields: Mapping[str, str], kind: str) -> Resources:
    cores = _number(fields, f"{kind}_cores", MAX_CORES)
    memory = _number(fields, f"{kind}_memory_mib", MAX_MIB)
    return Resources(microcores(cores), math.ceil(round(memory * MIB, 3)))


def _text(fields: Mapping[str, str], column: str) -> str:
    value = fields[column]
    if len(value) > MAX_TEXT:
        raise _Wrong(column, f"has {len(value)} characters, more than {MAX_TEXT}")
    return value


def _priority(fields: Mapping[str, str]) -> int:
    value = fields["priority"]
    if value in PRIORITIES:
        return PRIORITIES[value]
    try:
        return _count(fields, "priority", most=1_000_000)
    except _Wrong as wrong:
        raise _Wrong("priority", f"{wrong} (or one of {', '.join(PRIORITIES)})") from None


def _count(fields: Mapping[str, str], column: str, *, least: int = 0, most: int = MAX_SERVICES) -> int:
    value = _number(fields, column, most)
    if value != int(value):
        raise _Wrong(column, f"must be a whole number, not {fields[column]}")
    if value < least:
        raise _Wrong(column, f"must be at least {least}")
    return int(value)


def _number(fields: Mapping[str, str], column: str, most: float) -> float:
    text = fields[column]
    shown = text[:40] + ("…" if len(text) > 40 else "")
    if not _NUMBER.fullmatch(text):
        told = "must be a finite number" if _NOT_FINITE.fullmatch(text) else "must be a number"
        raise _Wrong(column, f"{told}, not {shown!r}" if text else f"{told}; it is empty")
    value = float(text)
    if value < 0:
        raise _Wrong(column, f"must not be negative, as {shown} is")
    if value > most:
        raise _Wrong(column, f"must be at most {most:g}, not {shown}")
    return value
