"""What every test has: markers that ask for parts of the machine, and a folder for what a test wants to show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.distribution import Distribution, turn
from tests.requirements import REQUIREMENTS, find_chromium, require, required_names

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure(config: pytest.Config) -> None:
    required_names()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In the order in which the workers of a run that is shared take them."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: turn(item.nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Distribution | None:
    if config.option.dist != "loadfile":
        return None
    config.option.loadscopereorder = False
    return Distribution(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A marker such as ``@pytest.mark.spark`` asks for that part before any fixture starts."""
    for marker in item.iter_markers():
        if marker.name in REQUIREMENTS:
            require(marker.name)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def artifacts(request: pytest.FixtureRequest) -> Path:
    """A folder, kept after the run, for what this test shows: screenshots, logs."""
    folder = ROOT / "test-artifacts" / re.sub(r"[^\w.-]+", "-", request.node.nodeid).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium without a window. Not for longer than a module: while it lives, its thread has a running loop, and async tests fail."""
    require("browser")
    from playwright.sync_api import sync_playwright

    from tests.e2e.lab import FLAGS

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=find_chromium(), headless=True, args=list(FLAGS))
        yield launched
        launched.close()
