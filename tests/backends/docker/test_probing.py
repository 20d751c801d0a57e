"""Who is ready is never ended as not ready, however long its engine kept that to itself; whoever is not is, once its time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker import probing
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.probing import Prober
from zoe_jupyter.backends.docker.translate import Container
from zoe_jupyter.model.application import Probe
from zoe_jupyter.model.errors import Fatal
from zoe_jupyter.model.execution import Reason

SHORT_S = 0.05
FOUND = Container(
    "c1", Attempt("test", "one", "app.main-0", 1), False, True, 0, False, 0.0, 0.0, "app-main-0", "10.0.0.2",
    probe=Probe(command=("check",), timeout_s=SHORT_S),
)  # fmt: skip
Ask = Callable[[], Awaitable[bool]]


class Silent:
    """An engine that answers nobody for so many questions."""

    def __init__(self, *, silent_for: int = 0, said: bytes = b"") -> None:
        self.containers = {FOUND.id: FOUND}
        self.calls = self
        self.silent_for = silent_for
        self.said = said

    async def do(self, work: Any, *arguments: Any, limit_s: int = 10) -> bytes:
        if self.silent_for > 0:
            raise Unreachable("it stands still")
        return self.said

    async def answers(self) -> bool:
        return self.silent_for <= 0


async def told(engine: Silent, ask: Ask, monkeypatch: pytest.MonkeyPatch, reasons: list[Reason] | None = None) -> str:
    """What is made of it: ``ready``, or the code of the reason why it is ended."""
    found: asyncio.Queue[str] = asyncio.Queue()

    async def late(engine: Engine, container: Container, reason: Reason) -> None:
        if reasons is not None:
            reasons.append(reason)
        found.put_nowait(reason.code)

    monkeypatch.setattr(probing, "ways", lambda *_: ask)
    prober = Prober(on_ready=lambda _: found.put_nowait("ready"), on_late=late)
    prober.begin(engine, FOUND)  # type: ignore[arg-type]
    try:
        return await asyncio.wait_for(found.get(), 10)
    finally:
        prober.close()


async def test_who_became_ready_while_the_engine_was_silent_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Silent(silent_for=5)

    async def ask() -> bool:
        engine.silent_for -= 1
        await engine.do(None)
        return True

    began = time.monotonic()
    assert await told(engine, ask, monkeypatch) == "ready"
    assert time.monotonic() - began > SHORT_S


async def test_a_question_from_before_its_time_was_over_ends_nobody_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was answered, or broke off, when the engine went on."""
    answers = iter((False, True))

    async def ask() -> bool:
        await asyncio.sleep(2 * SHORT_S)
        return next(answers)

    assert await told(Silent(), ask, monkeypatch) == "ready"


async def test_who_is_not_ready_in_time_is_ended_also_where_it_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no() -> bool:
        return False

    async def fails() -> bool:
        raise Fatal("there is no such program inside")

    assert await told(Silent(), no, monkeypatch) == "not_ready"
    assert await told(Silent(), fails, monkeypatch) == "not_ready"


async def test_of_what_it_said_last_its_reason_has_so_much_of_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no() -> bool:
        return False

    reasons: list[Reason] = []
    said = b"first\n" + b"x" * 16_384 + b"\nlast\n"
    assert await told(Silent(said=said), no, monkeypatch, reasons) == "not_ready"
    assert [reason.numbers["log"] for reason in reasons] == [["first", "x" * 500, "last"]]
