"""A hostile page cannot act as the user, wherever it is opened; a harmless one works all the same, WebSockets included."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Frame, Page, expect

from tests.e2e.lab import SOON_MS, Lab
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("clean")]

HERE = Path(__file__).parent
DASK = HERE.parent.parent / "frameworks" / "dask"
HARMLESS = {"own", "ownPost"}
TOLD_MS = 60_000


@pytest.fixture
def shop(home: JupyterHome) -> Iterator[Path]:
    """A source of the shop that the admin does not trust, with two entries."""
    folder = home.folder / "theirs"
    (folder / "nosy").mkdir(parents=True)
    shutil.copy(HERE / "nosy.yaml", folder / "nosy" / "framework.yaml")
    shutil.copy(HERE / "nosy.js", folder / "nosy")
    shutil.copytree(DASK, folder / "crowd")
    description = folder / "crowd" / "framework.yaml"
    description.write_text(description.read_text().replace("name: dask\n", "name: crowd\n", 1))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def nosy(server: JupyterServer, shop: Path) -> dict[str, Any]:
    return running(server, "nosy")


def running(server: JupyterServer, name: str) -> dict[str, Any]:
    server.ask("zoe/api/executions", method="POST", body={"use": name, "name": name})
    looks = f"zoe/api/executions/{name}"
    wait_for(f"{name} has a page", lambda: server.ask(looks)["endpoints"], timeout_s=90)
    found: dict[str, Any] = server.ask(looks)
    return found


def told(page: Page | Frame) -> dict[str, str]:
    """What the page could do."""
    expect(page.locator("#told")).to_contain_text("}", timeout=TOLD_MS)
    found: dict[str, str] = json.loads(str(page.locator("#told").text_content()))
    return found


def assert_harmless(found: dict[str, str], server: JupyterServer) -> None:
    assert {name: found[name] for name in HARMLESS} == dict.fromkeys(HARMLESS, "got data")
    reached = {name: text for name, text in found.items() if name not in HARMLESS and not text.startswith("no:")}
    assert reached == {}
    assert server.ask("api/terminals") == []
    assert server.ask("zoe/api/executions/nosy")["state"] == "running"


def cookies(lab: Lab) -> set[str]:
    return {str(cookie["name"]) for cookie in lab.context.cookies()}


def page_frame(lab: Lab) -> Frame:
    expect(lab.page.locator(".zoe-Page iframe")).to_be_attached(timeout=SOON_MS)

    def framed() -> Frame | None:
        # Playwright learns of frames only while it is asked to wait.
        lab.page.wait_for_timeout(100)
        return next((frame for frame in lab.page.frames if "/zoe/ticket/" in frame.url), None)

    return wait_for("the page's frame", framed)


def open_tab(lab: Lab, execution: dict[str, Any]) -> Frame:
    lab.command("zoe:open-endpoint", json.dumps({"id": execution["id"], "endpoint": execution["endpoints"][0]["name"]}))
    lab.page.wait_for_timeout(500)
    return page_frame(lab)


def test_in_a_tab_of_jupyterlab(lab: Lab, server: JupyterServer, nosy: dict[str, Any], artifacts: Path) -> None:
    lab.open()
    before = cookies(lab)
    found = told(open_tab(lab, nosy))
    lab.screenshot(artifacts, "nosy")
    assert_harmless(found, server)
    assert cookies(lab) == before


def test_opened_on_its_own(lab: Lab, server: JupyterServer, nosy: dict[str, Any]) -> None:
    """By a link, as in the output of a cell: it leads to a ticket."""
    lab.open()
    before = cookies(lab)
    page = lab.context.new_page()
    page.goto(server.url + nosy["endpoints"][0]["url"])
    assert "/zoe/ticket/" in page.url
    assert_harmless(told(page), server)
    assert cookies(lab) == before


def test_the_same_page_from_a_trusted_source_can(
    lab: Lab, server: JupyterServer, home: JupyterHome, shop: Path
) -> None:
    """What the others are refused is refused because of the sandbox, and for no other reason."""
    shutil.move(shop / "nosy", home.folder / "shop" / "nosy")
    try:
        execution = running(server, "nosy")
        lab.open()
        page = lab.context.new_page()
        page.goto(server.url + execution["endpoints"][0]["url"])
        found = told(page)
        assert "/zoe/at/" in page.url
        assert '"items"' in found["executions"]
        assert "stream.opened" in found["socket"]
        assert found["lab"].startswith("got <!")
    finally:
        shutil.move(home.folder / "shop" / "nosy", shop / "nosy")


def test_dasks_dashboard_works_with_a_ticket(lab: Lab, server: JupyterServer, shop: Path, artifacts: Path) -> None:
    """Fonts, module scripts and the WebSocket that fills it."""
    execution = running(server, "crowd")
    problems: list[str] = []
    page = lab.page
    lab.open()
    page.on("websocket", lambda socket: problems.append(socket.url) if "/zoe/ticket/" in socket.url else None)
    frame = open_tab(lab, execution)
    expect(frame.locator(".bk-Figure, .bk-Row, canvas").first).to_be_visible(timeout=TOLD_MS)
    wait_for("the dashboard's WebSocket", lambda: page.wait_for_timeout(100) or problems)
    lab.screenshot(artifacts, "dask")
    expect(frame.get_by_text(re.compile("Workers|Info", re.IGNORECASE)).first).to_be_visible(timeout=SOON_MS)


def test_a_tab_renews_its_ticket_and_gets_another_when_it_must(
    lab: Lab, server: JupyterServer, nosy: dict[str, Any]
) -> None:
    lab.page.clock.install()
    lab.open()
    asked: list[dict[str, str]] = []
    lab.page.on(
        "request",
        lambda request: (
            asked.append(request.post_data_json) if request.url.partition("?")[0].endswith("/ticket") else None
        ),
    )
    first = open_tab(lab, nosy).url
    ticket = first.split("/zoe/ticket/")[1].split("/")[0]
    assert asked == [{"renew": ""}]
    lab.page.clock.fast_forward(5 * 60 * 1000 + 1000)
    wait_for("it is renewed", lambda: lab.page.wait_for_timeout(100) or len(asked) == 2)
    assert asked[1] == {"renew": ticket}
    lab.page.wait_for_timeout(300)
    assert page_frame(lab).url == first
    lab.page.get_by_role("button", name="Load the page again").click()
    wait_for("another one", lambda: lab.page.wait_for_timeout(100) or page_frame(lab).url != first)
