"""Where the core is: here, on a thread of its own, or in another Jupyter server of the same user, which is then asked instead.

Several folders may share one database: whose core does not act there stands by, answers 503, and tries again until it may.

One core for each state folder: who gets the folder's lock holds it, writes ``core.json``, and serves the others on a socket. When it ends, the
next one that is asked anything takes over; requests wait for that, none is lost.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.server.core_thread import CoreThread
from zoe_jupyter.server.files import CORE_FILE, read_address, remove_address, write_address
from zoe_jupyter.server.remote import RemoteCore
from zoe_jupyter.server.sockets import Listener
from zoe_jupyter.server.wire import Answerer, CoreGone, CoreStopped, Visitor, WireAnswer, WireRequest, cancelled

log = logging.getLogger("zoe_jupyter.server")

PATIENCE_S = 60.0
"""How long a request waits for a core that another server is opening."""
STOPPED_PATIENCE_S = 10.0
"""How long a request waits for a server whose process is stopped."""
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.5
STAND_BY_S = 2.0
"""How often a home whose database another core acts for looks whether it may take over."""
STANDING_BY = "standing_by"
"""The ``reason`` of the error that says so."""

OpenCore = Callable[[], Awaitable[Any]]
"""Opens the core on the loop that it shall live on; what comes out is a ``CoreDoor`` with ``close``."""


class Lock(Protocol):
    def release(self) -> None: ...


class Home:
    """Answers every request, wherever the core is. All methods belong to one loop (Jupyter's own)."""

    def __init__(self, folder: Path, open_core: OpenCore, visitor: Visitor) -> None:
        self._folder = folder
        self._open_core = open_core
        self._visitor = visitor
        self._lock: Lock | None = None
        self._here: CoreThread | None = None
        self._there: RemoteCore | None = None
        self._seating = asyncio.Lock()
        self._sitting_down: asyncio.Task[None] | None = None
        self._is_closed = False
        self._is_standing_by = False
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def holds_core(self) -> bool:
        """Whether the core is open in this process."""
        return self._here is not None

    @property
    def is_seated(self) -> bool:
        """Whether it is known where the core is."""
        return self._here is not None or self._there is not None

    @property
    def core_file(self) -> Path:
        return self._folder / CORE_FILE

    async def answer(self, request: WireRequest) -> WireAnswer:
        """The core's answer; while it loads, or moves to another server, the request waits. Raises CoreGone once this is closed."""
        request = _repeatable(request)
        began = time.monotonic()
        deadline = began + PATIENCE_S
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                core = await self.seat()
                if core is not None:
                    return await core.answer(request)
            except CoreGone as error:
                log.info("asking for the core again: %s", error)
                self._there = None
                if isinstance(error, CoreStopped):
                    deadline = min(deadline, began + STOPPED_PATIENCE_S)
            except Exception as error:
                return _failed(error)
            if self._is_closed:
                raise CoreGone("this server ends")
            if time.monotonic() > deadline:
                return _unavailable(self.core_file)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def seat(self) -> Answerer | None:
        """Who answers now; None while another server is still opening the core. Raises what opening it here raised.

        All who ask meanwhile wait for the same try, which goes on when they go away: a core half open would act on, and be followed by a second one.
        """
        if not self.is_seated:
            if self._sitting_down is None or self._sitting_down.done():
                self._sitting_down = asyncio.get_running_loop().create_task(self._sit_down(), name="zoe seat")
                self._sitting_down.add_done_callback(_heard)
            await asyncio.shield(self._sitting_down)
        return self._here or self._there

    async def _sit_down(self) -> None:
        async with self._seating:
            if not self.is_seated and not self._is_closed:
                await self._take_seat()

    async def close(self) -> None:
        """Close the core if it is here, and let another server have it; executions run on."""
        self._is_closed = True
        for task in list(self._tasks):
            await cancelled(task)
        async with self._seating:
            here, self._here, self._there = self._here, None, None
            if here is not None:
                await here.close()
            self._release()

    async def _take_seat(self) -> None:
        self._lock = await asyncio.to_thread(_take_lock, self._folder)
        if self._lock is None:
            address = read_address(self.core_file)
            self._there = RemoteCore(address) if address is not None and address.is_alive else None
            return
        failpoint("open.locked")
        remove_address(self.core_file)
        thread = CoreThread(self._open)
        try:
            await thread.start()
        except BaseException as error:
            self._release()
            if getattr(error, "reason", "") == STANDING_BY:
                self._stand_by()
            raise
        self._here = thread
        self._begin(self._leave_when_fenced(thread))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="zoe home")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _leave_when_fenced(self, thread: CoreThread) -> None:
        """Give the seat up as soon as the core may not act for the database any more, and stand by for the next one."""
        try:
            await thread.fenced()
        except CoreGone:
            return
        log.warning(
            "the core here does not act for its database any more: this server stands by, and opens another when it may"
        )
        async with self._seating:
            if self._here is not thread:
                return
            self._here = None
            try:
                await thread.close()
            except Exception as error:
                # Its database may be away. It writes nothing more, and whoever comes next repairs what it has not done.
                log.warning("the core that was left did not close as it should: %r", error)
            finally:
                self._release()
        self._stand_by()

    def _stand_by(self) -> None:
        if not self._is_standing_by:
            self._is_standing_by = True
            self._begin(self._standing_by())

    async def _standing_by(self) -> None:
        """Try again until it is known where the core is."""
        while not self.is_seated:
            await asyncio.sleep(STAND_BY_S)
            try:
                await self.seat()
            except Exception as error:
                if getattr(error, "reason", "") != STANDING_BY:
                    log.warning("cannot take over yet: %s", error)
        self._is_standing_by = False

    async def _open(self) -> OpenedCore:
        """On the core's thread: everything heavy is imported here."""
        return await OpenedCore.open(self._open_core, self._folder, self._visitor)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class OpenedCore:
    """The core, its routes, and the socket on which other servers reach it; on the core's loop."""

    def __init__(self, core: Any, dispatcher: Answerer, listener: Listener, file: Path) -> None:
        self._core = core
        self._dispatcher = dispatcher
        self._listener = listener
        self._file = file

    @classmethod
    async def open(cls, open_core: OpenCore, folder: Path, visitor: Visitor) -> OpenedCore:
        from zoe_jupyter.server.dispatch import Dispatcher

        core = await open_core()
        try:
            dispatcher = Dispatcher(core)
            listener = Listener(dispatcher, visitor, accepts_visitors=True)
            listener.bind(folder, "core.sock")
            listener.start()
            failpoint("open.bound")
            write_address(folder / CORE_FILE, listener.described())
            failpoint("open.told")
        except BaseException:
            await core.close()
            raise
        return cls(core, dispatcher, listener, folder / CORE_FILE)

    async def answer(self, request: WireRequest) -> WireAnswer:
        return await self._dispatcher.answer(request)

    async def fenced(self) -> None:
        """Return when another core has taken over."""
        await self._core.fenced.wait()

    async def close(self) -> None:
        remove_address(self._file)
        await self._listener.close()
        await self._core.close()


