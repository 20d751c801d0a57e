"""Reading one page costs little, however much is stored: steps of the database are counted, which are as many on every machine."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, event

from zoe_jupyter.model.execution import State
from zoe_jupyter.store import reading
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.executions import make_execution, make_service
from zoe_jupyter.testing.store_contract import advance, submit

STORED = 10_000
SAVE_STEPS = 1000

NUMBERS = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {STORED}) INSERT INTO"
COPIES = (
    f"""{NUMBERS} zoe_executions SELECT printf('c-%06d', i), 'o' || (i % 10), 'n' || i, iif(i % 100, 'ended', 'running'), parent,
        i, i, version, body FROM n, zoe_executions""",
    # Every application is a little different, so that none is found in memory.
    f"{NUMBERS} zoe_applications SELECT printf('c-%06d', i), replace(body, 'Dask', 'Dask ' || i) FROM n, zoe_applications",
    f"{NUMBERS} zoe_services SELECT printf('c-%06d', i), name, body FROM n, zoe_services",
    f"{NUMBERS} zoe_labels SELECT printf('c-%06d', i), 'team', 't' || (i % 7) FROM n",
)


@pytest.fixture
def full(path: Path, store: Store) -> Store:
    """A store with ten thousand executions of eight services each."""
    submit(store, make_execution(0, services={f"dask.worker-{n}": make_service(n) for n in range(8)}))
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in COPIES:
            connection.execute(statement)
    return store


def steps(engine: Engine, call: Callable[[], object]) -> int:
    """Of SQLite's machine."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    def listen(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_progress_handler(step, 1)

    event.listen(engine, "checkout", listen)
    call()
    event.remove(engine, "checkout", listen)
    return count


def test_a_page_of_a_hundred_among_ten_thousand_is_found_without_a_look_at_the_others(full: Store) -> None:
    last = full.get("c-006000")
    assert last is not None
    page, cursor = full.find(cursor=reading._write_cursor(last))
    assert (len(page), page[0].id, cursor is None) == (100, "c-005999", False)
    asked: dict[str, tuple[int, Callable[[], object]]] = {
        "first": (15_000, full.find),
        "in the middle": (15_000, lambda: full.find(cursor=cursor)),
        "owner": (15_000, lambda: full.find(owner="o3")),
        "label": (80_000, lambda: full.find(labels={"team": "t3"})),
        "owner and label": (40_000, lambda: full.find(owner="o3", labels={"team": "t2"})),
        "states": (20_000, lambda: full.find(states=[State.RUNNING, State.STARTING])),
        "nothing found": (500, lambda: full.find(labels={"team": "none"})),
        "one by name": (500, lambda: full.find_by_name("o3", "n3")),
    }
    taken = {name: (steps(full._engines.reading, call), most) for name, (most, call) in asked.items()}
    assert {name: counts for name, counts in taken.items() if not 0 < counts[0] <= counts[1]} == {}


def test_saving_one_of_ten_thousand_is_done_without_a_look_at_the_others(full: Store) -> None:
    current = full.get("c-000100")
    assert current is not None
    service = make_service(3, attempt=2)
    changed = {**current.services, service.name: service}
    taken = steps(full._engines.writing, lambda: advance(full, current, services=changed))
    assert 0 < taken < SAVE_STEPS
