"""Every state, every outcome and every error is shown in words, and every command asks for what it was not told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.e2e.lab import SOON_MS, Lab, Notebook
from zoe_jupyter.testing.jupyter_home import JupyterServer, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.page("kept"), pytest.mark.usefixtures("clean")]

STATES = ("submitted", "queued", "starting", "running", "suspended", "stopping")
OUTCOMES = ("succeeded", "failed", "stopped", "expired", "lost")
LIFETIME = {"after_s": 7200, "idle_s": 600, "together_with": "server", "grace_s": 600, "ends_at": 4e9}


def answering(body: Any, *, status: int) -> Callable[[Route], None]:
    """What a route does that always answers so."""
    return lambda route: route.fulfill(status=status, json=body)


def refusal(message: str, *, problems: list[dict[str, str]] | None = None) -> dict[str, Any]:
    details = {"problems": problems} if problems else {}
    return {"message": message, "reason": "refused", "details": details}


def told_as(record: dict[str, Any], look: str) -> dict[str, Any]:
    """The record as the server would tell of it in that state, or ended with that outcome."""
    is_over = look in OUTCOMES
    reason = {"code": "told", "text": f"because it is {look}", "numbers": {}}
    return {
        **record, "id": look, "name": look, "state": "ended" if is_over else look, "outcome": look if is_over else None,
        "reason": reason, "progress": "" if is_over else f"it is {look}", "lifetime": LIFETIME, "parameters": {},
        "queue": {"position": 1, "reason": reason, "detail": [], "starts_at": None} if look == "queued" else None,
        "ended_at": record["created_at"] + 5 if is_over else None,
    }  # fmt: skip


@pytest.mark.page("fresh")
def test_every_state_and_every_outcome_is_told_with_its_reason(
    lab: Lab, server: JupyterServer, artifacts: Path
) -> None:
    record = server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "desk"})

    def listed(route: Route) -> None:
        looks = OUTCOMES if "state=ended" in route.request.url else STATES
        route.fulfill(json={"items": [told_as(record, look) for look in looks], "next_cursor": None})

    def one(route: Route) -> None:
        route.fulfill(json=told_as(record, route.request.url.rpartition("/")[2]))

    lab.page.route(re.compile(r"/zoe/api/executions\?"), listed)
    lab.page.route(re.compile(rf"/zoe/api/executions/({'|'.join(STATES + OUTCOMES)})$"), one)
    lab.open()
    panel = lab.show_panel()
    panel.get_by_role("button", name=f"Ended ({len(OUTCOMES)})").click(timeout=SOON_MS)
    stays = "at most 2 h, until idle for 10 min, until its Jupyter server has been gone for 10 min"
    for look in STATES + OUTCOMES:
        lab.expect_state(look, look)
        expect(lab.item(look).locator(".zoe-Mark")).to_contain_text(look)
        lab.item(look).locator(".zoe-Item-name").click()
        expect(lab.tab.locator(".zoe-Detail-head .zoe-Mark")).to_contain_text(look, timeout=SOON_MS)
        expect(lab.tab.locator(".zoe-Detail > .zoe-Notice")).to_contain_text(re.compile(f"it is {look}"))
        expect(lab.tab.locator(".zoe-Detail-head", has_text=stays)).to_have_count(0 if look in OUTCOMES else 1)
        expect(lab.tab.get_by_text("Wanted", exact=True)).to_have_count(1 if look in ("suspended", "stopping") else 0)
    lab.screenshot(artifacts, "lost")


def test_what_the_server_says_of_a_form_is_said_there(lab: Lab, artifacts: Path) -> None:
    amounts = {"cores": 0.1, "memory_bytes": 2**26, "gpus": 1}
    good: dict[str, Any] = {
        "application": {},
        "core": amounts,
        "elastic": amounts,
        "nodes": [],
        "reason": None,
        "problems": [],
    }
    full = {"code": "waits_for_resources", "text": "needs 8 GiB, 6 GiB are free; lower `memory`", "numbers": {}}
    lab.open()
    lab.command("zoe:start-application", "{entry: 'workbench'}")
    form = lab.tab.locator(".zoe-Launch")
    workers = form.get_by_label("Workers", exact=True).last
    expect(workers).to_be_visible(timeout=SOON_MS)
    cases = [
        (200, {**good, "fits_now": False, "reason": full}, "Would wait needs 8 GiB, 6 GiB are free; lower memory"),
        (200, {**good, "fits_now": True, "problems": ["pyspark is missing"]}, "lacks something"),
        (422, refusal("no", problems=[{"path": "", "message": "two `heads` are one too many"}]), "two heads are one"),
        (500, refusal("the disk is full"), "It could not be checked"),
    ]
    for number, (status, body, said) in enumerate(cases):
        lab.page.unroute_all()
        lab.page.route(re.compile("/zoe/api/validate"), answering(body, status=status))
        workers.fill(str(2 + number % 2))
        expect(form.locator(".zoe-Check")).to_contain_text(said, timeout=SOON_MS)
        given = form.get_by_text("What was given to others counts as taken, also while they do not use it.")
        expect(given).to_have_count(1 if said.startswith("Would wait") else 0)
        lab.screenshot(artifacts, f"check-{number}")
    lab.page.route(re.compile(r"/zoe/api/executions(\?|$)"), answering(refusal("the disk is full"), status=507))
    form.get_by_role("button", name="Start", exact=True).click()
    expect(form.get_by_role("alert").last).to_contain_text("It was not started", timeout=SOON_MS)
    expect(form.get_by_role("alert").last).to_contain_text("the disk is full")


def test_figures_and_logs_that_cannot_be_had_say_why(lab: Lab, server: JupyterServer, artifacts: Path) -> None:
    server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "desk"})
    lab.page.route("**/usage*", answering(refusal("the clock stands"), status=500))
    lab.page.route("**/logs?*", answering(refusal("the log is not yours"), status=403))
    lab.open()
    lab.show_panel()
    lab.expect_state("desk", "running")
    lab.item("desk").locator(".zoe-Item-name").click()
    expect(lab.tab).to_contain_text("No new figures: the clock stands", timeout=SOON_MS)
    expect(lab.tab.locator(".zoe-Logs").get_by_role("alert")).to_have_text("the log is not yours")
    lab.tab.get_by_role("button", name="Download the whole log").click()
    expect(lab.dialog).to_contain_text("Could not download the log")
    expect(lab.dialog).to_contain_text("the log is not yours")
    lab.screenshot(artifacts, "refused")
    lab.press("Escape")


def test_a_command_that_was_told_nothing_asks_and_says_when_there_is_nothing(
    lab: Lab, server: JupyterServer, artifacts: Path
) -> None:
    lab.open()
    begin(lab, "zoe:show-logs")
    expect(lab.dialog).to_contain_text("There is no execution that this can be done with.", timeout=SOON_MS)
    lab.press("Enter")
    begin(lab, "zoe:start-application")
    choose(lab, "Which application?", "Workbench")
    expect(lab.tab.locator(".zoe-Launch h2")).to_have_text("Start Workbench", timeout=SOON_MS)
    begin(lab, "zoe:start-application", "{entry: 'nothing-of-the-kind'}")
    expect(lab.dialog).to_contain_text("Could not open the form of nothing-of-the-kind", timeout=SOON_MS)
    lab.press("Escape")
    for name in ("one", "two"):
        server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": name})
    lab.show_panel()
    lab.expect_state("one", "running")
    begin(lab, "zoe:open-endpoint")
    choose(lab, "Which execution?", "one (running)")
    expect(lab.frame().get_by_text("Directory listing")).to_be_visible(timeout=SOON_MS)
    begin(lab, "zoe:show-logs", "{id: 'one', service: 'workbench.worker-0'}")
    expect(lab.tab.get_by_label("Service", exact=True)).to_have_value("workbench.worker-0", timeout=SOON_MS)
    lab.command("notebook:create-new", "{kernelName: 'python3'}")
    Notebook(lab).wait_until_idle()
    begin(lab, "zoe:attach-notebook")
    lab.screenshot(artifacts, "attach")
    choose(lab, "Attach the notebook to", "Start Dask", is_taken=False)


def test_of_several_of_one_name_the_one_that_is_picked_is_meant(lab: Lab, server: JupyterServer) -> None:
    made = []
    for _ in range(2):
        made.append(server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "one"})["id"])
        server.ask("zoe/api/executions/one/stop", method="POST", body={})
        wait_for("it has ended", lambda: server.ask(f"zoe/api/executions/{made[-1]}")["state"] == "ended")
    lab.open()
    begin(lab, "zoe:forget-execution")
    choose(lab, "Which execution?", f"one (stopped, {made[0]})")
    expect(lab.dialog).to_contain_text("Forget one?", timeout=SOON_MS)
    lab.dialog.get_by_role("button", name="Forget").click()
    expect(lab.dialog).to_have_count(0)
    wait_for("it is forgotten", lambda: len(server.ask("zoe/api/executions")["items"]) == 1)
    assert server.ask("zoe/api/executions")["items"][0]["id"] == made[1]


def test_all_that_ended_is_forgotten_at_once(lab: Lab, server: JupyterServer) -> None:
    for name in ("one", "two"):
        server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": name})
        server.ask(f"zoe/api/executions/{name}/stop", method="POST", body={})
    lab.open()
    lab.show_panel().get_by_role("button", name="Ended (2)").click(timeout=SOON_MS)
    lab.panel.get_by_role("button", name="Forget these…").click()
    expect(lab.dialog).to_contain_text("Forget 2 ended executions?")
    lab.dialog.get_by_role("button", name="Forget").click()
    expect(lab.panel.locator(".zoe-Ended")).to_have_count(0, timeout=SOON_MS)
    assert server.ask("zoe/api/executions")["items"] == []


def begin(lab: Lab, command: str, arguments: str = "{}") -> None:
    """Run a command that waits for the user."""
    lab.page.evaluate(f"void window.jupyterapp.commands.execute('{command}', {arguments})")


def choose(lab: Lab, question: str, item: str, *, is_taken: bool = True) -> None:
    expect(lab.dialog).to_contain_text(question, timeout=SOON_MS)
    box: Locator = lab.dialog.locator("select")
    box.select_option(item)
    lab.dialog.get_by_role("button", name="Ok" if is_taken else "Cancel").click()
