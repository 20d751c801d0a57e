"""The form that starts an application: drawn from its schema, checked by the server, and usable by keyboard alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.e2e.lab import ATTACH_MS, SOON_MS, Lab, Notebook
from tests.labextension.kept import LAUNCHER_HAS_FOCUS
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer

pytestmark = [pytest.mark.browser, pytest.mark.page("kept"), pytest.mark.usefixtures("clean")]


def open_form(lab: Lab) -> Locator:
    lab.open()
    lab.command("zoe:start-application", "{entry: 'workbench'}")
    form = lab.tab.locator(".zoe-Launch")
    expect(form.get_by_label("Workers", exact=True).last).to_be_visible(timeout=SOON_MS)
    return form


def command(form: Locator) -> Locator:
    return form.locator(".zoe-Equivalent .zoe-Code")


def test_every_kind_of_parameter_can_be_chosen_and_is_started_with(
    lab: Lab, server: JupyterServer, artifacts: Path
) -> None:
    form = open_form(lab)
    expect(command(form)).to_have_text("%zoe start workbench")
    form.get_by_label("Workers", exact=True).last.fill("2")
    form.get_by_label("Memory", exact=True).fill("96")
    form.get_by_label("Password").fill("hunter2")
    form.get_by_label("Loud").check()
    form.locator("summary", has_text="Advanced").click()
    form.get_by_label("Mood").select_option("wild")
    form.get_by_role("group", name="Labels").get_by_role("button", name="Add").click()
    form.get_by_role("group", name="Labels").locator("input").fill("one")
    form.get_by_role("group", name="Pairs").get_by_role("button", name="Add").click()
    form.get_by_role("group", name="Pairs").get_by_label("Name", exact=True).fill("key")
    form.get_by_role("group", name="Pairs").locator("input").last.fill("value")
    form.get_by_label("Name", exact=True).first.fill("desk")
    form.get_by_label("Runs").select_option("forever")
    for part in ("--workers 2", "--memory 96MiB", "--is-loud true", "--mood wild", "--name desk", "--keep"):
        expect(command(form)).to_contain_text(part)
    expect(command(form)).to_contain_text("--password …")
    expect(command(form)).not_to_contain_text("hunter2")
    expect(form.locator(".zoe-Check")).to_contain_text("Reserves 0.2 cores, 160 MiB", timeout=SOON_MS)
    expect(form.locator(".zoe-Check")).to_contain_text("Fits now")
    lab.screenshot(artifacts, "form")
    form.get_by_role("button", name="Start", exact=True).click()
    expect(lab.tab.locator(".zoe-Detail-head h1")).to_have_text("desk", timeout=SOON_MS)
    found = server.ask("zoe/api/executions/desk")
    wanted = {
        "workers": 2, "memory": "96MiB", "password": "***", "is_loud": True, "mood": "wild", "labels": ["one"], "pairs": {"key": "value"},
    }  # fmt: skip
    assert {name: found["parameters"][name] for name in wanted} == wanted
    assert found["lifetime"]["after_s"] is None
    expect(lab.page.locator(".lm-TabBar-tab", has_text="Start Workbench")).to_have_count(0)


def test_what_is_wrong_is_said_at_its_field_also_behind_the_fold(lab: Lab, artifacts: Path) -> None:
    form = open_form(lab)
    form.get_by_label("Workers", exact=True).last.fill("9")
    wrong = form.locator(".zoe-Field[data-wrong]")
    expect(wrong).to_contain_text(re.compile("9 is more than the maximum of 4"), timeout=SOON_MS)
    expect(form.locator(".zoe-Check")).to_contain_text("It cannot be started like this")
    form.get_by_label("Workers", exact=True).last.fill("1")
    expect(wrong).to_have_count(0, timeout=SOON_MS)
    form.locator("summary", has_text="Advanced").click()
    form.get_by_label("Fails with").fill("1000")
    form.locator("summary", has_text="Advanced").click()
    expect(form.locator(".zoe-Advanced .zoe-Field[data-wrong]")).to_be_visible(timeout=SOON_MS)
    lab.screenshot(artifacts, "wrong")
    form.locator("h2").scroll_into_view_if_needed()
    form.get_by_role("button", name="Start", exact=True).click()
    expect(form.get_by_label("Fails with")).to_be_focused(timeout=SOON_MS)
    expect(form.get_by_label("Fails with")).to_be_in_viewport(ratio=1)
    expect(form.locator(".zoe-Check")).to_contain_text("What is wrong is said at the fields.")
    expect(form.locator(".zoe-Launch-verdict")).to_have_text("Something is wrong")
    lab.screenshot(artifacts, "refused")


def test_when_it_is_its_turn_can_be_said_and_is_told(lab: Lab, server: JupyterServer, artifacts: Path) -> None:
    form = open_form(lab)
    form.locator("summary", has_text="Priority and time").click()
    form.get_by_label("Priority").fill("vip")
    form.get_by_label("Begins").fill("soon")
    wrong = form.locator(".zoe-Field[data-wrong]")
    expect(wrong).to_have_count(2, timeout=SOON_MS)
    expect(wrong.first).to_contain_text("no priority class; there are interactive, batch, filler")
    expect(wrong.last).to_contain_text("is no moment; write 2030-01-31T18:30, 18:30 or +2h")
    lab.screenshot(artifacts, "wrong")
    form.get_by_label("Priority").fill("filler")
    form.get_by_label("Takes about").fill("90m")
    form.get_by_label("Begins").fill("+2h")
    form.get_by_label("Name", exact=True).first.fill("later")
    expect(command(form)).to_have_text("%zoe start workbench --name later --priority filler --estimate 90m --begin +2h")
    expect(wrong).to_have_count(0, timeout=SOON_MS)
    expect(form.locator(".zoe-Check")).to_contain_text("it begins in", timeout=SOON_MS)
    form.get_by_role("button", name="Start", exact=True).click()
    expect(lab.tab).to_contain_text("Number 1 in the queue", timeout=SOON_MS)
    expect(lab.tab).to_contain_text("filler, takes 1 h 30 min, not before ")
    lab.screenshot(artifacts, "waits")
    found = server.ask("zoe/api/executions/later")
    assert (found["priority"], found["estimate_s"], found["is_assumed"]) == ("filler", 5400, False)


def test_one_begins_at_the_first_field_and_starting_is_always_in_sight(lab: Lab, artifacts: Path) -> None:
    lab.page.set_viewport_size({"width": 1280, "height": 657})
    form = open_form(lab)
    expect(form.locator('input[type="range"]')).to_be_focused(timeout=SOON_MS)
    start = form.get_by_role("button", name="Start", exact=True)
    verdict = form.locator(".zoe-Launch-verdict")
    expect(verdict).to_have_text("Fits now", timeout=SOON_MS)
    usual = "As usual: until it is stopped or its program ends"
    expect(form.get_by_label("Runs").locator("option").first).to_have_text(usual)
    form.locator("summary", has_text="Advanced").click()
    for place in (form.locator("h2"), form.get_by_label("Name", exact=True).first, form.locator(".zoe-Equivalent")):
        place.scroll_into_view_if_needed()
        expect(start).to_be_in_viewport(ratio=1)
        expect(verdict).to_be_in_viewport(ratio=1)
    form.locator("h2").scroll_into_view_if_needed()
    lab.screenshot(artifacts, "low")
    start.click()
    expect(lab.tab.locator(".zoe-Detail-head h1")).to_have_text("workbench", timeout=SOON_MS)


def test_nothing_is_wrong_before_anything_is_typed(lab: Lab, artifacts: Path) -> None:
    """A Python job needs a program: what it lacks is said, and not as an error."""
    lab.open()
    lab.command("zoe:start-application", "{entry: 'python-job'}")
    form = lab.tab.locator(".zoe-Launch")
    check = form.locator(".zoe-Check")
    expect(check).to_contain_text("Something is to be filled in first", timeout=SOON_MS)
    expect(check).to_contain_text("give exactly one of script, code and module")
    expect(form.get_by_role("alert")).to_have_count(0)
    lab.screenshot(artifacts, "untouched")
    form.get_by_label("Code", exact=True).fill("print(1)")
    expect(check).to_contain_text("Fits now", timeout=SOON_MS)
    form.get_by_label("Script", exact=True).fill("a.py")
    expect(check.get_by_role("alert")).to_contain_text("It cannot be started like this", timeout=SOON_MS)
    expect(check).to_contain_text("give exactly one of script, code and module")


def test_who_starts_it_empty_is_told_so(lab: Lab) -> None:
    lab.open()
    lab.command("zoe:start-application", "{entry: 'python-job'}")
    form = lab.tab.locator(".zoe-Launch")
    expect(form.locator(".zoe-Check")).to_contain_text("Something is to be filled in first", timeout=SOON_MS)
    form.get_by_role("button", name="Start", exact=True).click()
    expect(form.get_by_role("alert")).to_contain_text("give exactly one of script, code and module", timeout=SOON_MS)


def test_a_name_that_cannot_be_is_refused_in_words(lab: Lab, artifacts: Path) -> None:
    form = open_form(lab)
    form.get_by_label("Name", exact=True).first.fill("no such/name!")
    form.get_by_role("button", name="Start", exact=True).click()
    expect(form).to_contain_text(re.compile("name", re.IGNORECASE), timeout=SOON_MS)
    expect(form.locator("[role=alert], .zoe-Problems li").first).to_be_visible(timeout=SOON_MS)
    lab.screenshot(artifacts, "refused")


def test_it_is_started_by_keyboard_alone(lab: Lab, server: JupyterServer, artifacts: Path) -> None:
    lab.open()
    lab.page.wait_for_function(LAUNCHER_HAS_FOCUS)
    lab.press("Control+Shift+C")
    lab.page.keyboard.type("zoe panel")
    lab.press("Enter")
    expect(lab.panel).to_be_focused(timeout=SOON_MS)
    expect(lab.panel.locator(".zoe-Card").first).to_be_visible(timeout=SOON_MS)
    until_focused(lab, lab.panel.get_by_label("Search the shop"))
    lab.page.keyboard.type("workbench")
    expect(lab.panel.locator(".zoe-Card")).to_have_count(1)
    lab.press("Tab")
    expect(lab.panel.get_by_role("button", name="Start…")).to_be_focused()
    lab.screenshot(artifacts, "focus")
    lab.press("Enter")
    form = lab.tab.locator(".zoe-Launch")
    expect(form.get_by_label("Workers", exact=True).last).to_be_visible(timeout=SOON_MS)
    until_focused(lab, form.locator('input[type="range"]'))
    lab.press("ArrowRight")
    expect(command(form)).to_contain_text("--workers 2")
    until_focused(lab, form.get_by_label("Name", exact=True).first)
    lab.page.keyboard.type("keys")
    lab.press("Enter")
    expect(lab.tab.locator(".zoe-Detail-head h1")).to_have_text("keys", timeout=SOON_MS)
    assert server.ask("zoe/api/executions/keys")["parameters"]["workers"] == 2
    until_focused(lab, lab.tab.get_by_role("button", name="Stop…"))
    lab.press("Enter")
    expect(lab.dialog).to_contain_text("Stop keys?")
    lab.press("Enter")
    expect(lab.tab.locator(".zoe-Detail-head .zoe-Mark")).to_contain_text("stopped", timeout=SOON_MS)
    lab.press("Control+Shift+C")
    lab.page.keyboard.type("start workb")
    lab.press("Enter")
    expect(lab.tab.locator(".zoe-Launch h2")).to_have_text("Start Workbench", timeout=SOON_MS)


def until_focused(lab: Lab, target: Locator, *, steps: int = 40) -> None:
    """Press Tab until it has the focus."""
    for _ in range(steps):
        if target.evaluate("node => node === document.activeElement"):
            return
        lab.press("Tab")
    raise AssertionError(f"not reached with {steps} times Tab: {target}")


def test_what_belongs_to_a_notebook_runs_with_its_kernel_and_goes_with_it(
    lab: Lab, server: JupyterServer, home: JupyterHome, artifacts: Path
) -> None:
    lab.open()
    lab.command("notebook:create-new", "{kernelName: 'python3'}")
    notebook = Notebook(lab)
    notebook.wait_until_idle()
    lab.command("zoe:start-application", "{entry: 'line'}")
    form = lab.tab.locator(".zoe-Launch")
    expect(form.get_by_label("Belongs to")).to_have_value(re.compile("ipynb"), timeout=SOON_MS)
    form.get_by_label("Runs").select_option("kernel")
    expect(command(form)).to_have_text("%zoe start line --with kernel")
    lab.screenshot(artifacts, "form")
    form.get_by_role("button", name="Start and attach the notebook").focus()
    lab.press("Enter")
    lab.page.wait_for_function("document.activeElement.closest('.jp-NotebookPanel') !== null", timeout=SOON_MS)
    expect(notebook.node.locator(".zoe-Connect")).to_contain_text("line · running", timeout=ATTACH_MS)
    found = server.ask("zoe/api/executions/line")
    assert found["lifetime"]["together_with"] == "kernel"
    assert found["leases"] == 1
    assert Path(found["notebook"]).parent == home.work
