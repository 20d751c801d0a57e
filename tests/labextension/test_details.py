"""The tab about one execution: what it shows, and what may be done there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.e2e.lab import SOON_MS, Lab, Notebook, eventually
from tests.labextension.kept import LAUNCHER_HAS_FOCUS
from zoe_jupyter.testing.jupyter_home import JupyterServer

pytestmark = [pytest.mark.browser, pytest.mark.page("kept"), pytest.mark.usefixtures("clean")]


def open_details(lab: Lab, *, look: str = "running") -> Locator:
    lab.open()
    lab.page.wait_for_function(LAUNCHER_HAS_FOCUS)
    lab.show_panel()
    lab.expect_state("desk", look)
    lab.item("desk").locator(".zoe-Item-name").click()
    expect(lab.tab.locator(".zoe-Detail-head h1")).to_have_text("desk", timeout=SOON_MS)
    return lab.tab


def mark(tab: Locator) -> Locator:
    return tab.locator(".zoe-Detail-head .zoe-Mark")


@pytest.mark.usefixtures("desk")
def test_the_log_keeps_colours_and_no_markup_and_can_be_searched_held_and_saved(lab: Lab, artifacts: Path) -> None:
    tab = open_details(lab)
    log = tab.get_by_role("log")
    expect(log.locator(".zoe-ansi-fg-red")).to_have_text("red", timeout=SOON_MS)
    expect(log).to_contain_text("plain <b>no markup</b>")
    expect(log.locator("b")).to_have_count(0)
    expect(log).to_contain_text("100%")
    expect(log).not_to_contain_text("10%\n")
    expect(log).to_contain_text("tick 3", timeout=SOON_MS)
    tab.get_by_role("button", name="Pause").click()
    lines = log.locator(".zoe-Log-line").count()
    expect(tab.get_by_role("button", name=re.compile(r"Follow \(\d+ new"))).to_be_visible(timeout=SOON_MS)
    assert log.locator(".zoe-Log-line").count() == lines
    tab.get_by_label("Search the log").fill("NO MARKUP")
    expect(tab.locator(".zoe-Logs-search")).to_contain_text("of 1")
    lab.press("Enter")
    expect(log.locator(".zoe-mod-current")).to_contain_text("no markup")
    lab.screenshot(artifacts, "search")
    tab.get_by_role("button", name=re.compile("Follow")).click()
    expect(tab.get_by_role("button", name="Pause")).to_be_visible()
    tab.get_by_role("button", name="Wrap").click()
    expect(tab.get_by_role("button", name="Wrap")).to_have_attribute("aria-pressed", "false")
    with lab.page.expect_download() as download:
        tab.get_by_role("button", name="Download the whole log").click()
    assert download.value.suggested_filename == "desk-workbench.head-0.log"
    assert "tick 0" in Path(download.value.path()).read_text()


def test_a_flood_of_lines_stays_bounded(lab: Lab, desk: dict[str, Any]) -> None:
    def flood(route: Route) -> None:
        route.fulfill(body="".join(f"line {number}\n" for number in range(12_000)), content_type="text/plain")

    lab.page.route(re.compile(f"{desk['id']}/logs"), flood)
    tab = open_details(lab)
    expect(tab.get_by_role("log")).to_contain_text("line 11999", timeout=SOON_MS)
    assert tab.locator(".zoe-Log-line").count() == 5000
    expect(tab).to_contain_text("End of the log; the last 5000 lines")


def test_a_log_that_breaks_off_is_followed_again(lab: Lab, desk: dict[str, Any]) -> None:
    logs = re.compile(f"{desk['id']}/logs")
    lab.page.route(logs, lambda route: route.abort())
    tab = open_details(lab)
    expect(tab).to_contain_text("The log was interrupted; connecting again…", timeout=SOON_MS)
    lab.page.unroute(logs)
    expect(tab.get_by_role("log")).to_contain_text("tick 0", timeout=SOON_MS)


@pytest.mark.usefixtures("desk")
def test_it_is_scaled_there_and_in_the_panel(lab: Lab, artifacts: Path) -> None:
    tab = open_details(lab)
    tab.get_by_role("button", name="One more").click()
    expect(tab.locator(".zoe-Table")).to_contain_text("workbench.worker-1", timeout=SOON_MS)
    expect(tab.locator(".zoe-Scale")).to_contain_text("running; 1 to", timeout=SOON_MS)
    lab.item("desk").get_by_role("button", name="Scale desk").click()
    expect(lab.dialog.get_by_role("spinbutton")).to_be_focused()
    lab.dialog.get_by_role("spinbutton").fill("1")
    lab.screenshot(artifacts, "scale")
    lab.press("Enter")
    expect(tab.get_by_role("spinbutton", name="Number of workbench.worker")).to_have_value("1", timeout=SOON_MS)


@pytest.mark.usefixtures("desk")
def test_it_is_suspended_resumed_restarted_stopped_and_forgotten(lab: Lab, artifacts: Path) -> None:
    tab = open_details(lab)
    tab.get_by_role("button", name="Suspend…").click()
    lab.dialog.get_by_role("button", name="Suspend").click()
    expect(mark(tab)).to_contain_text("suspended", timeout=SOON_MS)
    lab.show_panel()
    expect(lab.panel.get_by_role("button", name="Resume")).to_be_visible()
    lab.screenshot(artifacts, "suspended")
    tab.get_by_role("button", name="Resume").click()
    expect(mark(tab)).to_contain_text("running", timeout=SOON_MS)
    tab.get_by_role("button", name="Restart…").click()
    lab.dialog.get_by_role("button", name="Cancel").click()
    tab.get_by_role("button", name="Restart…").click()
    lab.dialog.get_by_role("button", name="Restart").click()
    expect(mark(tab)).to_contain_text("starting", timeout=SOON_MS)
    expect(mark(tab)).to_contain_text("running", timeout=SOON_MS)
    tab.get_by_role("button", name="Stop…").click()
    lab.dialog.get_by_role("button", name="Stop").click()
    expect(mark(tab)).to_contain_text("stopped", timeout=SOON_MS)
    expect(lab.page.locator(".lm-TabBar-tab", has_text="desk (stopped)")).to_be_visible()
    expect(tab.locator('.zoe-Table .zoe-Mark[data-look="stopped"]')).to_have_count(2)
    tab.get_by_role("button", name="Forget…").click()
    lab.dialog.get_by_role("button", name="Forget").click()
    expect(tab).to_contain_text("This execution was forgotten.", timeout=SOON_MS)


@pytest.mark.parametrize("news", ["started again", "forgotten"])
def test_a_failure_is_told_until_it_is_no_news(lab: Lab, server: JupyterServer, news: str) -> None:
    lab.open()
    lab.show_panel()
    expect(lab.panel.get_by_text("Nothing is running")).to_be_visible(timeout=SOON_MS)
    body = {"use": "workbench", "name": "desk", "parameters": {"fails": 7}}
    found = server.ask("zoe/api/executions", method="POST", body=body)
    notice = lab.page.locator(".Toastify__toast", has_text="desk has ended: failed")
    expect(notice).to_be_visible(timeout=60_000)
    if news == "forgotten":
        server.ask(f"zoe/api/executions/{found['id']}", method="DELETE")
    else:
        server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "desk"})
    expect(notice).to_have_count(0, timeout=SOON_MS)


def test_one_that_fails_is_told_of_with_its_reason(lab: Lab, server: JupyterServer, artifacts: Path) -> None:
    lab.open()
    lab.show_panel()
    expect(lab.panel.get_by_text("Nothing is running")).to_be_visible(timeout=SOON_MS)
    body = {"use": "workbench", "name": "desk", "parameters": {"fails": 7}}
    server.ask("zoe/api/executions", method="POST", body=body)
    notice = lab.page.locator(".Toastify__toast", has_text="desk has ended: failed")
    expect(notice).to_be_visible(timeout=60_000)
    lab.page.screenshot(path=artifacts / "told.png")  # One that ends all animations would end the notification's time.
    notice.get_by_role("button", name="Details").click()
    expect(mark(lab.tab)).to_contain_text("failed")
    expect(lab.tab.get_by_role("alert")).to_contain_text("7")
    expect(lab.tab.locator(".zoe-Table")).to_contain_text("7")
    lab.panel.get_by_role("button", name="Ended").click()
    lab.expect_state("desk", "failed")
    lab.item("desk").get_by_role("button", name="Forget desk").click()
    lab.dialog.get_by_role("button", name="Forget").click()
    expect(lab.item("desk")).to_have_count(0, timeout=SOON_MS)
    lab.screenshot(artifacts, "forgotten")


@pytest.mark.usefixtures("desk")
def test_cpu_and_memory_can_be_read_by_keyboard(lab: Lab, artifacts: Path) -> None:
    tab = open_details(lab)
    memory = lab.page.get_by_role("img", name=re.compile("Memory over time"))
    expect(memory).to_be_visible(timeout=SOON_MS)
    legend = tab.locator(".zoe-Chart", has=memory).locator(".zoe-Legend")
    expect(legend).to_contain_text("workbench.head-0")
    expect(legend).to_contain_text("highest")
    memory.focus()
    lab.press("ArrowLeft", times=2)
    expect(tab.locator(".zoe-Chart-cursor")).to_have_count(1)
    expect(legend).not_to_contain_text("highest")
    lab.screenshot(artifacts, "usage")
    lab.press("Escape")
    expect(legend).to_contain_text("highest")


def test_use_is_asked_for_only_while_it_is_seen(lab: Lab, desk: dict[str, Any]) -> None:
    asked: list[str] = []
    lab.page.on("request", lambda request: asked.append(request.url) if f"{desk['id']}/usage" in request.url else None)
    open_details(lab)
    eventually("it is asked for", lambda: bool(lab.page.wait_for_timeout(100) or len(asked) > 1))
    lab.command("launcher:create")
    expect(lab.page.locator(".jp-Launcher:visible")).to_have_count(1)
    lab.page.wait_for_timeout(500)
    before = len(asked)
    lab.page.wait_for_timeout(4500)
    assert len(asked) == before


def trusting(lab: Lab, execution: dict[str, Any], *, is_trusted: bool) -> None:
    """As if the source of the shop from which it came were one that is trusted, or not."""

    def trust(route: Route) -> None:
        answer = route.fetch()
        record = answer.json()
        for endpoint in record.get("endpoints", ()):
            endpoint["is_trusted"] = is_trusted
        route.fulfill(response=answer, json=record)

    lab.page.route(re.compile(rf"/zoe/api/executions/{execution['id']}(\?|$)"), trust)


@pytest.mark.parametrize("is_trusted", [True, False])
def test_a_page_opens_in_a_tab_with_as_much_trust_as_it_has(lab: Lab, desk: dict[str, Any], is_trusted: bool) -> None:
    trusting(lab, desk, is_trusted=is_trusted)
    tab = open_details(lab)
    tab.get_by_role("button", name="Open in a tab").click()
    frame = lab.page.locator(".zoe-Page iframe")
    expect(frame).to_have_attribute("sandbox", re.compile("allow-scripts"))
    assert ("allow-same-origin" in str(frame.get_attribute("sandbox"))) is is_trusted
    expect(frame).to_have_attribute("src", re.compile("/zoe/at/" if is_trusted else "/zoe/ticket/"))
    expect(lab.frame().get_by_text("Directory listing")).to_be_visible(timeout=SOON_MS)


@pytest.mark.page("fresh")
@pytest.mark.usefixtures("desk")
def test_a_link_in_an_output_leads_to_the_server_by_the_name_that_the_browser_has_for_it(lab: Lab) -> None:
    lab.server = replaced(lab.server, "localhost", "127.0.0.1")
    lab.open()
    lab.command("notebook:create-new", "{kernelName: 'python3'}")
    notebook = Notebook(lab)
    notebook.wait_until_idle()
    cell = notebook.node.locator(".jp-CodeCell").first
    cell.locator(".cm-content").fill("%load_ext zoe_jupyter\n%zoe open desk")
    lab.command("notebook:run-cell")
    link = cell.get_by_role("link")
    expect(link).to_have_text(re.compile("^/zoe/at/"), timeout=SOON_MS)
    with lab.page.expect_popup() as popup:
        link.click()
    expect(popup.value.get_by_text("Directory listing")).to_be_visible(timeout=SOON_MS)
    assert popup.value.url.startswith(lab.server.url)


def replaced(server: JupyterServer, name: str, other: str) -> JupyterServer:
    return JupyterServer(server.process, server.log, url=server.url.replace(name, other), token=server.token)


@pytest.mark.page("fresh")
def test_tabs_come_back_with_the_page(lab: Lab, server: JupyterServer, desk: dict[str, Any]) -> None:
    open_details(lab)
    eventually("Lab saves its layout", lambda: desk["id"] in server.read("lab/api/workspaces").decode(), timeout_s=60)
    lab.page.goto(f"{server.url}lab")
    lab.wait_until_restored()
    expect(lab.tab.locator(".zoe-Detail-head h1")).to_have_text("desk", timeout=SOON_MS)


@pytest.mark.usefixtures("desk")
def test_it_is_among_what_runs_in_jupyter(lab: Lab, artifacts: Path) -> None:
    open_details(lab)
    lab.command("running:show-panel")
    running = lab.page.locator("#jp-running-sessions")
    expect(running).to_contain_text("Zoe executions")
    expect(running).to_contain_text("desk (running)")
    lab.screenshot(artifacts, "running")
