"""What services said: of containers that are there by the engine, of those removed from files."""

from __future__ import annotations

import asyncio
import os
import shutil
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from docker.errors import NotFound

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers.kept import keep_within
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker import wire
from zoe_jupyter.backends.docker.calls import LOG_S, SLOW_S
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.translate import Container
from zoe_jupyter.model.errors import BackendError, Retryable

CHUNK = 65536
_PIECE = 1 << 20
_KEEP_S = 600.0


@dataclass(frozen=True, slots=True)
class Source:
    """Where the words of one attempt are: at an engine; where that has them no more, in a file."""

    attempt: Attempt
    path: Path
    engine: Engine | None = None
    container_id: str = ""


class KeptLogs:
    """One file for each attempt whose container is gone."""

    def __init__(self, folder: Path, *, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        """Of all files of a service together."""

    def sources(self, deployment: str, execution_id: str, service: str) -> dict[int, Source]:
        """By attempt."""
        found = {}
        for path in (self._folder / execution_id).glob(f"{quote(service, safe='')}@*.log"):
            number = int(path.stem.rpartition("@")[2])
            found[number] = Source(Attempt(deployment, execution_id, service, number), path)
        return found

    def file(self, attempt: Attempt) -> Path:
        """Where what it said is kept, or will be."""
        return self._folder / attempt.execution_id / f"{quote(attempt.service, safe='')}@{attempt.attempt}.log"

    async def keep(self, engine: Engine, found: Container) -> None:
        """Write down all that the container said. Doing it again does no harm. Raises BackendError where it is not had, or the disk does not take it."""
        said = f"what {found.attempt.service} said"
        try:
            async with engine.copies:
                await asyncio.wait_for(self._copy(engine, found), _KEEP_S)
        except asyncio.TimeoutError:
            raise Retryable(f"{said} could not be written down within {_KEEP_S:g} s") from None
        except OSError as error:
            raise Retryable(f"{said} cannot be written down: {error.strerror}") from error
        await asyncio.to_thread(self._make_room, found.attempt)

    def _make_room(self, attempt: Attempt) -> None:
        kept = self.sources(attempt.deployment, attempt.execution_id, attempt.service)
        keep_within([kept[number].path for number in sorted(kept)], self._limit_bytes)

    async def _copy(self, engine: Engine, found: Container) -> None:
        file = self.file(found.attempt)
        draft = file.with_suffix(f".{uuid.uuid4().hex}")
        try:
            await asyncio.to_thread(_begin, draft)
            async with aclosing(follow(engine, found.id, tail=None, is_following=False)) as chunks:
                async for piece in _larger(chunks):
                    await asyncio.to_thread(_append, draft, piece)
            await asyncio.to_thread(draft.replace, file)
        except NotFound:
            pass
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    def forget(self, execution_id: str) -> None:
        shutil.rmtree(self._folder / execution_id, ignore_errors=True)


def _begin(file: Path) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file.touch(mode=0o600)


def _append(file: Path, piece: bytes) -> None:
    with file.open("ab") as stream:
        stream.write(piece)


async def _larger(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same in few pieces: each chunk is a line."""
    piece = bytearray()
    async for chunk in chunks:
        piece += chunk
        if len(piece) >= _PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece)


def start_of_last(stream: IO[bytes], count: int) -> int:
    """Where the last so many lines of it begin."""
    end = at = stream.seek(0, os.SEEK_END)
    wanted = count
    while at > 0 and wanted:
        size = min(CHUNK, at)
        at -= size
        stream.seek(at)
        chunk = stream.read(size)
        place = size - (at + size == end and chunk.endswith(b"\n"))  # the end of the last line begins none
        while wanted and (place := chunk.rfind(b"\n", 0, place)) >= 0:
            wanted -= 1
        if not wanted:
            return at + place + 1
    return 0 if wanted else end


async def _of_file(path: Path, tail: int | None) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as stream:
        start = 0 if tail is None else await asyncio.to_thread(start_of_last, stream, tail)
        await asyncio.to_thread(stream.seek, start)
        while chunk := await asyncio.to_thread(stream.read, CHUNK):
            yield chunk


async def start_of_tail(sources: Sequence[Source], count: int) -> list[tuple[Source, int | None]]:
    """From which source on, and how many of its last lines, so that it is so many lines together."""
    chosen: list[tuple[Source, int | None]] = []
    for source in reversed(sources):
        lines = 0
        async for chunk in read(source, tail=count, is_following=False):
            lines += chunk.count(b"\n")
        if lines >= count:
            return [(source, count), *chosen]
        chosen.insert(0, (source, None))
        count -= lines
    return chosen


async def read(source: Source, *, tail: int | None, is_following: bool) -> AsyncIterator[bytes]:
    """What that attempt said, or a line that says why it is not all. ``is_following``: until its container ends; raises Retryable instead."""
    last = b""
    if source.engine is not None:
        try:
            async for chunk in follow(source.engine, source.container_id, tail=tail, is_following=is_following):
                yield chunk
                last = chunk[-1:] or last
            return
        except (NotFound, BackendError) as error:
            is_kept = not last and source.path.exists()
            if isinstance(error, BackendError) and not is_kept:
                if is_following:
                    raise
                yield _missing(source.attempt, error.message, is_at_line_start=last in (b"", b"\n"))
            if not is_kept:
                return
    async for chunk in _of_file(source.path, tail):
        yield chunk


def _missing(attempt: Attempt, why: str, *, is_at_line_start: bool) -> bytes:
    """As it stands in the log."""
    line = f"[zoe] what {attempt.service} said in its start {attempt.attempt} cannot be read to its end now: {why}\n"
    return f"{'' if is_at_line_start else chr(10)}{line}".encode()


async def follow(
    engine: Engine, container_id: str, *, tail: int | None, is_following: bool
) -> AsyncGenerator[bytes, None]:
    """A container's log; ends with the container. A busy engine is waited for. Raises BackendError where more may be there, NotFound."""
    query = {"stdout": 1, "stderr": 1, "follow": int(is_following), "tail": "all" if tail is None else tail}
    path = f"/containers/{container_id}/logs"
    pause_s = None if is_following else SLOW_S
    if engine.silent_since is not None:
        raise Retryable(engine.why_silent)
    try:
        async with engine.calls.flow("GET", path, query, limit_s=LOG_S, pause_s=pause_s) as content:
            async for part in wire.frames(content):
                yield part
    except Unreachable as error:
        raise Retryable(str(error)) from error
