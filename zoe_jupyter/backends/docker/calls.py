"""One engine's API: clients by how long an answer may take, bounded threads, and Docker's errors as those of the contract."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from urllib.parse import urlencode

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException, NotFound

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.docker import ways, wire
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.backends.docker.tunnel import Tunnel
from zoe_jupyter.model.errors import Busy, Fatal

_T = TypeVar("_T")
LOOK_S, QUICK_S, LOG_S, SLOW_S = 9, 10, 30, 90
_THREADS = {LOOK_S: 4, QUICK_S: 12, LOG_S: 4, SLOW_S: 28}
"""Threads of their own for what may take long, and for logs, which may be long; and for looks, so that these wait for nothing that hangs."""
SILENT = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What the driver raises when the engine does not answer."""
_REFUSED, _MISSING, _TROUBLE = 400, 404, 500


class Calls:
    """Every blocking call goes through ``do``; what flows, or takes as long as somebody else wants, through ``flow``, which needs no thread."""

    def __init__(self, settings: EngineSettings, tunnel: Tunnel | None) -> None:
        self._settings = settings
        self._tunnel = tunnel
        name = f"zoe-docker-{settings.name}"
        self._executors = {limit_s: ThreadPoolExecutor(count, name) for limit_s, count in _THREADS.items()}
        self._clients: dict[int, Any] = {}
        self._lock = threading.Lock()

    async def do(self, work: Callable[..., _T], *arguments: Any, limit_s: int = QUICK_S, **options: Any) -> _T:
        """``work(client, ...)`` in one of the threads. Raises Unreachable, Retryable, Fatal, and Docker's own NotFound."""
        return await self.off(lambda: work(self.client(limit_s), *arguments, **options), limit_s=limit_s)

    async def off(self, work: Callable[[], _T], *, limit_s: int = SLOW_S) -> _T:
        """Blocking work that uses the engine in its own way."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executors[limit_s], work)
        except NotFound:
            raise
        except APIError as error:
            raise translated(error) from error
        except (DockerException, *SILENT) as error:
            raise self._silent(error) from error
        except RuntimeError as error:
            raise Unreachable(f"the engine {self._settings.name} is let go: {error}") from error

    @asynccontextmanager
    async def flow(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        limit_s: float | None = QUICK_S,
        pause_s: float | None = None,
        threads: int = QUICK_S,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """An answer as it comes; who leaves closes its connection. Raises as ``do`` does.

        ``limit_s`` until it begins, ``pause_s`` until more of it comes; the way there is found in one of the ``threads``.
        """
        url, version, tls = await self.do(self._way, limit_s=threads)
        target = f"/v{version}{path}?{urlencode(query or {})}"
        try:
            async with wire.asked(
                url, method, target, limit_s=limit_s, pause_s=pause_s, tls=tls, headers=headers, body=body
            ) as answer:
                if answer.status >= _REFUSED:
                    raise _refusal(answer.status, await answer.read())
                yield answer.content.iter_any()
        except NotFound:
            raise
        except wire.BROKEN as error:
            raise self._silent(error) from error

    def client(self, limit_s: int) -> Any:
        """The client whose answers may take so long."""
        if self._tunnel is not None:
            self._tunnel.open()
        found = self._clients.get(limit_s)
        if found is None:
            made = self._connected(limit_s)  # asks the engine: nobody may wait for that
            with self._lock:
                found = self._clients.setdefault(limit_s, made)
            if found is not made:
                made.close()
        return found

    def renew(self) -> None:
        """Use none of the connections again that are open now: nobody may be left at their other ends."""
        with self._lock:
            clients, self._clients = self._clients, {}
        for client in clients.values():
            client.close()

    def close(self) -> None:
        for executor in self._executors.values():
            executor.shutdown(wait=False, cancel_futures=True)
        self.renew()
        if self._tunnel is not None:
            threading.Thread(target=self._tunnel.close, name=f"zoe-docker-end-{self._settings.name}").start()

    def _connected(self, limit_s: int) -> Any:
        return _Client(base_url=self._url(), version="auto", timeout=limit_s, tls=ways.tls(self._settings) or False)

    def _url(self) -> str:
        return self._settings.url if self._tunnel is None else self._tunnel.open()

    def _way(self, client: Any) -> tuple[str, str, ssl.SSLContext | None]:
        return self._url(), str(client.api_version), ways.context(self._settings)

    def _silent(self, error: BaseException) -> Unreachable:
        said = ways.why(error, self._settings.url) or "no answer in time"
        words = self._tunnel.words() if self._tunnel is not None else ""
        why = f"{said}; ssh says: {words}" if words else said
        return Unreachable(f"the engine {self._settings.name} does not answer: {why}")


class _Client(docker.APIClient):  # type: ignore[misc]
    """Reaches and believes an engine by its settings alone, and not by proxies, passwords and files that the environment names for the web.

    To look for these took a third of what a question costs.
    """

    @property
    def trust_env(self) -> bool:
        return False

    @trust_env.setter
    def trust_env(self, _: bool) -> None:
        """``requests`` sets it before anybody else could, and the engine is asked for its version then."""


def translated(error: APIError) -> Busy | Fatal:
    """Trouble of the engine may pass, and is no service's fault; what it refuses, it will refuse again."""
    return _refused(str(error.explanation or error), is_trouble=error.is_server_error())


def _refusal(status: int, content: bytes) -> NotFound | Busy | Fatal:
    try:
        said = str(json.loads(content)["message"])
    except (ValueError, KeyError, TypeError):
        said = content.decode(errors="replace")
    if status == _MISSING:
        return NotFound(said, explanation=said)
    return _refused(said, is_trouble=status >= _TROUBLE)


def _refused(said: str, *, is_trouble: bool) -> Busy | Fatal:
    text = f"the engine refused: {said}"
    return Busy(text) if is_trouble else Fatal(text)


def pull_progress(item: dict[str, Any], layers: dict[str, tuple[int, int]]) -> float:
    """Take a line of a pull into account; the part that is there, 0 to 1, of what is known so far."""
    detail = item.get("progressDetail") or {}
    if item.get("status") == "Downloading" and detail.get("total"):
        layers[item["id"]] = (int(detail.get("current", 0)), int(detail["total"]))
    elif item.get("status") in ("Download complete", "Pull complete") and item.get("id") in layers:
        layers[item["id"]] = (layers[item["id"]][1],) * 2
    total = sum(total for _, total in layers.values())
    return sum(current for current, _ in layers.values()) / total if total else 0.0
