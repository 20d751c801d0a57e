"""Who is let in when many ask at once."""

from __future__ import annotations

import asyncio

import pytest

from zoe_jupyter.engine.gate import Gate
from zoe_jupyter.model.errors import TooMany


class Crowd:
    """People who stay inside until they are sent out; ``inside`` is in the order in which they came in."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.inside: list[str] = []
        self.out: dict[str, asyncio.Event] = {}
        self.visits: dict[str, asyncio.Task[None]] = {}

    async def come(self, *names: str) -> None:
        for name in names:
            self.out[name] = asyncio.Event()
            self.visits[name] = asyncio.ensure_future(self._visit(name))
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    async def leave(self, name: str) -> None:
        self.out[name].set()
        await self.visits[name]
        await asyncio.sleep(0)

    async def give_up(self, name: str) -> None:
        self.visits[name].cancel()
        await asyncio.wait([self.visits[name]])
        await asyncio.sleep(0)

    async def _visit(self, name: str) -> None:
        async with self.gate.turn(name[0]):
            self.inside.append(name)
            await self.out[name].wait()


async def test_users_take_turns_whoever_came_first() -> None:
    crowd = Crowd(Gate(most=10, at_once=1))
    await crowd.come("a1", "a2", "a3", "b1", "c1", "b2")
    for name in ("a1", "a2", "b1", "c1", "a3"):
        await crowd.leave(name)
    assert crowd.inside == ["a1", "a2", "b1", "c1", "a3", "b2"]
    await crowd.leave("b2")


async def test_one_too_many_is_told_to_come_back_and_may_once_another_has_gone() -> None:
    crowd = Crowd(Gate(most=2, at_once=1))
    await crowd.come("a1", "a2", "a3", "b1")
    with pytest.raises(TooMany) as refused:
        await crowd.visits["a3"]
    assert refused.value.retry_after_s == 1.0
    await crowd.leave("a1")
    await crowd.come("a4")
    for name in ("a2", "b1", "a4"):
        await crowd.leave(name)
    assert crowd.inside == ["a1", "a2", "b1", "a4"]


async def test_who_gives_up_waiting_or_is_let_in_at_that_moment_leaves_the_place_to_the_next() -> None:
    crowd = Crowd(Gate(most=10, at_once=1))
    await crowd.come("a1", "a2", "b1", "b2")
    await crowd.give_up("a2")
    crowd.out["a1"].set()
    await crowd.visits["a1"]
    await crowd.give_up("b1")
    await crowd.leave("b2")
    await crowd.come("c1")
    await crowd.leave("c1")
    assert [name for name in crowd.inside if name != "b1"] == ["a1", "b2", "c1"]
