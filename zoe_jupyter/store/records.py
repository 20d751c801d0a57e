"""From the model's dataclasses to rows and back. What is written is read back first, so that no row can stop the next start."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache, lru_cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from zoe_jupyter.model.application import Application
from zoe_jupyter.model.execution import Execution, Lease, LogEvent, Service
from zoe_jupyter.store.errors import StoreCorrupt, StoreError

Row = dict[str, Any]
T = TypeVar("T")

COLUMNS = ("id", "owner", "name", "state", "parent", "created_at", "ended_at", "version")
"""The fields of an execution that have a column of their own, to be searched by."""

_OWN_TABLES = ("application", "services")
_BODY = tuple(f.name for f in fields(Execution) if f.name not in COLUMNS and f.name not in _OWN_TABLES)

_EXECUTION = TypeAdapter(Execution)
_APPLICATION = TypeAdapter(Application)
_SERVICE = TypeAdapter(Service)
_LEASE = TypeAdapter(Lease)
_TEXTS = 64
_texts: dict[int, tuple[Application, str]] = {}
"""The newest applications that were written out, by identity; each holds its application, so that no other takes its id."""


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event before the log gives it a number."""

    kind: str
    execution_id: str
    owner: str
    data: Mapping[str, Any] = field(default_factory=dict)
    at: float = 0.0


def execution_row(execution: Execution) -> Row:
    """Make the row of ``zoe_executions``; raises StoreError for what could not be read back."""
    row: Row = {name: getattr(execution, name) for name in COLUMNS}
    row["state"] = execution.state.value
    row["body"] = _encode({name: getattr(execution, name) for name in _BODY})
    _readable(_EXECUTION, {**json.loads(row["body"]), **row, "application": execution.application}, execution.id)
    return row


def application_text(execution: Execution) -> str:
    """The same application, submitted many times, is written out once."""
    known = _texts.get(id(execution.application))
    if known is None:
        known = execution.application, _checked(_APPLICATION, execution.application, execution.id)
        if len(_texts) >= _TEXTS:
            _texts.clear()
        _texts[id(execution.application)] = known
    return known[1]


def service_text(execution_id: str, service: Service) -> str:
    return _checked(_SERVICE, service, f"{execution_id}/{service.name}")


def lease_row(lease: Lease) -> Row:
    return {"id": lease.id, "execution_id": lease.execution_id, "body": _checked(_LEASE, lease, f"lease {lease.id}")}


def event_row(draft: EventDraft, seq: int) -> Row:
    return {
        "seq": seq,
        "at": draft.at,
        "kind": draft.kind,
        "execution_id": draft.execution_id,
        "owner": draft.owner,
        "data": _encode(dict(draft.data)),
    }


def execution_of(row: Mapping[str, Any], application: str, services: Mapping[str, str]) -> Execution:
    """Read an execution; ``services`` is JSON by name. Raises StoreCorrupt that names it."""
    where = f"execution {row['id']}"
    parts = {
        "application": _application_of(application),
        "services": {name: _decode(_SERVICE, services[name], where) for name in sorted(services, key=_by_number)},
    }
    body = _loads(row["body"], where)
    return _decoded(_EXECUTION, {**body, **{name: row[name] for name in COLUMNS}, **parts}, where)


def lease_of(text: str) -> Lease:
    return _decode(_LEASE, text, "a lease")


def event_of(row: Mapping[str, Any]) -> LogEvent:
    data = _loads(row["data"], f"event {row['seq']}")
    return LogEvent(row["seq"], row["at"], row["kind"], row["execution_id"], row["owner"], data)


# Executions of one shop entry mostly differ in their name only; they share one application in memory, too.
@lru_cache(maxsize=64)
def _application_of(text: str) -> Application:
    return _decode(_APPLICATION, text, "an application")


def _by_number(service_name: str) -> tuple[str, int]:
    """``worker-10`` after ``worker-2``."""
    match = re.fullmatch(r"(.*)-(\d+)", service_name, re.DOTALL)
    return (match[1], int(match[2])) if match else (service_name, -1)


@cache
def _field_names(kind: Any) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


def _plain(value: object) -> object:
    if is_dataclass(value):
        kind: Any = type(value)
        return {name: getattr(value, name) for name in _field_names(kind)}
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


# ASCII only: PostgreSQL's text takes no NUL, and no database takes half a surrogate pair.
_encoder = json.JSONEncoder(default=_plain, separators=(",", ":"))


def _encode(value: object) -> str:
    try:
        return _encoder.encode(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise StoreError(f"this cannot be stored: {error}") from error


def _checked(adapter: TypeAdapter[T], value: T, where: str) -> str:
    text = _encode(value)
    _readable(adapter, json.loads(text), where)
    return text


def _readable(adapter: TypeAdapter[T], tree: object, where: str) -> None:
    try:
        adapter.validate_python(tree)
    except ValidationError as error:
        raise StoreError(f"{where} cannot be stored, it could not be read back: {_first(error)}") from error


def _loads(text: str, where: str) -> dict[str, Any]:
    try:
        tree = json.loads(text)
    except ValueError as error:
        raise StoreCorrupt(f"the stored record of {where} is damaged: {error}") from error
    if not isinstance(tree, dict):
        raise StoreCorrupt(f"the stored record of {where} is damaged: it is no JSON object")
    return tree


def _decode(adapter: TypeAdapter[T], text: str, where: str) -> T:
    return _decoded(adapter, _loads(text, where), where)


def _decoded(adapter: TypeAdapter[T], tree: object, where: str) -> T:
    try:
        return adapter.validate_python(tree)
    except ValidationError as error:
        raise StoreCorrupt(f"the stored record of {where} is damaged: {_first(error)}") from error


def _first(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
