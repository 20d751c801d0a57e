"""What a route is: one declaration from which the HTTP handlers and the OpenAPI document are made."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from zoe_jupyter.engine.door import Caller, CoreDoor
from zoe_jupyter.server.tickets import Tickets

JSON = "application/json"
NDJSON = "application/x-ndjson"
YAML = "application/yaml"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Origin:
    """The Jupyter server (or ``jupyter zoe serve``) that a request came to first."""

    server: str = ""
    python: str = ""
    home: Literal["embedded", "hub"] = "embedded"


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One request, authenticated and checked."""

    core: CoreDoor
    caller: Caller
    tickets: Tickets
    origin: Origin = Origin()
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    """Every declared parameter; ``None`` when it is absent and has no default."""
    body: Any = None
    """The route's body type, or ``None``."""
    key: str | None = None
    """``Idempotency-Key``."""


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer that is not JSON."""

    content: bytes
    media: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer in pieces, as they come."""

    chunks: AsyncIterator[bytes]
    media: str


@dataclass(frozen=True, slots=True)
class Answer:
    """A JSON answer with a status of its own."""

    body: Any
    status: int


Handler = Callable[[ApiRequest], Awaitable[Any]]
"""Returns an instance of the route's answer type, ``Raw``, ``Stream``, ``Answer`` or None."""
AnyHandler = TypeVar("AnyHandler", bound=Handler)


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of the query."""

    name: str
    kind: Literal["string", "integer", "boolean", "strings"]
    summary: str
    default: Any = None
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    pattern: str
    """Such as ``executions/{id}``, below ``zoe/api/``."""
    subject: str
    summary: str
    handler: Handler
    body: type | None = None
    answer: type | None = None
    status: int = 200
    statuses: tuple[int, ...] = ()
    """Other good answers of the same type."""
    query: tuple[Param, ...] = ()
    media: tuple[str, ...] = ()
    """What it may answer with instead of JSON."""
    streams: type | None = None
    """What a line of its stream is."""
    has_yaml: bool = False
    """The body may be a description in YAML."""
    has_key: bool = False
    """Looks at ``Idempotency-Key``."""
    is_gated: bool = False
    """Users take turns; one who asks for too much at once gets 429."""
    is_internal: bool = False
    """For Zoe's own programs; not in the OpenAPI document."""

    @property
    def name(self) -> str:
        return self.handler.__name__

    @property
    def regex(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.pattern))


@dataclass(frozen=True)
class Subject:
    """The routes of one subject, collected by a decorator: ``@routes("GET", "executions/{id}", "...", answer=ExecutionBody)``."""

    name: str
    found: list[Route] = field(default_factory=list)

    def __call__(self, method: str, pattern: str, summary: str, **declared: Any) -> Callable[[AnyHandler], AnyHandler]:
        def declare(handler: AnyHandler) -> AnyHandler:
            self.found.append(Route(method, pattern, self.name, summary, handler, **declared))
            return handler

        return declare

    def __iter__(self) -> Iterator[Route]:
        return iter(self.found)


LIMIT = Param("limit", "integer", "How many items at most.", default=100, minimum=1, maximum=1000)
CURSOR = Param("cursor", "string", "``next_cursor`` of the page before.", default="")
PAGED = (LIMIT, CURSOR)


def page(items: Sequence[Any], query: Mapping[str, Any]) -> tuple[list[Any], str | None]:
    """Cut one page out of a whole list; the cursor counts items."""
    text = query["cursor"]
    start = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
    end = start + query["limit"]
    return list(items[start:end]), str(end) if end < len(items) else None
