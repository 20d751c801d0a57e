"""The panels in a real browser on a real server, with applications that are cheap to run."""

from __future__ import annotations

import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer, jupyter_home, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.e2e.lab import Lab
    from tests.labextension.kept import Keeper

EXPOSED = ("--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True")
HERE = Path(__file__).parent
WORKBENCH = HERE / "workbench.yaml"
LINE = HERE / "line"
"""What a notebook is connected to where it does not matter to what: a framework, a ZApp of it, and its attach kind as a plugin."""
HAS_PASSED = pytest.StashKey[bool]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    if report.when == "call":
        item.stash[HAS_PASSED] = report.passed
    return report


@pytest.fixture(scope="session")
def home() -> Iterator[JupyterHome]:
    with jupyter_home() as found:
        put(found, "workbench", WORKBENCH, kind="framework")
        put(found, "line", LINE / "framework.yaml", kind="framework")
        put(found, "slow", LINE / "zapp.yaml", kind="zapp")
        yield found


def put(home: JupyterHome, name: str, description: Path, *, kind: str) -> None:
    """Into the shop."""
    folder = home.folder / "shop" / name
    folder.mkdir(parents=True)
    shutil.copy(description, folder / f"{kind}.yaml")


@pytest.fixture(scope="session")
def server(home: JupyterHome) -> JupyterServer:
    """With a source of the shop that is trusted, and one that is not; its kernels have the plugin too."""
    ours, theirs = home.folder / "shop", home.folder / "theirs"
    sources = (f"--Zoe.shop_sources={ours}", f"--Zoe.shop_sources={theirs}", f"--Zoe.trusted_sources={ours}")
    return home.start(*EXPOSED, *sources, variables={"PYTHONPATH": str(LINE / "plugin")})


@pytest.fixture(scope="module")
def keeper(browser: Browser, server: JupyterServer) -> Iterator[Keeper]:
    from tests.labextension.kept import Keeper

    found = Keeper(browser, server, lambda: clear(server))
    yield found
    found.close()


@pytest.fixture
def lab(request: pytest.FixtureRequest, browser: Browser, server: JupyterServer, artifacts: Path) -> Iterator[Lab]:
    """A page, not opened yet: a fresh one, or that of its file where it is marked as ``kept``. Its own code must not have thrown."""
    from tests.e2e.lab import Lab

    marker = request.node.get_closest_marker("page")
    keeper: Keeper | None = request.getfixturevalue("keeper") if marker and marker.args == ("kept",) else None
    page = keeper.lend() if keeper else Lab(browser, server)
    yield page
    problems = list(page.problems)
    is_fit = not problems and request.node.stash.get(HAS_PASSED, False)
    if not is_fit:
        page.screenshot(artifacts, "last")
    if keeper:
        keeper.take_back(is_fit=is_fit)
    else:
        page.page.unroute_all(behavior="ignoreErrors")
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
    """Kernels too: each would go on until the end of the server."""
    for session in server.ask("api/sessions"):
        server.ask(f"api/sessions/{session['id']}", method="DELETE")
    for execution in executions(server):
        if execution["state"] != "ended":
            server.ask(f"zoe/api/executions/{execution['id']}/stop", method="POST", body={})
    wait_for("all has ended", lambda: all(one["state"] == "ended" for one in executions(server)))
    for execution in executions(server):
        server.ask(f"zoe/api/executions/{execution['id']}", method="DELETE")


def executions(server: JupyterServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.ask("zoe/api/executions?limit=1000")["items"]
    return found
