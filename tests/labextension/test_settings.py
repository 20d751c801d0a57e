"""Zoe's own settings in JupyterLab: each does what it says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.lab import SOON_MS, Lab
from zoe_jupyter.testing.jupyter_home import JupyterServer

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("clean")]

PATH = "lab/api/settings/zoe-jupyter:plugin"


@pytest.fixture
def choose(server: JupyterServer) -> Iterator[Callable[..., None]]:
    """Save settings as the user's own, as the settings editor does."""

    def put(**values: object) -> None:
        server.ask(PATH, method="PUT", body={"raw": json.dumps(values)})

    yield put
    put()


def start(server: JupyterServer, **parameters: object) -> str:
    body = {"use": "workbench", "name": "desk", "parameters": parameters}
    return str(server.ask("zoe/api/executions", method="POST", body=body)["id"])


def test_the_form_offers_the_lifetime_that_was_chosen(lab: Lab, choose: Callable[..., None]) -> None:
    choose(defaultLifetime="hours")
    lab.open()
    lab.command("zoe:start-application", "{entry: 'workbench'}")
    expect(lab.tab.locator(".zoe-Launch").get_by_label("Runs")).to_have_value("hours", timeout=SOON_MS)
    expect(lab.tab.locator(".zoe-Equivalent .zoe-Code")).to_have_text("%zoe start workbench --for 8h")


def test_so_many_lines_of_a_log_are_kept(lab: Lab, server: JupyterServer, choose: Callable[..., None]) -> None:
    choose(logLines=100)
    lines = "".join(f"line {number}\n" for number in range(1000))
    lab.page.route(re.compile("/logs"), lambda route: route.fulfill(body=lines, content_type="text/plain"))
    start(server)
    lab.open()
    lab.show_panel()
    lab.item("desk").locator(".zoe-Item-name").click()
    expect(lab.tab.get_by_role("log")).to_contain_text("line 999", timeout=SOON_MS)
    expect(lab.tab).to_contain_text("End of the log; the last 100 lines")
    assert lab.tab.locator(".zoe-Log-line").count() == 100


def test_who_does_not_want_to_be_told_of_ends_is_not(
    lab: Lab, server: JupyterServer, choose: Callable[..., None], artifacts: Path
) -> None:
    choose(notifyEnds=False)
    lab.open()
    lab.show_panel()
    start(server, fails=7)
    ended = lab.panel.get_by_role("button", name="Ended (1)")
    ended.click(timeout=SOON_MS)
    lab.expect_state("desk", "failed")
    expect(lab.page.locator(".Toastify__toast")).to_have_count(0)
