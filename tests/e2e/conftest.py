"""One Jupyter home, one server and one browser for all tests of a file; a story's later steps need its earlier ones."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

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
    """A story goes on only where it came so far, and does not go back: a step that failed is no success, tried again or not."""
    if _failed.get(request.cls) == request.node.name:
        pytest.fail("this step failed before, which the rest of the story waits for")
    if request.cls in _failed:
        pytest.skip(f"an earlier step of the story failed: {_failed[request.cls]}")


@pytest.fixture(scope="module")
def home() -> Iterator[JupyterHome]:
    with jupyter_home() as found:
        yield found