def _heard(task: asyncio.Task[None]) -> None:
    """What it raised was told to those who still waited."""
    if not task.cancelled():
        task.exception()


def _take_lock(folder: Path) -> Lock | None:
    from zoe_jupyter.store.location import core_lock

    return core_lock(folder)


def _repeatable(request: WireRequest) -> WireRequest:
    """A submit that has to be sent again to the next core must not start a second execution."""
    is_submit = request.method == "POST" and request.path == "executions"
    return replace(request, key=secrets.token_hex(16)) if is_submit and request.key is None else request


def _failed(error: Exception) -> WireAnswer:
    """The core could not be opened: what Zoe raised on purpose says the way out."""
    from zoe_jupyter.model.errors import Unavailable, UserError, ZoeError
    from zoe_jupyter.server.dispatch import error_answer

    if isinstance(error, ZoeError) and not isinstance(error, UserError):
        log.error("Zoe could not be started: %s", error)
        return error_answer(Unavailable(f"Zoe could not be started: {error.message}", details=error.details))
    return error_answer(error)


def _unavailable(file: Path) -> WireAnswer:
    from zoe_jupyter.model.errors import Unavailable
    from zoe_jupyter.server.dispatch import error_answer

    address = read_address(file)
    if address is not None and address.is_stopped:
        way_out = f"`kill -CONT {address.pid}` lets it go on, `kill -KILL {address.pid}` lets this server take over"
        return error_answer(Unavailable(f"process {address.pid}, which holds Zoe's lock, is stopped: {way_out}"))
    return error_answer(
        Unavailable(f"another server holds Zoe's lock and does not answer; it says where it is in {file}")
    )
