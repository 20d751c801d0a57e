"""One Jupyter home, one server and one browser for all tests of a file; a story's later steps need its earlier ones."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.requirements import find_chromium
from zoe_jupyter.testing.jupyter_home import JupyterHome, jupyter_home

EXPOSED = "--LabApp.expose_app_in_browser=True"
_failed: dict[type, str] = {}


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.failed and getattr(item, "cls", None) is not None:
        _failed.setdefault(item.cls, item.name)


@pytest.fixture(autouse=True)
def _step(request: pytest.FixtureRequest) -> None:
    """A story goes on only where it came so far."""
    if request.cls in _failed:
        pytest.skip(f"an earlier step of the story failed: {_failed[request.cls]}")


@pytest.fixture(scope="module")
def home(root: Path) -> Iterator[JupyterHome]:
    with jupyter_home() as found:
        shutil.copy(root / "docs" / "users" / "first-notebook.ipynb", found.work)
        yield found


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    from tests.e2e.lab import FLAGS

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=find_chromium(), headless=True, args=list(FLAGS))
        yield launched
        launched.close()
