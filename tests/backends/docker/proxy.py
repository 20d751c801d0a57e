"""Somebody between Zoe and an engine, or an engine and a registry: who is slow, forgets connections without a word, or loses an answer."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

ENGINE = "/var/run/docker.sock"
_CHUNK = 65536


@dataclass
class _Pair:
    """One connection; ``is_forgotten``: what comes on it goes nowhere. ``left``: it ends after so many bytes of an answer more."""

    near: socket.socket
    far: socket.socket
    is_forgotten: bool = False
    left: int = sys.maxsize

    def close(self) -> None:
        for each in (self.near, self.far):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class Proxy:
    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self.delay_s = 0.0
        """Before each part of a request goes on."""
        self.answer_delay_s = 0.0
        """Before each part of an answer does."""
        self.passed = 0
        """Bytes of answers so far."""
        self.was_left = threading.Event()
        """Somebody went away in the middle of an answer."""
        self._connect = connect
        self._loses, self._passes, self._times = b"", 0, 0
        self._held = b"", 0.0
        self._is_cut = False
        self._pairs: list[_Pair] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def cut(self) -> None:
        """Nobody is told; whoever comes anew is let in and not answered."""
        self._is_cut = True
        for pair in self._pairs:
            pair.is_forgotten = True

    def mend(self) -> None:
        """For those who come anew."""
        self._is_cut = False

    def lose_answer(self, request: bytes, *, after_bytes: int = 0, times: int = 1) -> None:
        """To the next requests that have these bytes: they are carried out, and their connections break, in the middle of the answer perhaps."""
        self._loses, self._passes, self._times = request, after_bytes, times

    def hold(self, request: bytes, for_s: float) -> None:
        """Requests that have these bytes go on after so long; all others at once."""
        self._held = request, for_s

    def close(self) -> None:
        self._server.close()
        for pair in self._pairs:
            pair.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._server.accept()
                pair = _Pair(near, self._connect(), is_forgotten=self._is_cut)
                self._pairs.append(pair)
                for carry in (self._ask, self._answer):
                    threading.Thread(target=carry, args=(pair,), daemon=True).start()

    def _ask(self, pair: _Pair) -> None:
        with suppress(OSError):
            while data := pair.near.recv(_CHUNK):
                if self._times and self._loses in data:
                    self._times, pair.left = self._times - 1, self._passes
                time.sleep(self._held[1] if self._held[0] and self._held[0] in data else self.delay_s)
                if not pair.is_forgotten:
                    pair.far.sendall(data)
        pair.far.close() if pair.is_forgotten else pair.close()

    def _answer(self, pair: _Pair) -> None:
        with suppress(OSError):
            while data := pair.far.recv(_CHUNK)[: pair.left]:
                pair.left -= len(data)
                time.sleep(self.answer_delay_s)
                if not pair.is_forgotten:
                    self._pass(pair.near, data)
        if not pair.is_forgotten:
            pair.close()

    def _pass(self, near: socket.socket, data: bytes) -> None:
        try:
            near.sendall(data)
        except OSError:
            self.was_left.set()
            raise
        self.passed += len(data)


def _engine() -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(ENGINE)
    return connection


@contextmanager
def before_engine() -> Iterator[Proxy]:
    """In front of this machine's engine."""
    proxy = Proxy(_engine)
    try:
        yield proxy
    finally:
        proxy.close()


@contextmanager
def before_port(port: int) -> Iterator[Proxy]:
    """In front of a port of the loopback."""
    proxy = Proxy(lambda: socket.create_connection(("127.0.0.1", port)))
    try:
        yield proxy
    finally:
        proxy.close()
