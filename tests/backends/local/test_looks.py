"""Looks at many at once: one that is late holds up nobody, and is heard of later."""

from __future__ import annotations

import asyncio

from zoe_jupyter.backends.local.looks import LATE, Look, Looks

SOON_S = 10.0
HASTE_S = 0.01


class Supervised:
    """Answers when it is let; ``asked`` counts."""

    def __init__(self) -> None:
        self.answers: dict[str, asyncio.Future[Look]] = {}
        self.asked: list[str] = []
        self.heard = asyncio.Event()
        self.looks = Looks(self._look, on_answer=self.heard.set)

    async def _look(self, name: str) -> Look:
        self.asked.append(name)
        return await asyncio.shield(self.answers.setdefault(name, asyncio.get_running_loop().create_future()))

    def let(self, name: str, why: str = "") -> None:
        answer = self.answers.setdefault(name, asyncio.get_running_loop().create_future())
        answer.set_result(([], why))


async def test_who_answers_soon_is_told_of_beside_one_that_does_not() -> None:
    those = Supervised()
    those.let("quick", "it says so")
    assert await those.looks.at(["quick", "slow"], within_s=HASTE_S) == {
        "quick": ([], "it says so"),
        "slow": ([], LATE),
    }
    assert await those.looks.at(["slow"], within_s=HASTE_S) == {"slow": ([], LATE)}
    assert those.asked == ["quick", "slow"], "who has not answered yet is not asked again"
    those.let("slow")
    await asyncio.wait_for(those.heard.wait(), SOON_S)
    assert await those.looks.at(["slow"], within_s=HASTE_S) == {"slow": ([], "")}
    assert those.asked == ["quick", "slow", "slow"], "a late answer may be from before what was ordered since"
    await those.looks.close()


async def test_one_that_answers_while_another_is_waited_for_is_heard_of_in_the_next_look() -> None:
    those = Supervised()
    await those.looks.at(["slow"], within_s=HASTE_S)
    looking = asyncio.ensure_future(those.looks.at(["slow", "other"], within_s=SOON_S))
    await asyncio.sleep(0)
    those.let("slow")
    await those.heard.wait()
    those.let("other")
    assert await looking == {"slow": ([], LATE), "other": ([], "")}


async def test_one_that_kept_silent_gives_no_hint() -> None:
    those = Supervised()
    await those.looks.at(["slow"], within_s=HASTE_S)
    those.let("slow", "it kept silent")
    assert await those.looks.at(["slow"], within_s=None) == {"slow": ([], "it kept silent")}
    assert not those.heard.is_set()


async def test_without_a_limit_all_are_waited_for_and_asked_anew() -> None:
    those = Supervised()
    await those.looks.at(["slow"], within_s=HASTE_S)
    looking = asyncio.ensure_future(those.looks.at(["slow"], within_s=None))
    await asyncio.sleep(0)
    assert not looking.done()
    those.let("slow")
    assert await looking == {"slow": ([], "")}
    assert those.asked == ["slow", "slow"]


async def test_a_look_that_is_given_up_asks_nobody_any_more() -> None:
    those = Supervised()
    before = asyncio.all_tasks()
    looking = asyncio.ensure_future(those.looks.at(["slow"], within_s=SOON_S))
    await asyncio.wait({looking}, timeout=HASTE_S)
    looking.cancel()
    await asyncio.wait({looking})
    await asyncio.sleep(0)
    assert asyncio.all_tasks() <= before


async def test_closing_ends_those_who_are_late() -> None:
    those = Supervised()
    before = asyncio.all_tasks()
    await those.looks.at(["slow"], within_s=HASTE_S)
    assert asyncio.all_tasks() > before
    await those.looks.close()
    assert asyncio.all_tasks() <= before
