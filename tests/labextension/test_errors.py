"""What could not be done is said in a dialog or a message, with the server's reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Route, expect

from tests.e2e.lab import SOON_MS, Lab, Notebook
from tests.labextension.test_connect import REFUSING, open_notebook
from tests.labextension.test_details import open_details, trusting
from tests.labextension.test_everything import answering, begin, refusal
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer

pytestmark = [pytest.mark.browser, pytest.mark.page("kept"), pytest.mark.usefixtures("clean")]

WHY = "the disk is full: 0 B free"
VERBS = {"stop": "Stop", "suspend": "Suspend", "resume": "", "restart": "Restart", "forget": "Forget", "scale": ""}
"""With what its question is answered, where it asks one."""


def refusing(route: Route) -> None:
    """Whatever would change something."""
    if route.request.method == "GET":
        route.continue_()
    else:
        route.fulfill(status=507, json=refusal(WHY))


def expect_refusal(lab: Lab, title: str, why: str) -> None:
    expect(lab.dialog).to_contain_text(title, timeout=SOON_MS)
    expect(lab.dialog).to_contain_text(why)


def test_every_verb_that_is_refused_says_why(lab: Lab, desk: dict[str, Any], artifacts: Path) -> None:
    lab.page.route(re.compile(f"/zoe/api/executions/{desk['id']}"), refusing)
    open_details(lab)
    for verb, answer in VERBS.items():
        arguments = f"{{id: '{desk['id']}', process: 'workbench.worker', count: 2}}"
        begin(lab, f"zoe:{verb}-execution", arguments)
        if answer:
            lab.dialog.get_by_role("button", name=answer).click()
        expect_refusal(lab, f"Could not {verb} desk", WHY)
        lab.screenshot(artifacts, verb)
        lab.press("Escape")
        expect(lab.dialog).to_have_count(0)
    lab.expect_state("desk", "running")


def test_what_is_not_there_is_said_to_be_none(lab: Lab) -> None:
    lab.open()
    begin(lab, "zoe:open-execution", "{id: 'nothing-of-the-kind'}")
    expect_refusal(lab, "No execution nothing-of-the-kind", "nothing-of-the-kind")


def test_details_of_what_was_forgotten_elsewhere_say_so(
    lab: Lab, server: JupyterServer, desk: dict[str, Any], artifacts: Path
) -> None:
    gone = refusal("there is no execution of that id")
    lab.open()
    lab.show_panel()
    lab.expect_state("desk", "running")
    lab.page.route(re.compile(rf"/zoe/api/executions/{desk['id']}(\?|$)"), answering(gone, status=404))
    open_details(lab)
    server.ask(f"zoe/api/executions/{desk['id']}/stop", method="POST", body={})
    expect(lab.tab).to_contain_text("This execution is not there any more: there is no", timeout=SOON_MS)
    lab.screenshot(artifacts, "gone")


def test_a_page_that_cannot_be_opened_says_why(lab: Lab, desk: dict[str, Any], artifacts: Path) -> None:
    trusting(lab, desk, is_trusted=False)
    tickets = re.compile("/endpoints/[^/]+/ticket")
    lab.page.route(tickets, answering(refusal(WHY), status=507))
    tab = open_details(lab)
    expect(tab.locator(".zoe-Story")).to_be_visible(timeout=SOON_MS)  # Only now it is the record that is not trusted.
    tab.get_by_role("button", name="Open in a tab").click()
    expect_refusal(lab, "Could not open the page", WHY)
    lab.screenshot(artifacts, "page")
    lab.press("Escape")
    lab.page.unroute(tickets)
    lab.page.locator(".zoe-Page:visible jp-button", has=lab.page.locator('[data-icon="ui-components:refresh"]')).click()
    expect(lab.frame().get_by_text("Directory listing")).to_be_visible(timeout=SOON_MS)


def test_a_first_notebook_that_cannot_be_put_there_says_why(lab: Lab, home: JupyterHome, artifacts: Path) -> None:
    (home.work / "first-notebook.ipynb").unlink(missing_ok=True)

    def read_only(route: Route) -> None:
        if route.request.method == "PUT":
            route.fulfill(status=403, json={"message": "Permission denied: first-notebook.ipynb", "reason": None})
        else:
            route.continue_()

    lab.open()
    lab.page.route(re.compile("api/contents/first-notebook.ipynb"), read_only)
    lab.page.locator(".jp-LauncherCard", has_text="First notebook").click()
    expect_refusal(lab, "Could not open the first notebook", "Permission denied: first-notebook.ipynb")
    lab.screenshot(artifacts, "first-notebook")
    lab.press("Escape")
    expect(lab.page.locator(".jp-NotebookPanel")).to_have_count(0)


def test_a_failure_is_told_in_one_place(lab: Lab, server: JupyterServer, artifacts: Path) -> None:
    """The dialog of who wanted to attach to it takes the place of the notification."""
    item = open_notebook(lab)
    lab.show_panel()
    notebook = Notebook(lab)
    notebook.node.locator(".cm-content").first.fill(REFUSING.format(message="dask has ended: failed: it exited with 7"))
    notebook.run("UsageError")
    body = {"use": "workbench", "name": "dask", "parameters": {"fails": 7}}
    server.ask("zoe/api/executions", method="POST", body=body)
    notice = lab.page.locator(".Toastify__toast", has_text="dask has ended: failed")
    expect(notice).to_be_visible(timeout=SOON_MS)
    begin(lab, "zoe:attach-notebook", "{name: 'dask'}")
    expect_refusal(lab, "Could not connect to dask", "dask has ended: failed: it exited with 7")
    expect(notice).to_have_count(0, timeout=SOON_MS)
    lab.screenshot(artifacts, "one-place")
    lab.dialog.get_by_role("button", name="Close").click()
    expect(item).to_have_text("Connect")


def test_of_all_that_are_to_stop_those_that_cannot_are_named(lab: Lab, desk: dict[str, Any], artifacts: Path) -> None:
    lab.page.route(re.compile(f"/zoe/api/executions/{desk['id']}"), refusing)
    open_details(lab)
    lab.command("running:show-panel")
    lab.page.locator("#jp-running-sessions").get_by_text("Stop All").click()
    lab.dialog.locator(".jp-mod-accept").click()
    toast = lab.page.locator(".Toastify__toast", has_text=f"Could not stop desk: {WHY}")
    expect(toast).to_be_visible(timeout=SOON_MS)
    lab.screenshot(artifacts, "stop-all")
