"""What a notebook is attached to goes away, in part or as a whole, or is let go of elsewhere; and kernels that do not answer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, WebSocketRoute, expect

from tests.e2e.lab import ATTACH_MS, SOON_MS, Lab, Notebook, eventually
from tests.labextension.test_connect import choose, live, open_notebook
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer

pytestmark = [pytest.mark.browser, pytest.mark.page("kept"), pytest.mark.usefixtures("clean")]

MANY = 20_000
KERNEL_SOCKET = re.compile(r"/api/kernels/.*/channels")


def open_file(lab: Lab, server: JupyterServer, name: str, **metadata: Any) -> Locator:
    """A notebook that has a name of its own, so that it is saved without a question."""
    kernel = {"name": "python3", "display_name": "Python 3"}
    cell = {"cell_type": "code", "id": "one", "metadata": {}, "outputs": [], "execution_count": None, "source": ""}
    content = {"cells": [cell], "metadata": {"kernelspec": kernel, **metadata}, "nbformat": 4, "nbformat_minor": 5}
    server.ask(f"api/contents/{name}", method="PUT", body={"type": "notebook", "content": content})
    lab.open(f"lab/tree/{name}")
    notebook = Notebook(lab)
    notebook.wait_until_idle()
    return notebook.node.locator(".zoe-Connect")


def act(server: JupyterServer, execution_id: str, verb: str) -> None:
    """As from a terminal."""
    server.ask(f"zoe/api/executions/{execution_id}/{verb}", method="POST", body={})


def write(notebook: Notebook, code: str) -> None:
    """Into the first cell."""
    notebook.node.locator(".cm-content").first.fill(code)


@pytest.mark.dask
def test_a_worker_that_is_replaced_is_no_loss_but_the_scheduler_is(
    lab: Lab, server: JupyterServer, home: JupyterHome, artifacts: Path
) -> None:
    item = open_notebook(lab)
    choose(lab, item, "Start Dask")
    expect(item).to_have_text("dask · running", timeout=ATTACH_MS)
    (one,) = live(server)
    before = attempts(server, one["id"])
    next(process for process in home.services() if "dask.worker-0" in process.cmdline()).kill()
    eventually("it is replaced", lambda: is_replaced(server, one["id"], before), timeout_s=ATTACH_MS / 1000)
    notebook = Notebook(lab)
    write(notebook, "print(client.submit(lambda: 6 * 7).result())")
    outputs = notebook.run("client.submit", timeout_ms=ATTACH_MS)
    expect(outputs).to_have_text("42")
    expect(item).to_have_text("dask · running")
    lab.screenshot(artifacts, "replaced")
    next(process for process in home.services() if "distributed.cli.dask_scheduler" in process.cmdline()).kill()
    expect(item).to_have_text("dask · failed", timeout=SOON_MS)
    expect(outputs).to_have_text("42")


def attempts(server: JupyterServer, execution_id: str) -> dict[str, int]:
    found = server.ask(f"zoe/api/executions/{execution_id}")
    return {service["name"]: service["attempt"] for service in found["services"]}


def is_replaced(server: JupyterServer, execution_id: str, before: dict[str, int]) -> bool:
    state = server.ask(f"zoe/api/executions/{execution_id}")["state"]
    return bool(state == "running" and attempts(server, execution_id) != before)


def test_of_two_the_one_that_was_restarted_is_offered_in_the_menu(
    lab: Lab, server: JupyterServer, artifacts: Path
) -> None:
    item = open_notebook(lab)
    notebook = Notebook(lab)
    write(notebook, "%load_ext zoe_jupyter\n%zoe attach line --name left\n%zoe attach line --name right --as other")
    notebook.run("attach line", timeout_ms=2 * ATTACH_MS)
    expect(item).to_have_text("right · running and 1 more", timeout=SOON_MS)
    left = next(one for one in live(server) if one["name"] == "left")
    before = attempts(server, left["id"])
    act(server, left["id"], "restart")
    expect(item).to_have_text("right · running", timeout=ATTACH_MS)
    eventually("it runs again", lambda: is_replaced(server, left["id"], before), timeout_s=60)
    item.get_by_role("button").last.click()
    again = lab.page.locator(".zoe-Menu .lm-Menu-item", has_text="Reconnect left")
    expect(again).to_be_visible(timeout=SOON_MS)
    lab.screenshot(artifacts, "one-left")
    again.click()
    expect(item).to_contain_text("and 1 more", timeout=ATTACH_MS)
    assert {one["id"] for one in live(server)} >= {left["id"]}


def test_what_a_cell_suspends_and_resumes_is_connected_again_by_one_click(lab: Lab, server: JupyterServer) -> None:
    item = open_notebook(lab)
    choose(lab, item, "Start Line")
    expect(item).to_have_text("line · running", timeout=ATTACH_MS)
    (one,) = live(server)
    notebook = Notebook(lab)
    write(notebook, f"%zoe suspend {one['id']}\n%zoe resume {one['id']}")
    notebook.run("suspend", timeout_ms=ATTACH_MS)
    item.get_by_role("button", name="Reconnect line").click(timeout=ATTACH_MS)
    expect(item).to_have_text("line · running", timeout=ATTACH_MS)
    assert [again["id"] for again in live(server)] == [one["id"]]


@pytest.mark.page("fresh")
def test_what_is_let_go_of_twice_or_in_another_tab_is_let_go_of(lab: Lab, server: JupyterServer) -> None:
    item = open_file(lab, server, "twice.ipynb")
    choose(lab, item, "Start Line")
    expect(item).to_have_text("line · running", timeout=ATTACH_MS)
    (one,) = live(server)
    lab.command("docmanager:save")
    other = lab.page.context.new_page()
    other.goto(f"{lab.page.url.partition('/lab')[0]}/doc/tree/twice.ipynb?token={server.token}")
    second = other.locator(".zoe-Connect")
    expect(second).to_have_text("line · running", timeout=ATTACH_MS)
    name = json.dumps({"name": one["id"]})
    lab.page.evaluate(
        f"for (const turn of [1, 2]) void window.jupyterapp.commands.execute('zoe:detach-notebook', {name})"
    )
    expect(item).to_have_text("Connect", timeout=SOON_MS)
    expect(second).to_have_text("Connect", timeout=SOON_MS)
    expect(lab.dialog).to_have_count(0)
    other.close()


@pytest.mark.page("fresh")
def test_a_notebook_that_claims_thousands_of_attachments_harms_nobody(lab: Lab, server: JupyterServer) -> None:
    found = server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "desk"})
    held = [{"id": found["id"], "name": f"n{number}" + "x" * 1000} for number in range(MANY)]
    item = open_file(lab, server, "claims.ipynb", zoe={"attached": held})
    expect(item).to_contain_text("Reconnect n", timeout=ATTACH_MS)
    item.get_by_role("button").last.click()
    expect(lab.page.locator(".zoe-Menu")).to_be_visible(timeout=SOON_MS)
    assert lab.page.locator(".zoe-Menu .lm-Menu-item").count() < 100


@pytest.mark.page("fresh")
def test_a_kernel_that_does_not_answer_is_given_up_and_one_that_goes_is_replaced(
    lab: Lab, server: JupyterServer, artifacts: Path
) -> None:
    """As in the seconds in which a server comes back."""
    item = open_file(lab, server, "silent.ipynb")
    choose(lab, item, "Start Line")
    expect(item).to_have_text("line · running", timeout=ATTACH_MS)
    (one,) = live(server)
    lab.command("docmanager:save")
    is_held = True

    def hold(socket: WebSocketRoute) -> None:
        if not is_held:
            socket.connect_to_server()

    lab.page.route_web_socket(KERNEL_SOCKET, hold)
    lab.reload()
    item.get_by_role("button", name="Reconnect line").click(timeout=ATTACH_MS)
    expect(item).to_have_text("Connecting…", timeout=SOON_MS)
    choose(lab, item, "Cancel")
    expect(item).to_have_text("Reconnect line", timeout=SOON_MS)
    item.get_by_role("button", name="Reconnect line").click()
    expect(item).to_have_text("Connecting…", timeout=SOON_MS)
    lab.screenshot(artifacts, "held")
    is_held = False
    for session in server.ask("api/sessions"):
        server.ask(f"api/sessions/{session['id']}", method="DELETE")
    expect(Notebook(lab).node).to_contain_text("No Kernel", timeout=ATTACH_MS)
    item.get_by_role("button", name="Reconnect line").click(timeout=ATTACH_MS)
    expect(item).to_have_text("line · running", timeout=ATTACH_MS)
    assert [again["id"] for again in live(server)] == [one["id"]]
    # What JupyterLab's own debugger says of a dead kernel.
    lab.problems[:] = [problem for problem in lab.problems if problem != "Kernel is dead"]
