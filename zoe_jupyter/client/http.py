"""Requests to Zoe over a Unix socket or TCP, with the standard library: JSON in and out, errors as our own classes, streams line by line."""

from __future__ import annotations

import http.client
import json
import random
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from zoe_jupyter.client.connection import Connection, find_connection
from zoe_jupyter.model.errors import InvalidDescription, Problem, Retryable, TooMany, Unavailable, UserError, ZoeError

Json = dict[str, Any]
Query = Mapping[str, str | int | float | bool | Sequence[str] | None]

TIMEOUT_S = 60.0
"""A request waits while the core loads."""
PATIENCE_S = 8.0
"""How long a request that may be sent again outlasts a restart of the server."""
BUSY_PATIENCE_S = 30.0
"""How long a request that is told to come back does so."""
LARGEST_ERROR = 1 << 20
_LOST = (ConnectionError, http.client.HTTPException, FileNotFoundError)


class Lost(ZoeError):
    """The connection broke: before the request was sent, or while its answer was awaited."""

    reason = "lost"

    def __init__(self, message: str, *, was_sent: bool) -> None:
        super().__init__(message)
        self.was_sent = was_sent


class Http:
    """Sends requests to the running Zoe, and finds it again after a restart."""

    def __init__(
        self,
        find: Callable[[], Connection] = find_connection,
        *,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._find = find
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._connection: Connection | None = None

    @property
    def connection(self) -> Connection:
        """The connection in use; looked up again when its process has gone."""
        if self._connection is None or not self._connection.is_alive:
            self._connection = self._find()
        return self._connection

    def forget_connection(self) -> None:
        """Read the connection file again at the next request."""
        self._connection = None

    def get(self, path: str, query: Query | None = None, *, timeout_s: float | None = None) -> Json:
        return self.send("GET", path, query=query, timeout_s=timeout_s)

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Json:
        """The parsed answer, ``{}`` when there is none. Sent again after a lost connection where that is safe, and when told to come back. Raises ZoeError."""
        given_up_at = time.monotonic() + BUSY_PATIENCE_S
        while True:
            try:
                return self._send(method, path, query=query, body=body, headers=headers, timeout_s=timeout_s)
            except TooMany as error:
                pause_s = error.retry_after_s * random.uniform(0.5, 1.5)
                if time.monotonic() + pause_s > given_up_at:
                    raise
            time.sleep(pause_s)

    def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None,
        body: Any,
        headers: Mapping[str, str] | None,
        timeout_s: float | None,
    ) -> Json:
        is_repeatable = method in {"GET", "PUT", "DELETE"} or "Idempotency-Key" in (headers or {})
        deadline = time.monotonic() + self._patience_s
        pauses = _pauses()
        while True:
            try:
                with self._open(method, path, query=query, body=body, headers=headers, timeout_s=timeout_s) as answer:
                    return _parsed(answer.read())
            except TimeoutError as error:
                raise Unavailable(
                    f"Zoe did not answer within {timeout_s or self._timeout_s:.0f} s; see the Jupyter server's log"
                ) from error
            except (Lost, *_LOST) as error:
                may_repeat = is_repeatable or (isinstance(error, Lost) and not error.was_sent)
                if not may_repeat or time.monotonic() > deadline:
                    raise Unavailable(_story(error, was_sent=not may_repeat)) from error
            self.forget_connection()
            time.sleep(next(pauses))

    @contextmanager
    def stream(self, path: str, query: Query | None = None, *, timeout_s: float) -> Iterator[Iterator[bytes]]:
        """The answer as it comes, in pieces. Raises Lost when it breaks, TimeoutError after ``timeout_s`` of silence."""
        with self._open("GET", path, query=query, timeout_s=timeout_s) as answer:
            yield _pieces(answer)

    @contextmanager
    def _open(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        channel = _channel(self.connection, timeout_s or self._timeout_s)
        try:
            yield self._exchange(channel, method, path, query=query, body=body, headers=headers)
        finally:
            channel.close()

    def _exchange(
        self,
        channel: http.client.HTTPConnection,
        method: str,
        path: str,
        *,
        query: Query | None,
        body: Any,
        headers: Mapping[str, str] | None,
    ) -> http.client.HTTPResponse:
        connection = self.connection
        payload, kind = _payload(body)
        sent = {"Authorization": f"token {connection.token}", "Accept": "application/json", **kind, **(headers or {})}
        _connect(channel)
        try:
            channel.request(method, _target(connection, path, query), body=payload, headers=sent)
            answer = channel.getresponse()
        except TimeoutError:
            raise
        except (OSError, http.client.HTTPException) as error:
            raise Lost(f"the connection to Zoe broke: {error or type(error).__name__}", was_sent=True) from error
        if answer.status >= 400:
            self._raise(answer)
        return answer

    def _raise(self, answer: http.client.HTTPResponse) -> None:
        if answer.status == 401:
            # The server was restarted at the same place: its file has a new token.
            raise Lost("Zoe does not know the token of its connection file", was_sent=False)
        raise error_from(answer.status, answer.read(LARGEST_ERROR))


def error_from(status: int, content: bytes) -> ZoeError:
    """The error that an answer carries, as the class that its ``reason`` names."""
    try:
        body = _parsed(content)
        message, reason, details = str(body["message"]), str(body.get("reason", "")), dict(body.get("details") or {})
    except (ValueError, KeyError, TypeError):
        return Unavailable(f"Zoe answered {status}: {content[:200].decode('utf-8', 'replace').strip() or 'nothing'}")
    if reason == InvalidDescription.reason:
        return InvalidDescription([_problem(item) for item in details.get("problems") or [{"message": message}]])
    if reason == TooMany.reason:
        return TooMany(message, retry_after_s=float(details.get("retry_after_s", 1.0)), details=details)
    kind = _kinds().get(reason, UserError if status < 500 else ZoeError)
    if issubclass(kind, Retryable):
        return Retryable(message, delay_s=float(details.get("delay_s", 2.0)), details=details)
    return kind(message, details=details)


def escape(part: str) -> str:
    """A name as one part of a path."""
    return quote(part, safe="")


def _kinds() -> dict[str, type[ZoeError]]:
    found: dict[str, type[ZoeError]] = {}
    waiting: list[type[ZoeError]] = [ZoeError]
    while waiting:
        kind = waiting.pop()
        waiting.extend(kind.__subclasses__())
        if kind.__module__ == ZoeError.__module__:
            found[kind.reason] = kind
    return found


def _problem(item: Mapping[str, Any]) -> Problem:
    return Problem(
        message=str(item.get("message", "")),
        path=str(item.get("path", "")),
        file=str(item.get("file", "")),
        line=int(item.get("line") or 0),
    )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, *, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _channel(connection: Connection, timeout_s: float) -> http.client.HTTPConnection:
    if connection.address.startswith("unix:"):
        return _UnixConnection(connection.address.removeprefix("unix:"), timeout_s=timeout_s)
    parts = urlsplit(connection.address)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    return kind(parts.hostname or "127.0.0.1", parts.port, timeout=timeout_s)


def _connect(channel: http.client.HTTPConnection) -> None:
    try:
        channel.connect()
    except OSError as error:
        raise Lost(f"cannot connect to Zoe: {error}", was_sent=False) from error


def _target(connection: Connection, path: str, query: Query | None) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in (query or {}).items():
        if isinstance(value, str | int | float):
            pairs.append((name, _plain(value)))
        elif value is not None:
            pairs.extend((name, item) for item in value)
    base = urlsplit(connection.address).path.rstrip("/") if connection.address.startswith("http") else ""
    return f"{base}{connection.prefix}{path}" + (f"?{urlencode(pairs)}" if pairs else "")


def _plain(value: str | int | float) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


def _payload(body: Any) -> tuple[bytes | None, dict[str, str]]:
    if body is None:
        return None, {}
    try:
        return json.dumps(body, allow_nan=False).encode(), {"Content-Type": "application/json"}
    except (TypeError, ValueError) as error:
        raise UserError(f"only texts, numbers, lists and mappings can be sent to Zoe: {error}") from error


def _parsed(content: bytes) -> Json:
    if not content.strip():
        return {}
    value = json.loads(content)
    return value if isinstance(value, dict) else {"items": value}


def _pieces(answer: http.client.HTTPResponse) -> Iterator[bytes]:
    while True:
        try:
            piece = answer.read1(65536)
        except TimeoutError:
            raise
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Lost("the connection to Zoe broke", was_sent=True) from error
        if not piece:
            return
        yield piece


def lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The complete lines of a stream, without their ends; the last one also when it has none."""
    rest = b""
    for piece in pieces:
        *complete, rest = (rest + piece).split(b"\n")
        yield from complete
    if rest:
        yield rest


def _pauses() -> Iterator[float]:
    pause_s = 0.1
    while True:
        yield pause_s
        pause_s = min(pause_s * 2, 2.0)


def _story(error: Exception, *, was_sent: bool) -> str:
    text = str(error) or type(error).__name__
    return (
        f"{text}; it may have been done: look before you try again"
        if was_sent
        else f"{text}; is the Jupyter server still running?"
    )
