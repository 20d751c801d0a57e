"""Reading one page costs little, however much is stored; CPU seconds are measured, which hardly move on a busy machine."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from zoe_jupyter.model.execution import State
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.executions import make_execution, make_service
from zoe_jupyter.testing.store_contract import advance, submit

STORED = 10_000
PAGE_S = 0.05

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


def cpu_s(call: Callable[[], object]) -> float:
    """The least of five."""
    taken = []
    for _ in range(5):
        start = time.thread_time()
        call()
        taken.append(time.thread_time() - start)
    return min(taken)


def test_a_page_of_a_hundred_among_ten_thousand_is_quick(full: Store) -> None:
    page, cursor = full.find(limit=100)
    assert (len(page), cursor is None) == (100, False)
    for _ in range(40):
        _, cursor = full.find(limit=100, cursor=cursor)
    taken = {
        "first": cpu_s(full.find),
        "in the middle": cpu_s(lambda: full.find(cursor=cursor)),
        "owner": cpu_s(lambda: full.find(owner="o3")),
        "label": cpu_s(lambda: full.find(labels={"team": "t3"})),
        "owner and label": cpu_s(lambda: full.find(owner="o3", labels={"team": "t2"})),
        "states": cpu_s(lambda: full.find(states=[State.RUNNING, State.STARTING])),
        "nothing found": cpu_s(lambda: full.find(labels={"team": "none"})),
        "one by name": cpu_s(lambda: full.find_by_name("o3", "n3")),
    }
    assert {name: seconds for name, seconds in taken.items() if seconds > PAGE_S} == {}


def test_saving_one_of_ten_thousand_is_quick(full: Store) -> None:
    current = full.get("c-000100")
    assert current is not None
    start = time.thread_time()
    for number in range(50):
        service = make_service(3, attempt=number + 2)
        current = advance(full, current, services={**current.services, service.name: service})
    assert (time.thread_time() - start) / 50 < 0.01
