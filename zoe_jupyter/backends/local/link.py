"""A connection to one supervisor: requests with answers, and hints that something changed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoe_jupyter.backends.local.supervisor.files import SOCKET_FILE, short_path
from zoe_jupyter.backends.local.supervisor.shape import is_sound

_LONGEST_ANSWER = 64 * 1024 * 1024
_LONGEST_PING_S = 20.0
_HARMLESS = frozenset({"observe", "usage", "ping"})
"""Requests that change nothing."""
KNOWN_S = 5.0
"""What a supervisor said holds for half as long at least, and no longer; not equally long for all, so that not all are asked in one moment."""


class Gone(Exception):
    """There is no supervisor at the other end, or no more."""


class Silent(Exception):
    """It is there, and does not answer in time."""


class Refused(Exception):
    """It said no; ``kind`` is ``retryable`` or ``fatal``."""

    def __init__(self, text: str, *, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class _Said:
    """What it said, how much news there was when it was asked, and until when (monotonic clock) that may be believed."""

    state: Mapping[str, Any]
    news: int
    until: float


class Link:
    """Open one with ``Link.open``. As long as it is open it tells the supervisor now and then that the core lives."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_change: Callable[[], object]
    ) -> None:
        self.hello: dict[str, Any] = {}
        """The supervisor's state when the link was opened."""
        self.is_open = True
        self._reader = reader
        self._writer = writer
        self._on_change = on_change
        self._count = 0
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._news = 0
        """Counts what may have changed its state: its hints, what it was asked to do, and each time it kept silent."""
        self._said: _Said | None = None
        self._silence_s = 86400.0
        self._new_silence = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, run_dir: Path, pid: int, *, on_change: Callable[[], object], timeout_s: float) -> Link:
        """Connect to the supervisor with that process id and subscribe to changes; raises Gone or Silent."""
        reader, writer = await _met(run_dir, timeout_s)
        try:
            listener, user = _peer_of(writer)
        except OSError as error:
            raise Gone(f"what listens in {run_dir} closed the connection at once: {error}") from None
        if user not in (os.getuid(), 0):
            writer.close()
            raise Gone(f"somebody else's program listens in {run_dir}")
        if listener != pid:
            writer.close()
            raise Silent(f"another program (process {listener}) listens in the place of the supervisor in {run_dir}")
        link = cls(reader, writer, on_change)
        link._tasks = [
            asyncio.create_task(link._read(), name=f"zoe-local-read-{run_dir.name}"),
            asyncio.create_task(link._ping(), name=f"zoe-local-ping-{run_dir.name}"),
        ]
        try:
            link.hello = await link._state("subscribe", timeout_s)
        except BaseException:
            await link.close()
            raise
        link.keep_alive_for(float(link.hello["bounds"]["silence_s"]))
        return link

    async def observe(self, *, limit_s: float) -> Mapping[str, Any]:
        """Ask for its state; raises Gone or Silent."""
        news, until = self._news, time.monotonic() + random.uniform(KNOWN_S / 2, KNOWN_S)
        state = await self._state("observe", limit_s)
        self._said = _Said(state, news, until)
        return state

    async def _state(self, do: str, limit_s: float) -> dict[str, Any]:
        try:
            return _sound(await self.ask(do, limit_s=limit_s))
        except Refused as error:
            raise Silent(f"the supervisor does not tell its state: {error}") from None

    def known(self) -> Mapping[str, Any] | None:
        """Its state as it last said it; None when it may have changed since it was asked, or that was too long ago.

        Both ways the messages keep their order: a hint that is read after an answer may be of a change after it, never before it.
        """
        said = self._said
        if not self.is_open or said is None or said.news != self._news or time.monotonic() >= said.until:
            return None
        return said.state

    async def ask(self, do: str, *, limit_s: float, **fields: Any) -> dict[str, Any]:
        """Send a request and wait for its answer; raises Gone, Silent or Refused."""
        if not self.is_open:
            raise Gone("the supervisor has closed the connection")
        self._count += 1
        self._news += do not in _HARMLESS
        number = self._count
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        try:
            self._writer.write(json.dumps({"id": number, "do": do, **fields}).encode() + b"\n")
            return _unpack(await asyncio.wait_for(answer, limit_s))
        except asyncio.TimeoutError:
            self._news += 1
            raise Silent(f"the supervisor did not answer within {limit_s:g} s") from None
        finally:
            self._asked.pop(number, None)
            self._news += do not in _HARMLESS

    def keep_alive_for(self, silence_s: float) -> None:
        """Speak often enough for a supervisor that endures so long a silence."""
        self._silence_s = silence_s
        self._new_silence.set()

    async def close(self) -> None:
        """Let go of the supervisor, which goes on."""
        self._lose()
        for task in self._tasks:
            if task is not asyncio.current_task():
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def _lose(self) -> None:
        if self.is_open:
            self.is_open = False
            self._writer.transport.abort()  # what a stopped one does not read would be waited for
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_exception(Gone("the supervisor has closed the connection"))

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(json.loads(line))
        except (OSError, ValueError, TypeError, RecursionError):
            pass
        finally:
            self._lose()
            self._on_change()

    def _take(self, message: Mapping[str, Any]) -> None:
        if "id" not in message:
            self._news += 1
            self._on_change()
            return
        answer = self._asked.get(message["id"])
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def _ping(self) -> None:
        while self.is_open:
            self._new_silence.clear()
            pause_s = min(_LONGEST_PING_S, self._silence_s / 4)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._new_silence.wait(), pause_s)
                continue
            with contextlib.suppress(Gone, Silent, Refused):
                await self.ask("ping", limit_s=_LONGEST_PING_S)


def _unpack(message: Mapping[str, Any]) -> dict[str, Any]:
    answer, error = message.get("ok"), message.get("error")
    if isinstance(error, dict):
        raise Refused(str(error.get("text")), kind=str(error.get("kind")))
    if not isinstance(answer, dict):
        raise Silent("what listens in the supervisor's place does not answer as one does")
    return answer


def _sound(state: dict[str, Any]) -> dict[str, Any]:
    """Raises Silent for what no supervisor says: a service can listen in its place, and must not be believed, nor confuse anybody."""
    if not is_sound(state):
        raise Silent("what listens in the supervisor's place does not speak as one does")
    return state


def _peer_of(writer: asyncio.StreamWriter) -> tuple[int, int]:
    """Process and user that listen there, as the kernel knows them."""
    credentials = writer.get_extra_info("socket").getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")
    )
    pid, user, _ = struct.unpack("3i", credentials)
    return int(pid), int(user)


async def _met(run_dir: Path, timeout_s: float) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to whatever listens there; raises Gone or Silent."""
    try:
        return await asyncio.wait_for(_connect(run_dir), timeout_s)
    except (FileNotFoundError, ConnectionError, NotADirectoryError) as error:
        raise Gone(f"no supervisor listens in {run_dir}: {error}") from None
    except asyncio.TimeoutError:
        raise Silent(f"the supervisor in {run_dir} accepts no connection") from None
    except OSError as error:  # a service can close the way to it, too
        raise Silent(f"the supervisor in {run_dir} cannot be reached: {error}") from None


async def _connect(run_dir: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    folder = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return await asyncio.open_unix_connection(short_path(str(run_dir / SOCKET_FILE), folder), limit=_LONGEST_ANSWER)
    finally:
        os.close(folder)
