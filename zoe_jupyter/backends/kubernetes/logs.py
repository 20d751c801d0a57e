"""The logs of services. The cluster keeps them as long as the pod; what is to outlive it is copied to the core's machine before it goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import TypeVar

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers.kept import LEFT_OUT, keep_within
from zoe_jupyter.backends.containers.lines import cut, in_pieces
from zoe_jupyter.backends.containers.names import Attempt, slug
from zoe_jupyter.backends.kubernetes import names, translate
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer
from zoe_jupyter.backends.kubernetes.hints import Hints
from zoe_jupyter.backends.kubernetes.known import Known
from zoe_jupyter.backends.kubernetes.paths import path_of
from zoe_jupyter.model.errors import NotFound, TooMany
from zoe_jupyter.turns import Turns

CHUNK = 65536
BEGINNING = 1024
COPIES_AT_ONCE = 96
"""Each is a connection, of which there are MOST_ASIDE."""
BEGINNINGS_AT_ONCE = 48
"""Beside those; they are soon done. What else is asked of the cluster needs connections, too."""
READ_AT_ONCE, READ_OF_ONE, READ_OF_OWNER = 128, 32, 64
"""By users, as long as they like: in all, of one execution, and of all of one owner."""
AWAITED_AT_ONCE, AWAITED_OF_ONE, AWAITED_OF_OWNER = 128, 32, 64
"""For a line that says that it is ready."""
FILES = 3
"""All that is kept of a service is so many times what is kept of one start."""
LOOK_S = 0.02
WAIT_S = 5.0
BEGIN_S, PATIENCE_S = 1.0, 15.0
"""For a copy to begin before its pod is removed; and so long where the API server has been asked, and is slow to answer."""
SILENCE_S = 30.0
"""After so long without a word a log is asked for anew: perhaps nobody is there who could say one."""
AGAIN_S, LONGEST_AGAIN_S = 1.0, 30.0
"""Until a log is asked for again: where the cluster refuses it, twice as long each time, unless there is news of its pod."""
REFUSALS = 10
"""So often a log is asked for that the cluster refuses, as it does while a kubelet is started anew."""
NO_LOG = (400, 403, 404)
"""There is none, or not for Zoe: the same is said again."""
_FOLLOWED = {"container": "main", "follow": "true"}
_AS_IT_IS = {"container": "main", "follow": "false"}
_T = TypeVar("_T")
logger = logging.getLogger(__name__)


class Logs:
    def __init__(
        self,
        server: ApiServer,
        known: Known,
        hints: Hints,
        *,
        folder: Path,
        executor: Executor,
        limit_bytes: int,
        is_silent: Callable[[str], bool] = lambda node: False,
    ) -> None:
        self._server = server
        self._known = known
        self._hints = hints
        self._folder = folder
        self._executor = executor
        self._limit_bytes = limit_bytes
        self._is_silent = is_silent
        self._reading = Turns(READ_AT_ONCE, READ_OF_ONE, READ_OF_OWNER)
        self._awaited = Turns(AWAITED_AT_ONCE, AWAITED_OF_ONE, AWAITED_OF_OWNER)
        self._looking = asyncio.Lock()
        self._copies: dict[Attempt, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(COPIES_AT_ONCE)
        self._served: set[Attempt] = set()
        """Those whose turn it is."""
        self._begun: set[Path] = set()
        """Files that copies of pods that are not gone are written to."""
        self._pauses: dict[Attempt, asyncio.Event] = {}
        """Of copies that are asked for again later, or sooner when that is set."""
        self._turns_so_far = asyncio.Semaphore(BEGINNINGS_AT_ONCE)
        self._beginnings: dict[Attempt, asyncio.Task[bool]] = {}
        """Copies of what was there when the pod was asked to end, of those whose turn had not come."""

    def keep(self, attempt: Attempt) -> asyncio.Task[None]:
        """Copy the pod's log until it has ended; done when the copy is whole, or cannot be had. To say it again hurries one that was refused."""
        if (task := self._copies.get(attempt)) is None:
            pod = self._known.pods.get(attempt)
            work = asyncio.sleep(0) if pod is None else self._copy(attempt, path_of(pod))
            task = asyncio.get_running_loop().create_task(work, name=f"zoe log {attempt}")
            if pod is not None:
                self._copies[attempt] = task
        elif attempt in self._pauses:
            self._pauses[attempt].set()
        return task

    def let_go(self, attempt: Attempt) -> None:
        """Its pod is gone: once its copy is done, nobody asks for that any more."""
        if (task := self._copies.get(attempt)) is not None:
            task.add_done_callback(lambda _: self._drop(attempt))

    def _drop(self, attempt: Attempt) -> None:
        if attempt not in self._known.pods:
            self._copies.pop(attempt, None)
            self._beginnings.pop(attempt, None)
            self._begun.discard(self._file(attempt))

    async def begun(self, attempt: Attempt) -> None:
        """Return when the copy of what is about to be removed has begun, so that nothing of it is missed.

        Where very many go at once and its turn does not come, what there is now is copied, and the rest only if its pod is still there then.
        """
        if await self._has_begun(attempt) or attempt in self._served or attempt not in self._known.pods:
            return
        if attempt not in self._beginnings:
            work = self._has_copied_so_far(self._file(attempt), path_of(self._known.pods[attempt]))
            self._beginnings[attempt] = asyncio.get_running_loop().create_task(work, name=f"zoe log so far {attempt}")
        await asyncio.wait([self._beginnings[attempt]], timeout=WAIT_S)

    async def _has_begun(self, attempt: Attempt) -> bool:
        """Wait for that a while; longer where it has been asked for, of a node that answers."""
        task, file, began = self.keep(attempt), self._file(attempt), time.monotonic()
        while not (task.done() or file in self._begun):
            pod = self._known.pods.get(attempt)
            is_asked = attempt in self._served and pod is not None and not self._is_silent(pod["spec"]["nodeName"])
            if time.monotonic() - began >= (PATIENCE_S if is_asked else BEGIN_S):
                return False
            await asyncio.sleep(LOOK_S)
        return True

    async def forget(self, execution_id: str, *, keep_logs: bool) -> None:
        """The execution's pods are gone."""
        copies = {attempt: task for attempt, task in self._copies.items() if attempt.execution_id == execution_id}
        if copies:
            is_all_gone = self._known.pods.keys().isdisjoint(copies)
            await asyncio.wait(copies.values(), timeout=PATIENCE_S if is_all_gone else WAIT_S)
        for attempt, task in copies.items():
            task.cancel()
            self._copies.pop(attempt, None)
            if (beginning := self._beginnings.pop(attempt, None)) is not None:
                beginning.cancel()
            self._begun.discard(self._file(attempt))
        if not keep_logs:
            await self._off(lambda: shutil.rmtree(self._place(execution_id), ignore_errors=True))

    async def close(self) -> None:
        copies = [*self._copies.values(), *self._beginnings.values()]
        for task in copies:
            task.cancel()
        await asyncio.gather(*copies, return_exceptions=True)

    async def read(
        self, execution_id: str, service: str, *, tail: int | None, follow: bool
    ) -> AsyncGenerator[bytes, None]:
        """As the contract says; a tail that is followed counts the lines of the last attempt only. Raises TooMany where so much is read already."""
        attempts = await self._attempts(execution_id, service)
        if not attempts:
            raise NotFound(f"there is no log of {service!r} in execution {execution_id}")
        if tail is not None and not follow:
            for chunk in await self._tail(attempts, tail):
                yield chunk
            return
        if tail is not None:
            attempts = attempts[-1:]
        done = 0
        while True:
            for attempt in attempts:
                async with contextlib.aclosing(self._one(attempt, tail=tail, follow=follow)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                done, tail = attempt.attempt, None
            if not follow or self._known.has_stopped(execution_id, service):
                return
            await self._hints.next(WAIT_S)
            attempts = [a for a in await self._attempts(execution_id, service) if a.attempt > done]

    async def last_lines(self, attempt: Attempt, count: int) -> list[str]:
        """What it said last; nothing where that cannot be known."""
        with contextlib.suppress(ApiError, Unreachable, TooMany):
            async with contextlib.aclosing(self._live(attempt, tail=count, follow=False)) as chunks:
                return [cut(line.decode(errors="replace")) async for line in beginnings(chunks)]
        return []

    async def lines(self, attempt: Attempt, *, follow: bool) -> AsyncGenerator[bytes, None]:
        """The beginning of every line as it is written, until the pod ends. Raises ApiError; Unreachable also after a long silence.

        To follow, TooMany where so many are followed already.
        """
        path, query = f"{self._pod(attempt)}/log", {**_FOLLOWED, "follow": "true" if follow else "false"}
        async with contextlib.AsyncExitStack() as stack:
            if follow:
                turn = self._awaited.taken("logs in which a line is waited for", *self._shares(attempt))
                await stack.enter_async_context(turn)
            content = await stack.enter_async_context(self._server.stream(path, query, silence_s=SILENCE_S))
            pieces = await stack.enter_async_context(
                contextlib.aclosing(in_pieces(content.iter_any(), lambda: self._looking))
            )
            async for line in await stack.enter_async_context(contextlib.aclosing(beginnings(pieces))):
                yield line

    async def _tail(self, attempts: list[Attempt], wanted: int) -> list[bytes]:
        found: list[bytes] = []
        for attempt in reversed(attempts):
            if wanted <= 0:
                break
            data = b"".join([chunk async for chunk in self._one(attempt, tail=wanted, follow=False)])
            lines = data.splitlines(keepends=True)[-wanted:]
            found[:0] = lines
            wanted -= len(lines)
        whole = b"".join(found)
        return [whole[at : at + CHUNK] for at in range(0, len(whole), CHUNK)]

    async def _one(self, attempt: Attempt, *, tail: int | None, follow: bool) -> AsyncGenerator[bytes, None]:
        """Of one attempt: from the pod while there is one, else from the copy."""
        copy, pod = self._copies.get(attempt), self._known.pods.get(attempt)
        if copy is not None and (pod is None or translate.has_ended(pod)):
            await asyncio.wait([copy], timeout=WAIT_S)
        if pod is not None and not (copy is not None and copy.done()):
            try:
                async with contextlib.aclosing(self._live(attempt, tail=tail, follow=follow)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except ApiError:
                if copy is not None:
                    await asyncio.wait([copy], timeout=WAIT_S)
        data = await self._off(lambda: _read(self._file(attempt)))
        lines = data.splitlines(keepends=True)[-tail:] if tail else []
        data = data if tail is None else b"".join(lines)
        for at in range(0, len(data), CHUNK):
            yield data[at : at + CHUNK]

    async def _live(self, attempt: Attempt, *, tail: int | None, follow: bool) -> AsyncGenerator[bytes, None]:
        await self._until_it_may_say_something(attempt, is_patient=follow)
        query = {"container": "main", "follow": "true" if follow else "false"}
        if tail is not None:
            query["tailLines"] = str(tail)
        turn = self._reading.taken("logs that are read", *self._shares(attempt))
        async with turn, self._server.stream(f"{self._pod(attempt)}/log", query, silence_s=None) as content:
            while chunk := await content.readany():
                for at in range(0, len(chunk), CHUNK):
                    yield chunk[at : at + CHUNK]

    async def _until_it_may_say_something(self, attempt: Attempt, *, is_patient: bool) -> None:
        """A container that waits for its image has no log yet, and to ask for it is an error."""
        while is_patient and attempt in self._known.pods:
            pod = self._known.pods[attempt]
            if translate.is_running(pod) or translate.has_ended(pod):
                return
            await self._hints.next(WAIT_S)

    async def _copy(self, attempt: Attempt, path: str) -> None:
        """From its beginning again when the API server fell silent, as long as the pod is there."""
        refusals = 0
        while refusals < REFUSALS:
            pause_s = AGAIN_S
            try:
                if await self._has_copied_in_turn(attempt, path):
                    return
            except ApiError as error:
                pause_s = min(LONGEST_AGAIN_S, AGAIN_S * 2.0**refusals)
                refusals += 1
                logger.info("the log of %s cannot be copied now: %s", attempt, error)
            if attempt not in self._known.pods:
                return
            if refusals < REFUSALS:
                await self._pause(attempt, pause_s)
        logger.warning("the log of %s is not kept: the cluster refused it %s times", attempt, refusals)

    async def _has_copied_in_turn(self, attempt: Attempt, path: str) -> bool:
        async with self._turns:
            self._served.add(attempt)
            try:
                if (beginning := self._beginnings.get(attempt)) is not None:
                    await asyncio.wait([beginning])
                    if attempt not in self._known.pods:
                        return True
                return await self._has_copied(self._file(attempt), path)
            finally:
                self._served.discard(attempt)

    async def _pause(self, attempt: Attempt, pause_s: float) -> None:
        self._pauses[attempt] = asyncio.Event()
        try:
            await asyncio.wait_for(self._pauses[attempt].wait(), pause_s)
        except asyncio.TimeoutError:
            return
        finally:
            del self._pauses[attempt]

    async def _has_copied(self, file: Path, path: str, query: Mapping[str, str] = _FOLLOWED) -> bool:
        """Whether another try is of no use. Raises ApiError where one may be."""
        try:
            async with self._server.stream(f"{path}/log", query, silence_s=SILENCE_S) as content:
                goes_on = await self._off(lambda: _begin(file))
                self._begun.add(file)
                while goes_on and (chunk := await content.readany()):
                    goes_on = await self._off(partial(_append, file, chunk, self._limit_bytes))
        except ApiError as error:
            if error.status not in NO_LOG:
                raise
            return True
        except Unreachable:
            return False
        files = file.parent.glob(f"*-{file.stem.partition('-')[2]}.log")
        await self._off(lambda: keep_within(sorted(files), FILES * self._limit_bytes))
        return True

    async def _has_copied_so_far(self, file: Path, path: str) -> bool:
        async with self._turns_so_far:
            with contextlib.suppress(ApiError):
                return await self._has_copied(file, path, _AS_IT_IS)
            return False

    async def _attempts(self, execution_id: str, service: str) -> list[Attempt]:
        mark = slug(service)
        files = await self._off(lambda: sorted(self._place(execution_id).glob(f"*-{mark}.log")))
        kept = {self._known.attempt(execution_id, service, int(file.name.partition("-")[0])) for file in files}
        there = {attempt for attempt, _ in self._known.of(execution_id, service)}
        return sorted(kept | there, key=lambda each: each.attempt)

    def _shares(self, attempt: Attempt) -> tuple[str, str]:
        pod = self._known.pods.get(attempt)
        owner = names.shares_of(pod)[1] if pod else ""
        return attempt.execution_id, owner or attempt.execution_id

    def _pod(self, attempt: Attempt) -> str:
        pod = self._known.pods.get(attempt)
        if pod is None:
            raise ApiError(404, "NotFound", "its pod is gone")
        return path_of(pod)

    def _file(self, attempt: Attempt) -> Path:
        return self._place(attempt.execution_id) / f"{attempt.attempt:06}-{slug(attempt.service)}.log"

    def _place(self, execution_id: str) -> Path:
        return self._folder / slug(execution_id)

    async def _off(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)


def _begin(file: Path) -> bool:
    """Whether the disk takes it."""
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.write_bytes(b"")
        return True
    return False


def _append(file: Path, chunk: bytes, limit_bytes: int) -> bool:
    """Whether the disk takes it. What is too long loses its first half."""
    with contextlib.suppress(OSError):
        with file.open("ab") as stream:
            stream.write(chunk)
            is_too_long = stream.tell() > limit_bytes
        if is_too_long:
            _shorten(file, limit_bytes // 2)
        return True
    return False


def _shorten(file: Path, kept_bytes: int) -> None:
    """Keep whole lines of its end, and say so."""
    with file.open("rb") as stream:
        stream.seek(-kept_bytes, os.SEEK_END)
        *_, end = stream.read().split(b"\n", 1)
    draft = file.with_suffix(".draft")
    draft.write_bytes(LEFT_OUT + end)
    draft.replace(file)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        return b""


async def beginnings(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Of each line the first ``BEGINNING`` bytes, without its end, as soon as they are there: one may go on for ever."""
    rest, is_told = b"", False
    async for chunk in chunks:
        *ended, last = chunk.split(b"\n")
        for line in ended:
            if not is_told:
                yield (rest + line[:BEGINNING])[:BEGINNING]
            rest, is_told = b"", False
        if not is_told:
            rest += last[:BEGINNING]
            if is_told := len(rest) >= BEGINNING:
                yield rest[:BEGINNING]
    if rest and not is_told:
        yield rest
