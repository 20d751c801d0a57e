"""The panels in a real browser on a real server, with an application that is cheap to run; a page of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer, jupyter_home, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.e2e.lab import Lab

EXPOSED = ("--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True")
WORKBENCH = Path(__file__).with_name("workbench.yaml")


@pytest.fixture(scope="session")
def home() -> Iterator[JupyterHome]:
    with jupyter_home() as found:
        folder = found.folder / "shop" / "workbench"
        folder.mkdir(parents=True)
        (folder / "framework.yaml").write_text(WORKBENCH.read_text())
        yield found


@pytest.fixture(scope="session")
def server(home: JupyterHome) -> JupyterServer:
    """With a source of the shop that is trusted, and one that is not."""
    ours, theirs = home.folder / "shop", home.folder / "theirs"
    sources = (f"--Zoe.shop_sources={ours}", f"--Zoe.shop_sources={theirs}", f"--Zoe.trusted_sources={ours}")
    return home.start(*EXPOSED, *sources)


@pytest.fixture
def lab(browser: Browser, server: JupyterServer, artifacts: Path) -> Iterator[Lab]:
    """A fresh page, not opened yet; its last look is kept, and its own code must not have thrown."""
    from tests.e2e.lab import Lab

    page = Lab(browser, server)
    yield page
    page.screenshot(artifacts, "last")
    page.page.unroute_all(behavior="ignoreErrors")
    problems = page.problems
    page.close()
    assert problems == []


@pytest.fixture
def clean(server: JupyterServer) -> Iterator[None]:
    """Nothing runs, and nothing is remembered, before and after."""
    clear(server)
    yield
    clear(server)


@pytest.fixture
def desk(server: JupyterServer, clean: None) -> dict[str, Any]:
    """An execution to look at."""
    body = {"use": "workbench", "name": "desk"}
    found: dict[str, Any] = server.ask("zoe/api/executions", method="POST", body=body)
    return found


def clear(server: JupyterServer) -> None:
    for execution in executions(server):
        if execution["state"] != "ended":
            server.ask(f"zoe/api/executions/{execution['id']}/stop", method="POST", body={})
    wait_for("all has ended", lambda: all(one["state"] == "ended" for one in executions(server)))
    for execution in executions(server):
        server.ask(f"zoe/api/executions/{execution['id']}", method="DELETE")


def executions(server: JupyterServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.ask("zoe/api/executions?limit=1000")["items"]
    return found
