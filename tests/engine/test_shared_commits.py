"""Submits that come together share a commit: each gets its own answer, and what is wrong with one, or with the store, is told to whom it concerns."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from zoe_jupyter.engine import ledger as ledgers
from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.model.errors import Conflict, QuotaExceeded, Unavailable
from zoe_jupyter.model.execution import Execution
from zoe_jupyter.store.errors import Fenced, StoreBusy, StoreError, StoreFull
from zoe_jupyter.store.repository import NewExecution, Store, Submitted, file_url
from zoe_jupyter.testing.executions import make_execution

LONG_S = 30.0
"""A window that nobody waits out: it ends because more have come."""


class Counted(Store):
    """A store that remembers how many were stored by each call."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.shares: list[int] = []

    def submit_all(self, wanted: Sequence[NewExecution], *, now: float) -> list[Submitted | Exception]:
        self.shares.append(len(wanted))
        return super().submit_all(wanted, now=now)


@pytest.fixture
def store(tmp_path: Path) -> Counted:
    return Counted(file_url(tmp_path / "zoe.db"))


@pytest.fixture
async def ledger(store: Counted) -> AsyncIterator[Ledger]:
    ledger = await opened(store)
    yield ledger
    await ledger.close()


async def opened(store: Store, *, on_doubt: Callable[[], None] = lambda: None) -> Ledger:
    ledger = Ledger(
        store,
        lambda: 1.0,
        carry_out=lambda *_: None,
        on_change=lambda: None,
        on_end=lambda _: None,
        on_doubt=on_doubt,
    )
    await ledger.open("test", lambda _: None)
    return ledger


def submit(ledger: Ledger, number: int, **changes: Any) -> asyncio.Task[tuple[Execution, bool]]:
    """Begin it; one with ``key`` is the same request as others with that key and ``digest``."""
    fields = {"key": None, "digest": "", "secrets": {"token": f"secret of {number}"}, "lease": None, **changes}
    return asyncio.ensure_future(ledger.submit(make_execution(number), **fields))


async def answers(*submits: asyncio.Task[tuple[Execution, bool]]) -> list[Any]:
    """``(id, is new)``, or what was raised."""
    found = await asyncio.wait_for(asyncio.gather(*submits, return_exceptions=True), LONG_S)
    return [one if isinstance(one, BaseException) else (one[0].id, one[1]) for one in found]


def news(*numbers: int) -> list[tuple[str, bool]]:
    return [(make_execution(number).id, True) for number in numbers]


def stored(store: Store) -> list[str]:
    """Ids of all that the store has, by age; each once in memory, too, is seen by ``check``."""
    return sorted(execution.id for execution in store.live())


def check(ledger: Ledger, store: Store, *numbers: int) -> None:
    """These are there, in the store, in memory and in the log: nothing else, and nothing twice."""
    ids = [make_execution(number).id for number in numbers]
    assert stored(store) == sorted(ledger.executions) == ids
    events = store.events(since=0, limit=1000)
    assert sorted(event.execution_id for event in events if event.kind == "execution.submitted") == ids
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert ledger.feed.last_seq == len(events)


async def turns() -> None:
    """Let everybody go as far as they can without the store."""
    for _ in range(5):
        await asyncio.sleep(0)


@contextmanager
def no_room(store: Store) -> Iterator[None]:
    """Its file cannot grow."""
    engine = store._engines.writing
    engine.dispose()
    event.listen(engine, "connect", _keep_size)
    try:
        yield
    finally:
        event.remove(engine, "connect", _keep_size)
        engine.dispose()


def _keep_size(connection: sqlite3.Connection, record: object) -> None:
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages}")


