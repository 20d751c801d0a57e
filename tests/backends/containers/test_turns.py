"""Shares of what many want at once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from zoe_jupyter.model.errors import TooMany
from zoe_jupyter.turns import Turns


async def test_neither_one_execution_nor_one_owner_takes_the_turns_of_all() -> None:
    turns, begun, may_end = Turns(8, 2, 5), list[str](), asyncio.Event()

    async def work(execution_id: str, owner: str) -> None:
        async with turns.of(execution_id, owner):
            begun.append(owner)
            await may_end.wait()

    tasks = [asyncio.create_task(work(f"x{number % 4}", "ada")) for number in range(40)]
    tasks += [asyncio.create_task(work("y1", "bob")) for _ in range(3)]
    await asyncio.wait(tasks, timeout=0.05)
    assert (begun.count("ada"), begun.count("bob")) == (5, 2)
    may_end.set()
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert len(begun) == 43


async def test_who_does_not_wait_is_told_whose_share_is_used_up() -> None:
    turns = Turns(3, 2)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(turns.taken("logs that are read", "x1"))
        with pytest.raises(TooMany, match="logs that are read: 2 are open for x1"):
            turns.check("logs that are read", "x1")
        await stack.enter_async_context(turns.taken("logs that are read", "x2"))
        with pytest.raises(TooMany, match="3 are open, and that is the most of everybody"):
            await stack.enter_async_context(turns.taken("logs that are read", "x3"))
    turns.check("logs that are read", "x1")
