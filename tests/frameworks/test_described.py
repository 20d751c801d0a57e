"""Every framework that Zoe ships, without starting it: description, README, logo, and a dry run on a fake cluster."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.frameworks.cases import case_of
from zoe_jupyter.engine.door import Caller
from zoe_jupyter.model.description import FrameworkDescription
from zoe_jupyter.model.execution import State
from zoe_jupyter.shop.catalogue import Catalogue, open_catalogue
from zoe_jupyter.shop.compose import compose
from zoe_jupyter.shop.sources import shipped_folder
from zoe_jupyter.testing.fake_backend import FakeBackend
from zoe_jupyter.testing.house import House

NAMES = sorted(file.parent.name for file in shipped_folder().glob("*/framework.yaml"))
pytestmark = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return open_catalogue()


def test_it_has_all_that_the_shop_shows(name: str, catalogue: Catalogue) -> None:
    entry = catalogue.entry(name)
    assert entry.title
    assert entry.summary
    assert entry.version
    assert entry.tags
    assert entry.logo is not None
    assert entry.readme.startswith("# ")
    assert entry.is_runnable


def test_its_readme_explains_every_parameter(name: str, catalogue: Catalogue) -> None:
    entry = catalogue.entry(name)
    missing = [parameter for parameter in entry.form["properties"] if f"`{parameter}`" not in entry.readme]
    assert not missing


def test_its_parameters_have_titles_and_defaults(name: str, catalogue: Catalogue) -> None:
    for schema in catalogue.entry(name).form["properties"].values():
        assert schema["title"]
        assert "default" in schema


def test_its_processes_say_how_they_are_ready_and_what_they_need(name: str, catalogue: Catalogue) -> None:
    application, _ = compose(catalogue=catalogue, use=name, parameters=case_of(name).parameters)
    for process in application.processes:
        assert process.resources.memory_bytes >= 64 << 20
        assert process.resources.microcores > 0
        assert process.ready is not None or application.ends_with == process.name
        assert not process.elastic_limit or process.drain is not None


def test_no_secret_is_in_a_command(name: str, catalogue: Catalogue) -> None:
    application, _ = compose(catalogue=catalogue, use=name, parameters=case_of(name).parameters)
    for process in application.processes:
        assert "secrets." not in " ".join(process.command)


async def test_it_runs_on_a_fake_cluster(name: str, tmp_path: Path) -> None:
    house = House(tmp_path, FakeBackend(data_dir=tmp_path / "backend"))
    await house.open()
    try:
        submitted = await house.submit(name, parameters=case_of(name).parameters)
        execution = await house.until_state(State.RUNNING, submitted)
        wanted = {process.name: process.core + process.elastic for process in execution.application.processes}
        counts = Counter(service.process for service in execution.services.values())
        assert counts == Counter(wanted)
        for connection in execution.application.connections:
            found = await house.core.connection(execution.id, connection.name, Caller("alice"))
            assert all(found["secrets"][secret] for secret in connection.secrets)
    finally:
        await house.core.close()


def test_it_is_a_framework_of_the_format(name: str, catalogue: Catalogue) -> None:
    assert isinstance(catalogue.entry(name).description, FrameworkDescription)
