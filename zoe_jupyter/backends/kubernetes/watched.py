"""A copy of one kind of object, kept up to date by list and watch; one per kind, never one per execution."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer

logger = logging.getLogger(__name__)

PAGE = 500
MOST_REMEMBERED = 20_000
"""Of objects that are gone, so that a late word of one does not bring it back."""
RELIST_S = 300.0
"""After so long all is listed again; no watch is asked to last longer."""
SILENCE_S = 100.0
"""Bookmarks come about every minute; after so long without any byte the connection is broken."""
SHORTEST_S = 0.2
"""One that ends sooner, as a server's does that is shutting down, is not asked for again before that."""
RETRY_S = (0.2, 0.5, 1.0, 2.0, 5.0)
Object = Mapping[str, Any]


class Watched:
    """Calls ``on_change(name, object or None)`` after each change; ``keep`` says what is kept of an object, None for nothing at all.

    ``selector`` and ``fields``: of those that have such labels and such fields only.
    """

    def __init__(
        self,
        server: ApiServer,
        path: str,
        *,
        selector: str = "",
        fields: str = "",
        keep: Callable[[Object], Object | None],
        on_change: Callable[[str, Object | None], None],
        is_optional: bool = False,
    ) -> None:
        self._server = server
        self._path = path
        wanted = {"labelSelector": selector, "fieldSelector": fields}
        self._query = {name: value for name, value in wanted.items() if value}
        self._keep = keep
        self._on_change = on_change
        self._is_optional = is_optional
        self._version = ""
        self._listed_at = 0.0
        self._removed: dict[str, None] = {}
        self.items: dict[str, Object] = {}
        self.problem = "it has not been listed yet"
        """Why the copy may be out of date; empty while it is not."""
        self.lists = 0

    async def follow(self) -> None:
        """Go on for ever; what is optional ends where Zoe may not see it."""
        failures = 0
        while True:
            is_old, began_at = False, time.monotonic()
            try:
                if not self._version or time.monotonic() - self._listed_at >= RELIST_S:
                    await self.list()
                await self._watch()
                failures = 0
                await asyncio.sleep(began_at + SHORTEST_S - time.monotonic())
            except Unreachable as error:
                self._doubt(str(error))
            except ApiError as error:
                if error.status == 403 and self._is_optional:
                    return
                self._version, is_old = "", error.status == 410
                if not is_old:
                    self._doubt(f"{self._path}: {error}", level=logging.WARNING)
            except Exception as error:
                logger.exception("watching %s failed; a defect", self._path)
                self._version = ""
                self._doubt(f"{self._path}: {error!r}")
            if self.problem or (is_old and failures):
                await asyncio.sleep(RETRY_S[min(failures, len(RETRY_S) - 1)])
            if self.problem or is_old:
                failures += 1

    async def list(self) -> None:
        """Take in all that is there. Raises ApiError, Unreachable."""
        found: dict[str, Object] = {}
        query = {**self._query, "limit": str(PAGE)}
        while True:
            page = await self._server.get(self._path, query)
            for item in filter(None, map(self._keep, page["items"])):
                name = item["metadata"]["name"]
                if name not in found or _is_newer(item, found[name]):
                    found[name] = item
            token = page["metadata"].get("continue")
            if not token:
                break
            query["continue"] = token
        self._version, self._listed_at = page["metadata"]["resourceVersion"], time.monotonic()
        self.lists += 1
        self.problem = ""
        gone = [name for name, item in self.items.items() if name not in found and not _is_after(item, self._version)]
        for name in gone:
            self._remove(name, self.items[name])
        for item in found.values():
            self.put(item)

    def put(self, item: Object) -> None:
        """Take in what was heard of one object, unless something newer is known."""
        metadata = item["metadata"]
        name, known = metadata["name"], self.items.get(metadata["name"])
        if metadata["uid"] in self._removed or (known is not None and not _is_newer(item, known)):
            return
        self.items[name] = item
        self._on_change(name, item)

    async def _watch(self) -> None:
        left_s = RELIST_S - (time.monotonic() - self._listed_at)
        query = {
            **self._query, "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": self._version,
            "timeoutSeconds": str(max(1, math.ceil(left_s))),
        }  # fmt: skip
        async with self._server.stream(self._path, query, silence_s=SILENCE_S) as lines:
            self.problem = ""
            while line := await _line(lines):
                self._take(json.loads(line))

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            raise ApiError(int(item.get("code", 500)), item.get("reason", ""), item.get("message", ""))
        self._version = item["metadata"]["resourceVersion"]
        kept = None if kind == "BOOKMARK" else self._keep(item)
        if kept is None:
            return
        if kind == "DELETED":
            self._remove(kept["metadata"]["name"], kept)
        else:
            self.put(kept)

    def _remove(self, name: str, last: Object) -> None:
        """``last`` is told before it is gone: it says how it ended."""
        self.put(last)
        self._removed[last["metadata"]["uid"]] = None
        while len(self._removed) > MOST_REMEMBERED:
            del self._removed[next(iter(self._removed))]
        if self.items.get(name, last)["metadata"]["uid"] == last["metadata"]["uid"]:
            self.items.pop(name, None)
            self._on_change(name, None)

    def _doubt(self, why: str, *, level: int = logging.INFO) -> None:
        if not self.problem:
            logger.log(level, "watching %s: %s", self._path, why)
        self.problem = why


async def _line(lines: Any) -> bytes:
    """The next line; empty at the end. Raises Unreachable when the connection broke."""
    try:
        line: bytes = await lines.readline()
    except (asyncio.TimeoutError, OSError, ValueError) as error:
        raise Unreachable(f"the watch broke: {type(error).__name__}") from None
    return line


def _is_after(item: Object, version: str) -> bool:
    """Whether a list of that version may not have it yet: it was made while all was listed."""
    return int(item["metadata"]["resourceVersion"]) > int(version)


def _is_newer(item: Object, known: Object) -> bool:
    """Of two versions of one object; versions are numbers on every API server that there is.

    Of two objects of one name in two namespaces the older one is meant: who copies what is there comes later.
    """
    one, other = item["metadata"], known["metadata"]
    if one.get("namespace") != other.get("namespace"):
        return bool(one.get("creationTimestamp", "") < other.get("creationTimestamp", ""))
    if one["uid"] != other["uid"]:
        return bool(one.get("creationTimestamp", "") >= other.get("creationTimestamp", ""))
    return int(one["resourceVersion"]) >= int(other["resourceVersion"])
