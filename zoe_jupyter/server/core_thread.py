"""The core's own thread and event loop: neither blocks Jupyter's loop, nor is blocked by it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from zoe_jupyter.server.wire import CoreGone, WireAnswer, WireRequest, cancelled, close_body, next_or_none

Result = TypeVar("Result")
CLOSE_S = 15.0


class Opened(Protocol):
    """What runs on the thread: answers requests, and can be closed."""

    async def answer(self, request: WireRequest) -> WireAnswer: ...

    async def fenced(self) -> None: ...

    async def close(self) -> None: ...


class CoreThread:
    """Runs ``open()``'s result; an ``Answerer`` for other loops."""

    def __init__(self, open_it: Callable[[], Awaitable[Opened]]) -> None:
        self._open = open_it
        self._loop: asyncio.AbstractEventLoop | None = None
        self._opened: Future[Opened] = Future()
        self._pending: set[Future[Any]] = set()
        self._is_over = False
        self._handing = threading.Lock()
        """Held while work is handed to the loop, and while it is said that no more may be."""
        self._thread = threading.Thread(target=self._run, name="zoe-core", daemon=True)

    async def start(self) -> None:
        """Returns when it is open; raises what opening raised, with the thread gone."""
        self._thread.start()
        try:
            await asyncio.shield(asyncio.wrap_future(self._opened))
        except Exception:
            await asyncio.to_thread(self._thread.join, CLOSE_S)
            raise

    async def answer(self, request: WireRequest) -> WireAnswer:
        answer = await self._there(self._opened.result().answer(request))
        if isinstance(answer.body, bytes):
            return answer
        return WireAnswer(answer.status, self._brought(answer.body), answer.headers)

    async def fenced(self) -> None:
        """Return when another core acts in its place; raises CoreGone when it was closed before."""
        await self._there(self._opened.result().fenced())

    async def close(self) -> None:
        """Close it and end the thread; nothing of it is left on return."""
        if self._loop is None or not self._thread.is_alive():
            return
        loop, opened = self._loop, self._opened
        if opened.done() and opened.exception() is None:
            try:
                await asyncio.wait_for(self._there(opened.result().close()), CLOSE_S)
            finally:
                loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(self._thread.join, CLOSE_S)

    async def _brought(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Each piece is fetched when it is asked for, so that nothing piles up between the loops."""
        source = _Source(chunks)
        try:
            while (chunk := await self._there(source.pull())) is not None:
                yield chunk
        finally:
            await self._there(source.close())

    async def _there(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run it on the core's loop; raises CoreGone when that has ended, or ends before it is done."""
        assert self._loop is not None
        with self._handing:
            if self._is_over:
                work.close()
                raise CoreGone("the core was closed")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
            self._pending.add(future)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            if self._is_over:
                raise CoreGone("the core was closed") from None
            raise
        finally:
            self._pending.discard(future)

    def _run(self) -> None:
        loop = self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            if loop.run_until_complete(self._opening()):
                loop.run_forever()
        finally:
            with self._handing:
                self._is_over = True
            _end(loop)
            for future in [one for one in self._pending if not one.done()]:
                future.set_exception(CoreGone("the core was closed"))

    async def _opening(self) -> bool:
        try:
            self._opened.set_result(await self._open())
        except BaseException as error:
            self._opened.set_exception(error)
            return False
        return True


class _Source:
    """A stream on the core's loop, pulled from another one: whoever pulls may go away at any moment."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._pulling: asyncio.Task[bytes | None] | None = None

    async def pull(self) -> bytes | None:
        self._pulling = asyncio.ensure_future(next_or_none(self._chunks))
        return await self._pulling

    async def close(self) -> None:
        if self._pulling is not None:
            await cancelled(self._pulling)
        await close_body(self._chunks)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    # What was handed over last becomes tasks.
    loop.run_until_complete(asyncio.sleep(0))
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=CLOSE_S))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
