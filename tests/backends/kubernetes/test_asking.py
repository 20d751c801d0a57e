"""What is asked of the cluster again and again."""

from __future__ import annotations

import asyncio
import logging

import pytest

from zoe_jupyter.backends.kubernetes import asking
from zoe_jupyter.backends.kubernetes.asking import Asking
from zoe_jupyter.model.errors import Fatal
from zoe_jupyter.testing.backend_contract import eventually


async def test_what_is_refused_is_asked_again_after_a_while_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    turns, asked = [0.0], list[float]()

    async def refuse() -> None:
        asked.append(turns[-1])
        if turns[-1] < 12:
            raise Fatal("the cluster does not allow it")

    letting = Asking("{}: that it is let go", clock=lambda: turns[-1])
    with caplog.at_level(logging.INFO, asking.__name__):
        for now in (0.0, 0.5, 1.0, 5.0, 5.5, 10.0, 14.0, 15.0, 15.5):
            turns.append(now)
            letting.begin("p", refuse)
            await letting.settle()
    assert asked == [0.0, 5.0, 10.0, 15.0, 15.5]
    assert len(caplog.records) == 1


async def test_so_many_are_asked_for_at_once_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "AT_ONCE", 2)
    monkeypatch.setattr(asking, "SETTLE_S", 0.05)
    begun, may_end = list[str](), asyncio.Event()

    async def work() -> None:
        begun.append("one")
        await may_end.wait()

    ending = Asking("{}: that it is to end")
    for _ in range(2):
        for key in ("a", "b", "c"):
            ending.begin(key, work)
        await ending.settle()
    assert len(begun) == 2
    may_end.set()
    await eventually(lambda: _are(begun, 3))
    await ending.close()


async def _are(begun: list[str], count: int) -> bool:
    return len(begun) == count