async def fill_a_window(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two have come together, so that the next commit waits for more than two; numbers 1 and 2."""
    await answers(submit(ledger, 1), submit(ledger, 2))
    monkeypatch.setattr(ledgers, "GATHER_S", LONG_S)


async def test_those_that_come_together_share_a_commit_and_each_gets_its_own(ledger: Ledger, store: Counted) -> None:
    writes = store.seat()[2]
    assert await answers(*(submit(ledger, number) for number in range(1, 9))) == news(*range(1, 9))
    assert store.shares == [8]
    assert store.seat()[2] == writes + 1
    assert [store.secrets(make_execution(number).id)["token"] for number in (1, 8)] == ["secret of 1", "secret of 8"]
    check(ledger, store, *range(1, 9))


async def test_who_comes_while_a_commit_waits_for_more_is_part_of_it(
    ledger: Ledger, store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill_a_window(ledger, monkeypatch)
    first = submit(ledger, 3)
    await turns()
    assert await answers(first, submit(ledger, 4), submit(ledger, 5)) == news(3, 4, 5)
    assert store.shares == [2, 3]
    check(ledger, store, 1, 2, 3, 4, 5)


async def test_who_comes_alone_waits_once_after_several_and_then_no_more(
    ledger: Ledger, store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    await answers(submit(ledger, 1), submit(ledger, 2))
    assert await answers(submit(ledger, 3)) == news(3)
    monkeypatch.setattr(ledgers, "GATHER_S", 10 * LONG_S)
    assert await answers(submit(ledger, 4)) == news(4)
    assert store.shares == [2, 1, 1]


async def test_one_key_stands_for_one_execution_also_within_a_commit(ledger: Ledger, store: Counted) -> None:
    """The second and the third of them are answered with the first, the fourth asks for something else."""
    same = [submit(ledger, number, key="k", digest="d") for number in (1, 2, 3)]
    others = submit(ledger, 4, key="k", digest="other"), submit(ledger, 5, key="another"), submit(ledger, 6)
    first, second, third, other, *rest = await answers(*same, *others)
    assert [first, second, third] == [*news(1), ("e-000001", False), ("e-000001", False)]
    assert isinstance(other, Conflict)
    assert rest == news(5, 6)
    assert store.shares[0] == 6
    check(ledger, store, 1, 5, 6)


async def test_what_is_refused_at_the_last_moment_is_told_to_its_own_caller(ledger: Ledger, store: Counted) -> None:
    def refuse(error: Exception) -> Callable[[Execution], Execution]:
        def admit(_: Execution) -> Execution:
            raise error

        return admit

    refused = submit(ledger, 2, admit=refuse(QuotaExceeded("too much")))
    broken = submit(ledger, 3, admit=refuse(ZeroDivisionError("a defect")))
    first, second, third, fourth = await answers(submit(ledger, 1), refused, broken, submit(ledger, 4))
    assert [first, fourth] == news(1, 4)
    assert isinstance(second, QuotaExceeded)
    assert isinstance(third, ZeroDivisionError)
    assert await answers(submit(ledger, 5)) == news(5)
    check(ledger, store, 1, 4, 5)


@pytest.mark.parametrize("parameters", [{"a": object()}, {"\ud800": 1}])
async def test_what_cannot_be_stored_harms_no_other(ledger: Ledger, store: Counted, parameters: Any) -> None:
    bad = asyncio.ensure_future(
        ledger.submit(
            make_execution(2, parameters=parameters, labels=dict.fromkeys(parameters, "\ud800")),
            key="k",
            digest="",
            secrets={},
            lease=None,
        )
    )
    first, second, third = await answers(submit(ledger, 1), bad, submit(ledger, 3))
    assert [first, third] == news(1, 3)
    assert isinstance(second, Exception)
    assert await answers(submit(ledger, 4, key="k")) == news(4)
    check(ledger, store, 1, 3, 4)


async def test_a_disk_that_is_full_is_told_to_all_of_a_commit_and_nothing_of_it_is_there(
    ledger: Ledger, store: Counted
) -> None:
    await answers(submit(ledger, 1))
    with no_room(store):
        refused = await answers(*(submit(ledger, number, key=f"k{number}") for number in range(2, 60)))
        assert {type(one) for one in refused} == {StoreFull}
        check(ledger, store, 1)
    assert await answers(submit(ledger, 2, key="k2"), submit(ledger, 3, key="k3")) == news(2, 3)
    check(ledger, store, 1, 2, 3)


async def test_a_disk_that_fills_up_between_those_of_a_commit_harms_only_the_later(
    ledger: Ledger, store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot be stored makes the store take each by itself: then what was stored stays stored, and is answered so."""
    tries = fail_after(monkeypatch, 1, StoreFull("no room"))
    first, _, third = await answers(submit(ledger, 1), submit_what_cannot_be_stored(ledger, 2), submit(ledger, 3))
    assert first == news(1)[0]
    assert isinstance(third, StoreFull)
    monkeypatch.undo()
    check(ledger, store, 1)
    assert tries == [1, 2]


def fail_after(monkeypatch: pytest.MonkeyPatch, count: int, error: StoreError) -> list[int]:
    """Let the store fail when it has taken so many by themselves; fills with the numbers of those that it was asked to take."""
    plain, tries = Store.submit_all, list[int]()

    def fail(self: Store, wanted: Sequence[NewExecution], *, now: float) -> list[Submitted | Exception]:
        if len(wanted) == 1:
            tries.append(len(tries) + 1)
        if len(tries) > count:
            raise error
        return plain(self, wanted, now=now)

    monkeypatch.setattr(Store, "submit_all", fail)
    return tries


def submit_what_cannot_be_stored(ledger: Ledger, number: int) -> asyncio.Task[tuple[Execution, bool]]:
    execution = make_execution(number, parameters={"a": object()})
    return asyncio.ensure_future(ledger.submit(execution, key=None, digest="", secrets={}, lease=None))


async def test_a_commit_of_which_nobody_knows_among_those_that_each_have_their_own_is_read_again(
    store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those after it are not tried, as a database that cannot be reached lets each wait; they know that nothing of theirs was stored."""
    doubts: list[int] = []
    ledger = await opened(store, on_doubt=lambda: doubts.append(1))
    tries = fail_after(monkeypatch, 2, StoreBusy("cut off", details={"outcome": "unknown"}))
    bad = submit_what_cannot_be_stored(ledger, 2)
    first, _, third, fourth = await answers(submit(ledger, 1), bad, submit(ledger, 3), submit(ledger, 4))
    assert first == news(1)[0]
    assert (third.details, fourth.details) == ({"outcome": "unknown"}, {})
    assert (tries, doubts) == ([1, 2, 3], [1])
    await ledger.close()


async def test_a_core_that_was_replaced_tells_all_of_a_commit(ledger: Ledger, store: Counted, tmp_path: Path) -> None:
    await answers(submit(ledger, 1))
    successor = Store(file_url(tmp_path / "zoe.db"))
    successor.take_over("successor", 2.0)
    refused = await answers(submit(ledger, 2, key="k"), submit(ledger, 3))
    successor.close()
    assert {type(one) for one in refused} == {Fenced}
    check(ledger, store, 1)


async def test_a_caller_that_goes_away_while_a_commit_waits_for_more_takes_nobody_with_it(
    ledger: Ledger, store: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill_a_window(ledger, monkeypatch)
    gone, stays = submit(ledger, 3), submit(ledger, 4)
    await turns()
    gone.cancel()
    assert await answers(stays, submit(ledger, 5)) == news(4, 5)
    check(ledger, store, 1, 2, 3, 4, 5)


async def test_a_core_that_ends_while_a_commit_waits_for_more_keeps_what_it_answers(
    store: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = await opened(store)
    await answers(submit(ledger, 1), submit(ledger, 2))
    early = [submit(ledger, number) for number in (3, 4)]
    await turns()
    closing = asyncio.ensure_future(ledger.close())
    await turns()
    late = submit(ledger, 5)
    found = await answers(*early, late)
    await closing
    later = await answers(submit(ledger, 6))

    assert found[:2] == news(3, 4)
    assert isinstance(later[0], Unavailable)
    another = Store(file_url(tmp_path / "zoe.db"))
    answered = [one for one in found if one in news(3, 4, 5)]
    assert {execution.id for execution in another.live()} == {"e-000001", "e-000002", *(name for name, _ in answered)}
    another.close()
