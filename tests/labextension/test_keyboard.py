"""An execution is looked after by keyboard alone: its log, its number of workers, its pages, its end, and a notebook's connection."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.lab import ATTACH_MS, SOON_MS, Lab, Notebook
from tests.labextension.kept import LAUNCHER_HAS_FOCUS
from tests.labextension.test_forms import until_focused
from zoe_jupyter.testing.jupyter_home import JupyterServer

pytestmark = [pytest.mark.browser, pytest.mark.page("kept"), pytest.mark.usefixtures("clean")]

IN_THE_PALETTE = """() => {
    const lines = [...document.querySelectorAll('.lm-CommandPalette-content > li')];
    const first = lines.findIndex(line => line.matches('.lm-CommandPalette-header') && line.textContent === 'Zoe') + 1;
    const count = lines.slice(first).findIndex(line => line.matches('.lm-CommandPalette-header'));
    const ours = lines.slice(first, count < 0 ? undefined : first + count);
    return ours.map(line => line.querySelector('.lm-CommandPalette-itemLabel').textContent);
}"""


def command(lab: Lab, text: str) -> None:
    """As the palette finds it."""
    lab.press("Control+Shift+C")
    expect(lab.page.locator(".lm-CommandPalette-input")).to_be_focused()
    lab.page.keyboard.type(text)
    expect(lab.page.locator(".lm-CommandPalette-item.lm-mod-active")).to_contain_text(re.compile(text, re.IGNORECASE))
    lab.press("Enter")


def test_log_scale_pages_and_end(lab: Lab, server: JupyterServer, artifacts: Path) -> None:
    server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "desk"})
    lab.open()
    lab.page.wait_for_function(LAUNCHER_HAS_FOCUS)
    command(lab, "Show Logs of Execution")
    expect(lab.dialog).to_contain_text("Which execution?", timeout=SOON_MS)
    lab.press("Enter")
    tab = lab.tab
    expect(tab.get_by_role("log")).to_contain_text("tick 1", timeout=SOON_MS)

    until_focused(lab, tab.get_by_label("Search the log"), steps=80)
    lab.page.keyboard.type("tick 1")
    lab.press("Enter")
    expect(tab.locator(".zoe-Logs-search")).to_contain_text(re.compile(r"\d+ of \d+"))
    current = tab.locator(".zoe-Log .zoe-mod-current")
    expect(current).to_have_text("tick 1")
    until_focused(lab, tab.get_by_role("button", name=re.compile("^Follow")))
    lab.screenshot(artifacts, "log")
    lab.press("Space")
    expect(tab.get_by_role("button", name="Pause")).to_be_visible()
    expect(current).to_have_text("tick 1")
    until_focused(lab, tab.get_by_role("log"))

    until_focused(lab, tab.get_by_role("button", name="One more"), steps=80)
    lab.press("Enter")
    expect(tab.locator(".zoe-Table")).to_contain_text("workbench.worker-1", timeout=SOON_MS)
    until_focused(lab, tab.get_by_role("button", name="workbench.worker-1"))
    lab.press("Enter")
    expect(tab.get_by_label("Service", exact=True)).to_have_value("workbench.worker-1")

    command(lab, "Open Page of Execution")
    expect(lab.dialog).to_contain_text("Which execution?", timeout=SOON_MS)
    lab.press("Enter")
    expect(lab.frame().get_by_text("Directory listing")).to_be_visible(timeout=SOON_MS)
    command(lab, "Stop Execution")
    lab.press("Enter")
    expect(lab.dialog).to_contain_text("Stop desk?", timeout=SOON_MS)
    lab.press("Enter")
    lab.show_panel()
    expect(lab.panel.get_by_text("Nothing is running")).to_be_visible(timeout=SOON_MS)


def test_the_palette_lists_what_begins_first_and_what_ends_last(lab: Lab, artifacts: Path) -> None:
    lab.open()
    lab.page.wait_for_function(LAUNCHER_HAS_FOCUS)  # Else it takes the focus from the palette, which closes then.
    lab.show_panel()
    expect(lab.panel.locator(".zoe-Card").first).to_be_visible(timeout=SOON_MS)
    lab.press("Control+Shift+C")
    expect(lab.page.locator(".lm-CommandPalette-input")).to_be_focused(timeout=SOON_MS)
    expect(lab.page.locator(".lm-CommandPalette-item", has_text="Start Workbench")).to_be_attached(timeout=SOON_MS)
    found = lab.page.evaluate(IN_THE_PALETTE)
    assert found[:3] == ["Zoe: Show the Panel", "Zoe: Open the Shop", "Zoe: Open the First Notebook"]
    verbs = ("Start Workbench…", "Open Execution…", "Scale Execution…", "Stop Execution…", "Load Everything Again")
    wanted = [f"Zoe: {verb}" for verb in verbs]
    assert [label for label in found if label in wanted] == wanted
    lab.page.keyboard.type("zoe")
    labels = lab.page.locator(".lm-CommandPalette-item .lm-CommandPalette-itemLabel")
    expect(labels.first).to_have_text("Zoe: Show the Panel")
    ours = [label for label in labels.all_text_contents() if label.startswith("Zoe: ")]
    assert ours[:3] == found[:3]
    assert [label for label in ours if label in wanted] == wanted
    lab.screenshot(artifacts, "zoe")
    lab.page.keyboard.type(" open the shop")
    expect(labels).to_have_text(["Zoe: Open the Shop"])
    lab.press("Enter")
    expect(lab.panel.get_by_label("Search the shop")).to_be_focused(timeout=SOON_MS)


def test_a_notebook_is_connected_and_taken_off_again(lab: Lab, artifacts: Path) -> None:
    lab.open()
    lab.command("notebook:create-new", "{kernelName: 'python3'}")
    notebook = Notebook(lab)
    notebook.wait_until_idle()
    item = notebook.node.locator(".zoe-Connect")
    command(lab, "Attach Notebook to")
    expect(lab.dialog).to_contain_text("Attach the notebook to", timeout=SOON_MS)
    until_focused(lab, lab.dialog.locator("select"))
    lab.page.keyboard.type("Start Line")
    lab.screenshot(artifacts, "attach")
    lab.press("Enter")
    expect(item).to_contain_text("line · running", timeout=ATTACH_MS)
    command(lab, "Detach Notebook")
    expect(item).to_contain_text("Connect", timeout=SOON_MS)
