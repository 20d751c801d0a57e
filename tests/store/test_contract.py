"""Both databases keep the contract of the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoe_jupyter.testing.postgresql import Server
from zoe_jupyter.testing.store_contract import StoreContract


class TestSqlite(StoreContract):
    @pytest.fixture
    def url(self, path: Path) -> str:
        return f"sqlite:///{path}"


@pytest.mark.postgresql
class TestPostgresql(StoreContract):
    @pytest.fixture
    def url(self, postgresql: Server) -> str:
        return postgresql.new_database()
