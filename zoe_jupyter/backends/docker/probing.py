"""Whether services are ready: asked at their addresses where this machine reaches them, else by commands inside."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from docker.errors import NotFound

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers.lines import cut, in_pieces
from zoe_jupyter.backends.containers.places import PYTHON
from zoe_jupyter.backends.docker import wire
from zoe_jupyter.backends.docker.calls import LOG_S, Calls
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.entering import beside
from zoe_jupyter.backends.docker.following import Followers
from zoe_jupyter.backends.docker.translate import Container, moment
from zoe_jupyter.model.application import Probe
from zoe_jupyter.model.errors import BackendError
from zoe_jupyter.model.execution import Reason

_PAUSES_S = (0.03, 0.05, 0.1, 0.15, 0.25, 0.4)
_ANSWER_S = 2.0
_REFUSED = 400
_COMMAND_S = 30.0
_EXIT_PAUSE_S = 0.1
_READ_ON_S = 600.0
"""Most, when its time is over: what has to be looked through then is bounded, unless the engine does not give it, or its clock goes back."""
_KEPT_BYTES = 1 << 20
"""Of what a command says; a description may name one that says much."""
_LISTENING = "0A"
_SHOWN_LINES = 20
_LONGEST_CHARACTER = 4
_LOOKED_AT = 256
"""Characters of a line: no pattern that the shop lets through takes long on so few, and all others wait while one is matched."""
_LONGEST_LINE = _LONGEST_CHARACTER * _LOOKED_AT + 64
"""With its moment."""
_AT_ONCE_BYTES = 4 * 1024**2
_SECOND_NS = 10**9
_ASK_INSIDE = "import sys, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(sys.argv[1], timeout=2)"


class Prober:
    """Asks until the container is ready, has ended, or its time is over: then it is told why, and ended.

    Its time begins when this core sees it run: what clock an engine has does not matter, and while no Zoe ran nobody asked.
    It is asked once more when its time is over: an engine that was silent may have kept to itself that it is ready; and in a log so often that all
    is looked at that was said by then.
    """

    def __init__(
        self,
        *,
        on_ready: Callable[[Container], None],
        on_late: Callable[[Engine, Container, Reason], Awaitable[None]],
    ) -> None:
        self._on_ready = on_ready
        self._on_late = on_late
        self._followers = Followers("whether it is ready")

    def begin(self, engine: Engine, found: Container) -> None:
        """Unless it is being asked already."""
        if found.probe is not None and found not in self._followers:
            self._followers.begin(found, self._ask(engine, found, found.probe))

    def close(self) -> None:
        self._followers.close()

    async def _ask(self, engine: Engine, found: Container, probe: Probe) -> None:
        ends_at = time.monotonic() + probe.timeout_s
        asked = 0
        is_ready = ways(engine, found, probe)
        while True:
            current = engine.containers.get(found.id)
            if current is None or not current.is_running:
                return
            began_at = time.monotonic()
            answer = await _answer(engine, is_ready)
            if answer:
                self._on_ready(current)
                return
            if (
                answer is False
                and began_at > ends_at
                and (began_at > ends_at + _READ_ON_S or await _has_heard(is_ready))
            ):
                await self._on_late(engine, current, await _too_late(engine, found, probe))
                return
            await asyncio.sleep(_PAUSES_S[min(asked, len(_PAUSES_S) - 1)])
            asked += 1


def ways(
    engine: Engine, found: Container, probe: Probe, *, limit_s: float = _COMMAND_S
) -> Callable[[], Awaitable[bool]]:
    """How it is asked, which raises asyncio.TimeoutError when a command takes longer than ``limit_s``; waiting for its turn does not count."""
    answer_s = min(limit_s, _ANSWER_S)
    if probe.tcp:
        number = found.ports[probe.tcp]
        if engine.is_near:
            return lambda: _accepts(found.address, number, limit_s=answer_s)
        return lambda: _listens(engine, found, number, limit_s=limit_s)
    if probe.http:
        port, _, path = probe.http.partition("/")
        number = found.ports[port]
        if engine.is_near:
            return lambda: _answers(f"tcp://{found.address}:{number}", f"/{path}", limit_s=answer_s)
        inside = (PYTHON, "-c", _ASK_INSIDE, f"http://{found.host}:{number}/{path}")
        return lambda: _succeeds(engine, found, inside, limit_s=limit_s)
    if probe.log:
        return _LogMatch(engine, found, probe.log)
    return lambda: _succeeds(engine, found, probe.command, limit_s=limit_s)


async def _answer(engine: Engine, is_ready: Callable[[], Awaitable[bool]]) -> bool | None:
    """None where the engine does not answer, so that nobody can be asked there."""
    try:
        return await is_ready()
    except (Unreachable, BackendError, NotFound, asyncio.TimeoutError):
        return False if await engine.answers() else None


async def _has_heard(is_ready: Callable[[], Awaitable[bool]]) -> bool:
    """Whether all that it said until its time was over has been looked at."""
    return not isinstance(is_ready, _LogMatch) or await is_ready.has_heard()


async def _accepts(host: str, number: int, *, limit_s: float) -> bool:
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, number), limit_s)
    except (OSError, asyncio.TimeoutError):
        return False
    writer.close()
    return True


async def _answers(url: str, path: str, *, limit_s: float = _ANSWER_S) -> bool:
    """Whether the page is there; where it leads on to does not matter."""
    try:
        async with wire.asked(url, "GET", path, limit_s=limit_s) as answer:
            return answer.status < _REFUSED
    except wire.BROKEN:
        return False


async def _listens(engine: Engine, found: Container, number: int, *, limit_s: float) -> bool:
    """By the kernel's own list, which needs nothing in the image but ``cat``."""
    _, output = await run(engine, found, ("cat", "/proc/net/tcp", "/proc/net/tcp6"), limit_s=limit_s)
    return is_listening(output.decode(errors="replace"), number)


