"""What others wrote is shown as text: markup makes no elements and runs no script, escape sequences control nothing."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.e2e.lab import SOON_MS, Lab, Notebook
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("clean", "unharmed")]

HERE = Path(__file__).parent
MARKUP = "<img src=x onerror=zoeHarmed=1><script>zoeHarmed=2</script>"
README = f"""
# About {MARKUP}

<button data-commandlinker-command="launcher:create">press</button> <a href="javascript:zoeHarmed=3">go</a>
![far](http://far.example/a.png) <iframe src="http://far.example/b"></iframe> <video poster="http://far.example/c.png"></video>
<p style="background: url(http://far.example/d.png)" onmouseover="zoeHarmed=4">hover</p> <svg onload="zoeHarmed=5"></svg>
"""
LOGO = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" onload="zoeHarmed=6"><script>zoeHarmed=7</script><circle r="9"/></svg>'
CELL = """%load_ext zoe_jupyter
%zoe shop
%zoe start hostile --name bad --wait
%zoe info bad
%zoe logs bad
%zoe start hostile --help"""
ELEMENTS = (
    "[onerror], [onload], [onmouseover], [data-commandlinker-command], img[src=x], img[src^=http], .zoe-Readme iframe"
)
WRITTEN = {"title", "summary", "version", "text", "progress", "node", "notebook", "owner", "message", "mood", "purpose"}
"""Fields of the API's answers that carry what somebody wrote."""


@pytest.fixture
def hostile(home: JupyterHome) -> Iterator[None]:
    """An application of the shop that says the worst that a shop lets through."""
    folder = home.folder / "shop" / "hostile"
    folder.mkdir()
    shutil.copy(HERE / "hostile.yaml", folder / "framework.yaml")
    (folder / "README.md").write_text(README)
    (folder / "logo.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    yield
    shutil.rmtree(folder)


@pytest.fixture
def unharmed(lab: Lab) -> Iterator[None]:
    """No script ran, no element was made, and nothing was fetched from elsewhere."""
    asked: list[str] = []
    lab.page.on("request", lambda request: asked.append(request.url) if "far.example" in request.url else None)
    yield
    assert lab.page.evaluate("window.zoeHarmed") is None
    assert lab.page.locator(ELEMENTS).count() == 0
    assert asked == [], asked


@pytest.mark.usefixtures("hostile")
def test_an_application_of_the_shop_is_text_in_panel_form_menu_and_notebook(lab: Lab, artifacts: Path) -> None:
    lab.open()
    lab.page.route(re.compile("/logo$"), lambda route: route.fulfill(body=LOGO, content_type="image/svg+xml"))
    lab.command("notebook:create-new", "{kernelName: 'python3'}")
    notebook = Notebook(lab)
    notebook.wait_until_idle()
    card = lab.show_panel().locator(".zoe-Card", has_text=MARKUP)
    expect(card.locator(".zoe-Logo img")).to_be_visible(timeout=SOON_MS)
    notebook.node.locator(".zoe-Connect button").click()
    expect(lab.page.locator(".zoe-Menu")).to_contain_text(f"Start {MARKUP}", timeout=SOON_MS)
    lab.press("Escape")
    notebook.node.locator(".cm-content").first.fill(CELL)
    output = notebook.run("%load_ext")
    for part in ("shop", "mood", "red"):
        expect(output).to_contain_text(part)
    assert output.inner_text().count(MARKUP) > 6
    lab.screenshot(artifacts, "notebook")
    card.get_by_role("button", name="Start…").click()
    form = lab.tab.locator(".zoe-Launch")
    form.locator("summary", has_text="About").click()
    expect(form.locator(".zoe-Readme")).to_contain_text("hover", timeout=SOON_MS)
    expect(form.get_by_label(MARKUP).first).to_be_visible()
    form.get_by_label("Size").fill(MARKUP)
    expect(form.locator(".zoe-Field[data-wrong]")).to_be_visible(timeout=SOON_MS)
    lab.screenshot(artifacts, "form")
    lab.item("bad").locator(".zoe-Item-name").click()
    log = lab.tab.get_by_role("log")
    expect(log).to_contain_text(MARKUP, timeout=SOON_MS)
    expect(log.locator(".zoe-ansi-fg-red").first).to_have_text("red")
    assert "\x1b" not in log.inner_text()
    expect(lab.tab.get_by_role("region", name="Parameters")).to_contain_text(MARKUP)
    lab.screenshot(artifacts, "details")
    lab.tab.get_by_role("button", name="Open in a tab").click()
    expect(lab.page.locator(".lm-TabBar-tab", has_text=f"{MARKUP} (bad)")).to_be_visible(timeout=SOON_MS)


def test_whatever_the_server_says_is_text_in_every_state(
    lab: Lab, server: JupyterServer, home: JupyterHome, artifacts: Path
) -> None:
    server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "desk"})
    lab.page.route(re.compile(r"/zoe/api/(executions|shop|validate)(?!.*(logs|logo|usage))"), poisoned)
    lab.open()
    panel = lab.show_panel()
    item = panel.locator(".zoe-Item", has_text="desk")
    expect(item.locator('[data-look="running"]')).to_be_visible(timeout=SOON_MS)
    item.locator(".zoe-Item-name").click()
    expect_markup(lab.tab.locator(".zoe-Detail"), "h1", ".zoe-Table", ".zoe-Story", ".zoe-Facts", ".zoe-Rows")
    next(one for one in home.services() if "http.server" in " ".join(one.cmdline())).kill()
    expect(lab.page.locator(".Toastify__toast")).to_contain_text(MARKUP, timeout=SOON_MS)
    expect(lab.tab.get_by_role("alert")).to_contain_text(MARKUP)
    panel.get_by_role("button", name="Ended").click()
    expect(item.locator(".zoe-Item-telling")).to_contain_text(MARKUP)
    lab.screenshot(artifacts, "ended")
    item.get_by_role("button", name="Forget").click()
    expect(lab.dialog).to_contain_text(MARKUP)
    lab.dialog.get_by_role("button", name="Cancel").click()
    panel.locator(".zoe-Card", has_text="Workbench").get_by_role("button", name="Start…").click()
    form = lab.tab.locator(".zoe-Launch")
    form.get_by_label("Workers").last.fill("9")
    expect_markup(form, "h2", ".zoe-Problems", ".zoe-Field-label")
    lab.screenshot(artifacts, "form")


def expect_markup(host: Locator, *parts: str) -> None:
    for part in parts:
        expect(host.locator(part).first).to_contain_text(MARKUP, timeout=SOON_MS)


def poisoned(route: Route) -> None:
    """The server's answer with markup in every text that somebody wrote, names included."""
    answer = route.fetch()
    route.fulfill(response=answer, json=with_markup(answer.json()) if answer.text() else None)


def with_markup(value: Any, *, is_text: bool = False) -> Any:
    if isinstance(value, dict):
        is_execution = "state" in value and "lifetime" in value
        return {
            key: with_markup(one, is_text=key in WRITTEN or (key == "name" and is_execution))
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [with_markup(one) for one in value]
    return f"{value}{MARKUP}" if is_text and isinstance(value, str) else value
