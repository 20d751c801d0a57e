"""The socket on which the core speaks to the supervisor: one JSON object a line, both ways.

A request is ``{"id": n, "do": name, ...}``; its answer ``{"id": n, "ok": ...}`` or ``{"id": n, "error": {"kind", "text"}}``. Who has asked to
``subscribe`` gets ``{"changed": n}`` whenever something changed; a reader that is slow gets only the newest when it has read what came before. Only
the same user (and root) may speak.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import Any

from .files import short_path
from .loop import READ, WRITE, Loop, complain

_LONGEST_REQUEST = 64 * 1024 * 1024
_MOST_HELD = 2 * _LONGEST_REQUEST
"""Bytes of all peers together: of requests that have not come to their end, and of answers that are not read."""
_BACKLOG = 64
_MOST_PEERS = 128
"""A service may knock as often as it likes; the supervisor needs its descriptors for what it looks after. Whoever comes is let in, the next core
too: who has said nothing for longest makes room."""
Reply = Callable[[Mapping[str, Any]], None]
Handler = Callable[[Mapping[str, Any], Reply], None]


class Control:
    """Listens on a path; each request goes to ``handle(request, reply)``, which replies at once or later."""

    def __init__(self, loop: Loop, path: str, handle: Handler, *, on_gone: Callable[[], object]) -> None:
        self._loop = loop
        self._path = path
        self._handle = handle
        self._on_gone = on_gone
        self._peers: set[_Peer] = set()
        self._listener = listen(path)
        self._place = os.lstat(path)
        loop.watch(self._listener.fileno(), READ, self._accept)

    @property
    def subscribers(self) -> int:
        return sum(peer.is_subscribed for peer in self._peers)

    def tell(self, message: Mapping[str, Any]) -> None:
        """Say it to all who subscribed."""
        line = _line(message)
        for peer in list(self._peers):
            if peer.is_subscribed:
                peer.hint(line)

    def listen_again(self) -> None:
        """Where somebody removed or replaced the socket; raises OSError when that cannot be."""
        if not self._is_in_place():
            self._loop.unwatch(self._listener.fileno())
            self._listener.close()
            self._listener = listen(self._path)
            self._place = os.lstat(self._path)
            self._loop.watch(self._listener.fileno(), READ, self._accept)

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(os.lstat(self._path), self._place)
        except OSError:
            return False

    def close(self) -> None:
        """Stop listening, so that the next supervisor may."""
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        if self._is_in_place():
            with contextlib.suppress(OSError):
                os.unlink(self._path)
        for peer in list(self._peers):
            peer.close()

    def _accept(self, _: int) -> None:
        try:
            connection, _address = self._listener.accept()
        except OSError:
            return
        if _user_of(connection) not in (os.getuid(), 0):
            connection.close()
            return
        if len(self._peers) >= _MOST_PEERS:
            min(self._peers, key=lambda peer: peer.heard_at).close()
        self._peers.add(_Peer(self._loop, connection, self._handle, on_growth=self._make_room, on_close=self._forget))

    def _make_room(self) -> None:
        """Who makes most be held goes, when all together make too much."""
        while sum(peer.held for peer in self._peers) > _MOST_HELD:
            max(self._peers, key=lambda peer: peer.held).close()

    def _forget(self, peer: _Peer) -> None:
        self._peers.discard(peer)
        self._on_gone()


class _Peer:
    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        handle: Handler,
        *,
        on_growth: Callable[[], object],
        on_close: Callable[[_Peer], object],
    ) -> None:
        connection.setblocking(False)
        self.is_subscribed = False
        self.heard_at = time.monotonic()
        self._loop = loop
        self._connection = connection
        self._fd = connection.fileno()
        self._handle = handle
        self._on_growth = on_growth
        self._on_close = on_close
        self._in = bytearray()
        self._out = bytearray()
        self._hint = b""
        loop.watch(self._fd, READ, self._event)

    @property
    def held(self) -> int:
        """Bytes of a request that has not come to its end, and of answers that were not read."""
        return len(self._in) + len(self._out)

    def hint(self, line: bytes) -> None:
        """What it reads last is of the newest change, however slowly it reads."""
        self._hint = line
        self._flush()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.unwatch(self._fd)
            self._connection.close()
            self._fd = -1
            self._in, self._out, self._hint = bytearray(), bytearray(), b""
            self._on_close(self)

    def _event(self, events: int) -> None:
        if events & WRITE:
            self._flush()
        if events & READ and self._fd >= 0:
            self._read()

    def _read(self) -> None:
        try:
            data = self._connection.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._in += data
        if not data or len(self._in) > _LONGEST_REQUEST:
            self.close()
            return
        self._on_growth()
        while b"\n" in data and self._fd >= 0 and (end := self._in.find(b"\n")) >= 0:
            line = bytes(self._in[:end])
            del self._in[: end + 1]
            self._serve(line)

    def _serve(self, line: bytes) -> None:
        self.heard_at = time.monotonic()
        try:
            request = json.loads(line)
            number = int(request["id"])
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            self.close()
            return

        def reply(answer: Mapping[str, Any]) -> None:
            if self._fd >= 0:
                self._send(_line({"id": number, **answer}))

        if request.get("do") == "subscribe":
            self.is_subscribed = True
        try:
            self._handle(request, reply)
        except Exception as error:
            complain()
            reply(
                {
                    "error": {
                        "kind": "retryable",
                        "text": f"the supervisor failed at it: {type(error).__name__}: {error}",
                    }
                }
            )

    def _send(self, line: bytes) -> None:
        self._out += line
        self._flush()
        self._on_growth()

    def _flush(self) -> None:
        if self._fd < 0:
            return
        if not self._out:
            self._out, self._hint = bytearray(self._hint), b""
        try:
            sent = self._connection.send(self._out) if self._out else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        del self._out[:sent]
        self._loop.watch(self._fd, READ | WRITE if self._out or self._hint else READ, self._event)


def listen(path: str) -> socket.socket:
    """Listen on the path with mode 0600, also where it is too long for a socket's address."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        listener.bind(short_path(path, folder))
    finally:
        os.close(folder)
    os.chmod(path, 0o600)
    listener.listen(_BACKLOG)
    return listener


def _user_of(connection: socket.socket) -> int:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _line(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"