def is_listening(table: str, number: int) -> bool:
    """Whether ``/proc/net/tcp`` has a socket that listens on that port."""
    rows = (line.split() for line in table.splitlines())
    return any(len(row) > 3 and row[3] == _LISTENING and row[1].rpartition(":")[2] == f"{number:04X}" for row in rows)


async def _succeeds(engine: Engine, found: Container, command: tuple[str, ...], *, limit_s: float) -> bool:
    code, _ = await run(engine, found, command, limit_s=limit_s)
    return code == 0


class _LogMatch:
    """Reads what was said since the last question, by the engine's own clock; the second of the last line is read again.

    Of what is much so much is looked at for one question, and the next goes on from exactly there.
    """

    def __init__(self, engine: Engine, found: Container, pattern: str) -> None:
        self._engine = engine
        self._found = found
        self._path = f"/containers/{found.id}/logs"
        self._pattern = re.compile(pattern)
        self._since_ns = 0
        self._told = b""
        """The moment of the last line, as the engine writes it."""
        self._is_at_end = False
        self._until_ns: int | None = None

    async def has_heard(self) -> bool:
        """Whether it has looked at all that had been said when this was first asked; also where the engine does not tell what that is."""
        if self._is_at_end:
            return True
        try:
            if self._until_ns is None:
                self._until_ns = await self._last_ns()
        except Unreachable:
            return False
        except (BackendError, NotFound):
            return True
        return self._since_ns > self._until_ns

    async def _last_ns(self) -> int:
        """The moment of the last line that is there."""
        query = {"stdout": 1, "stderr": 1, "timestamps": 1, "tail": 1}
        async with self._engine.calls.flow("GET", self._path, query, limit_s=LOG_S, pause_s=LOG_S) as content:
            line = b"".join([part async for part in wire.frames(content)])
        return _nanoseconds(line.partition(b" ")[0])

    async def __call__(self) -> bool:
        self._is_at_end = False
        query = {"stdout": 1, "stderr": 1, "timestamps": 1, "since": _since(self._since_ns)}
        async with (
            self._engine.asking(self._found),
            self._engine.calls.flow("GET", self._path, query, limit_s=LOG_S, pause_s=LOG_S) as content,
            aclosing(in_pieces(content, lambda: self._engine.searching(self._found))) as pieces,
        ):
            return await self._is_in(wire.frames(pieces))

    async def _is_in(self, parts: AsyncIterator[bytes]) -> bool:
        rest, passed = b"", 0
        async for part in parts:
            *lines, rest = (rest + part).split(b"\n")
            if any(self._is_it(line) for line in lines):
                return True
            rest, passed = rest[:_LONGEST_LINE], passed + len(part)
            if passed >= _AT_ONCE_BYTES:
                break
        is_all = passed < _AT_ONCE_BYTES
        is_it = bool(rest) and (is_all or len(rest) == _LONGEST_LINE) and self._is_it(rest)
        last_ns = _nanoseconds(self._told)
        self._is_at_end = is_all
        if is_all:
            self._since_ns = max(self._since_ns, last_ns // _SECOND_NS * _SECOND_NS)
        else:
            self._since_ns = max(self._since_ns + 1, last_ns)
        return is_it

    def _is_it(self, line: bytes) -> bool:
        self._told, _, text = line.rstrip(b"\r").partition(b" ")
        said = text[: _LONGEST_CHARACTER * _LOOKED_AT].decode(errors="replace")
        return self._pattern.search(said[:_LOOKED_AT]) is not None


def _since(moment_ns: int) -> str:
    return f"{moment_ns // _SECOND_NS}.{moment_ns % _SECOND_NS:09d}"


def _nanoseconds(told: bytes) -> int:
    """0 where it is no moment: of a line that has others inside, say."""
    try:
        whole, _, fraction = told.decode().rstrip("Z").partition(".")
        return int(moment(whole)) * _SECOND_NS + int(f"{fraction:0<9}"[:9])
    except ValueError:
        return 0


async def _too_late(engine: Engine, found: Container, probe: Probe) -> Reason:
    try:
        said = await engine.calls.do(lambda client: client.logs(found.id, tail=_SHOWN_LINES), limit_s=LOG_S)
    except (Unreachable, BackendError, NotFound):
        said = b""
    text = f"not ready after {probe.timeout_s:g} s: waited for {waited_for(probe)}"
    lines = [cut(line) for line in said.decode(errors="replace").splitlines()[-_SHOWN_LINES:]]
    return Reason("not_ready", text, {"timeout_s": probe.timeout_s, "log": lines})


def waited_for(probe: Probe) -> str:
    if probe.tcp:
        return f"its port {probe.tcp} to accept a connection"
    if probe.http:
        return f"its page {probe.http} to answer"
    if probe.log:
        return f"a line of its log that matches {probe.log}"
    return f"{' '.join(probe.command)} to succeed"


async def run(
    engine: Engine,
    found: Container,
    command: tuple[str, ...],
    *,
    limit_s: float,
    environment: dict[str, str] | None = None,
) -> tuple[int, bytes]:
    """Run a command inside, as the service's user, in its folder; its exit code and the begin of its output.

    Raises also asyncio.TimeoutError, when it took longer since its turn came.
    """
    async with engine.command(found):
        words, given = list(command), environment or {}
        if found.has_variables:
            words, given = beside(command, given)
        return await asyncio.wait_for(_run(engine, found.id, words, given), limit_s)


async def _run(engine: Engine, container_id: str, command: list[str], environment: dict[str, str]) -> tuple[int, bytes]:
    calls, output = engine.calls, bytearray()
    made = await calls.do(lambda client: client.exec_create(container_id, command, environment=environment)["Id"])
    async with calls.flow("POST", f"/exec/{made}/start", body={"Detach": False, "Tty": False}, limit_s=None) as content:
        async for part in wire.frames(content):
            output += part[: _KEPT_BYTES - len(output)]
    return await _exit_code(calls, made), bytes(output)


async def _exit_code(calls: Calls, command: str) -> int:
    """Once the engine knows it: a command may go on though its outputs are closed, or the connection broke."""
    while True:
        code = await calls.do(lambda client: client.exec_inspect(command)["ExitCode"])
        if code is not None:
            return int(code)
        await asyncio.sleep(_EXIT_PAUSE_S)
