"""One engine's API: clients by how long an answer may take, bounded threads, and Docker's errors as those of the contract."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import docker
import requests
import urllib3
from docker.errors import APIError, DockerException, NotFound

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.docker import ways
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.backends.docker.tunnel import Tunnel
from zoe_jupyter.model.errors import Fatal, Retryable

_T = TypeVar("_T")
_THREADS = 12
QUICK_S, SLOW_S = 10, 90
SILENT = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)
"""What the driver raises when the engine does not answer."""


class Calls:
    """Every blocking call goes through ``do``; a stream has a thread and a connection of its own."""

    def __init__(self, settings: EngineSettings, tunnel: Tunnel | None) -> None:
        self._settings = settings
        self._tunnel = tunnel
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"zoe-docker-{settings.name}")
        self._clients: dict[int | None, Any] = {}
        self._lock = threading.Lock()
        self._streams: set[Any] = set()

    async def do(self, work: Callable[..., _T], *arguments: Any, limit_s: int | None = QUICK_S, **options: Any) -> _T:
        """``work(client, ...)`` in one of the threads. Raises Unreachable, Retryable, Fatal, and Docker's own NotFound."""
        return await self.off(lambda: work(self.client(limit_s), *arguments, **options))

    async def off(self, work: Callable[[], _T]) -> _T:
        """Blocking work that uses the engine in its own way."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except NotFound:
            raise
        except APIError as error:
            raise translated(error) from error
        except (DockerException, *SILENT) as error:
            raise Unreachable(f"the engine {self._settings.name} does not answer: {self._why(error)}") from error
        except RuntimeError as error:
            raise Unreachable(f"the engine {self._settings.name} is let go: {error}") from error

    def client(self, limit_s: int | None) -> Any:
        """The client whose answers may take so long; None: for ever, for streams."""
        if self._tunnel is not None:
            self._tunnel.open()
        with self._lock:
            if limit_s not in self._clients:
                self._clients[limit_s] = self._connected(limit_s)
            return self._clients[limit_s]

    def stream(self, open_stream: Callable[[Any], Iterator[Any]], take: Callable[[Any], bool]) -> None:
        """Give each item to ``take`` until it says False, or the stream ends; blocks, for a thread of the caller's own."""
        client = self._connected(None)
        try:
            with self._lock:
                self._streams.add(client)
            for item in open_stream(client):
                if not take(item):
                    return
        finally:
            with self._lock:
                self._streams.discard(client)
            client.close()

    def close(self) -> None:
        self._executor.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            clients = [*self._clients.values(), *self._streams]
            self._clients.clear()
        for client in clients:
            client.close()
        if self._tunnel is not None:
            threading.Thread(target=self._tunnel.close, name=f"zoe-docker-end-{self._settings.name}").start()

    def _connected(self, limit_s: int | None) -> Any:
        url = self._settings.url if self._tunnel is None else self._tunnel.open()
        return _Client(base_url=url, version="auto", timeout=limit_s, tls=ways.tls(self._settings) or False)

    def _why(self, error: BaseException) -> str:
        said = ways.why(error)
        words = self._tunnel.words() if self._tunnel is not None else ""
        return f"{said}; ssh says: {words}" if words else said


class _Client(docker.APIClient):  # type: ignore[misc]
    """Believes an engine by the files that its settings name, and not by those that the environment names for the web."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        return super().merge_environment_settings(url, proxies, stream, self.verify if verify is None else verify, cert)


def translated(error: APIError) -> Retryable | Fatal:
    """Trouble of the engine may pass; what it refuses, it will refuse again."""
    said = str(error.explanation or error)
    if error.is_server_error():
        return Retryable(f"the engine refused: {said}", delay_s=2.0)
    return Fatal(f"the engine refused: {said}")


def pull_progress(item: dict[str, Any], layers: dict[str, tuple[int, int]]) -> float:
    """Take a line of a pull into account; the part that is there, 0 to 1, of what is known so far."""
    detail = item.get("progressDetail") or {}
    if item.get("status") == "Downloading" and detail.get("total"):
        layers[item["id"]] = (int(detail.get("current", 0)), int(detail["total"]))
    elif item.get("status") in ("Download complete", "Pull complete") and item.get("id") in layers:
        layers[item["id"]] = (layers[item["id"]][1],) * 2
    total = sum(total for _, total in layers.values())
    return sum(current for current, _ in layers.values()) / total if total else 0.0


def as_json(line: bytes) -> dict[str, Any]:
    body = json.loads(line)
    return body if isinstance(body, dict) else {}
