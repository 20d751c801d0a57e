"""Databases for tests: a file each for SQLite, one real PostgreSQL server with a database for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.requirements import require
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.postgresql import Server, running_postgresql

pytest.register_assert_rewrite("zoe_jupyter.testing.store_contract")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Server]:
    require("postgresql")
    with running_postgresql() as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "zoe.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    """On SQLite, migrated and taken over."""
    store = Store(f"sqlite:///{path}")
    store.migrate()
    store.take_over("test", 0.0)
    yield store
    store.close()
