"""The tables in the code, the migrations and the databases say the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from zoe_jupyter.store import migration, schema
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.postgresql import Server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{path}"
        return
    server: Server = request.getfixturevalue("postgresql")
    yield server.new_database()


def test_the_migrations_make_the_tables_that_the_code_names(url: str) -> None:
    store = Store(url)
    store.migrate()
    store.close()
    engine = create_engine(url)
    with engine.connect() as connection:
        options = {"version_table": schema.VERSION_TABLE, "compare_type": True, "compare_server_default": True}
        difference = compare_metadata(MigrationContext.configure(connection, opts=options), schema.metadata)
    engine.dispose()
    assert difference == []


def test_the_code_names_every_migration_in_order() -> None:
    config = Config()
    config.set_main_option("script_location", migration.SCRIPTS)
    scripts = ScriptDirectory.from_config(config)
    assert tuple(script.revision for script in scripts.walk_revisions())[::-1] == schema.REVISIONS


def test_tables_of_other_programs_in_the_same_postgresql_are_left_alone(postgresql: Server) -> None:
    url = postgresql.new_database()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE services (id int)"))
        connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32))"))
    store = Store(url)
    store.migrate()
    store.close()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM services")).scalar() == 0
        assert connection.execute(text("SELECT count(*) FROM alembic_version")).scalar() == 0
    engine.dispose()
