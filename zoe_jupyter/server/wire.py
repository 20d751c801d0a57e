"""A request on its way to the core, and the answer on its way back: light, because Jupyter's start imports it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

API_PATH = "zoe/api/"
BODY_LIMIT_BYTES = 2 * 1024 * 1024
METHODS = ("GET", "POST", "PUT", "DELETE")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, and through which Jupyter server."""

    user: str
    is_admin: bool = False
    server: str = ""
    python: str = ""
    home: str = "embedded"


@dataclass(frozen=True, slots=True)
class WireRequest:
    method: str
    path: str
    """Below ``zoe/api/``, still percent-encoded."""
    visitor: Visitor
    query: str = ""
    body: bytes = b""
    content_type: str = ""
    key: str | None = None
    """``Idempotency-Key``."""
    is_internal: bool = False
    """Sent by Zoe's own server side: may use internal routes."""


@dataclass(frozen=True, slots=True)
class WireAnswer:
    status: int
    body: bytes | AsyncIterator[bytes] = b""
    headers: Mapping[str, str] = field(default_factory=dict)


class CoreGone(Exception):
    """The core that was asked has ended, or does not know us any more: the request may be sent to the next one."""


class CoreStopped(CoreGone):
    """The core that was asked is there, and its process is stopped: it will not answer before somebody continues it."""


class Answerer(Protocol):
    """Whatever answers requests: the core here, or another server's."""

    async def answer(self, request: WireRequest) -> WireAnswer: ...


def path_below(path: str, base_url: str) -> str:
    """The path of a request below ``zoe/api/`` as it came, percent-encoded: tornado hands over a decoded one, which could hold a line's end."""
    return path[len(base_url) + len(API_PATH) :]


async def close_body(body: Any) -> None:
    """Let go of an answer that is not read to its end."""
    if hasattr(body, "aclose"):
        await body.aclose()


async def cancelled(task: asyncio.Future[Any]) -> None:
    """Call off and wait: an iterator can be closed only once nobody waits for its next item."""
    task.cancel()
    await asyncio.wait({task})
    if not task.cancelled():
        task.exception()


async def next_or_none(items: AsyncIterator[Item]) -> Item | None:
    return await anext(items, None)
