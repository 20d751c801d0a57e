"""How things may be between the browser and Zoe: every way is shown, with the way out."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Route, WebSocketRoute, expect

from tests.e2e.contrast import too_faint
from tests.e2e.lab import SOON_MS, Lab
from zoe_jupyter.testing.jupyter_home import JupyterServer

pytestmark = pytest.mark.browser

API = re.compile(r"/zoe/api/(?!events)")
EVENTS = re.compile(r"/zoe/api/events")


def answering(status: int, body: str) -> object:
    def answer(route: Route) -> None:
        route.fulfill(status=status, body=body, content_type="application/json")

    return answer


def test_the_start_of_the_core_is_shown(lab: Lab, artifacts: Path) -> None:
    held: list[Route] | None = []

    def hold(route: Route) -> None:
        if held is None:
            route.continue_()
        else:
            held.append(route)

    lab.open()
    lab.page.route(re.compile("/zoe/api/info"), hold)
    panel = lab.show_panel()
    expect(panel.get_by_text("Zoe is starting…")).to_be_visible(timeout=SOON_MS)
    lab.screenshot(artifacts, "starting")
    asked, held = held, None
    for route in asked:
        route.continue_()
    expect(panel.locator(".zoe-Card").first).to_be_visible(timeout=SOON_MS)
    expect(panel.get_by_text("Zoe is starting…")).to_be_hidden()


def test_nothing_is_asked_of_the_server_before_the_first_use(lab: Lab) -> None:
    asked: list[str] = []
    lab.page.on("request", lambda request: asked.append(request.url) if "/zoe/api/" in request.url else None)
    lab.open()
    lab.command("notebook:create-new", "{kernelName: 'python3'}")
    expect(lab.page.locator(".zoe-Connect")).to_contain_text("Connect", timeout=SOON_MS)
    assert asked == []


def test_without_the_server_part_the_panel_says_how_to_get_it(lab: Lab, artifacts: Path) -> None:
    lab.open()
    lab.page.route(API, answering(404, "<html>Not Found</html>"))
    panel = lab.show_panel()
    expect(panel).to_contain_text("The server part of Zoe is missing")
    expect(panel).to_contain_text("jupyter server extension enable zoe_jupyter")
    lab.screenshot(artifacts, "missing")
    lab.page.unroute(API)
    panel.get_by_role("button", name="Try again").click()
    expect(panel.locator(".zoe-Card").first).to_be_visible(timeout=SOON_MS)


def test_a_server_that_fails_is_quoted_and_asked_again(lab: Lab, artifacts: Path) -> None:
    lab.open()
    answer = {"message": "the disk is full: 0 B free", "reason": "unavailable", "details": {}}
    lab.page.route(API, answering(500, json.dumps(answer)))
    panel = lab.show_panel()
    expect(panel.get_by_role("alert")).to_contain_text("the disk is full: 0 B free")
    lab.screenshot(artifacts, "failed")
    lab.page.unroute(API)
    panel.get_by_role("button", name="Try again").click()
    expect(panel.locator(".zoe-Card").first).to_be_visible(timeout=SOON_MS)


def test_machines_are_told_with_what_people_should_know_of_them(lab: Lab, artifacts: Path) -> None:
    def guessed(route: Route) -> None:
        body = route.fetch().json()
        body["items"][0]["about"] = "its size is a guess: set the option `capacity`"
        route.fulfill(json=body)

    lab.open()
    lab.page.route(re.compile("/zoe/api/cluster"), guessed)
    panel = lab.show_panel()
    fold = panel.get_by_role("button", name="Machines")
    fold.click(timeout=SOON_MS)
    machine = panel.get_by_role("list", name="Machines").get_by_role("listitem")
    expect(machine).to_contain_text("its size is a guess: set the option capacity", timeout=SOON_MS)
    expect(machine).to_contain_text(re.compile(r"0 of [0-9.]+ cores"))
    assert too_faint(lab.page, "#zoe-panel")[1] == []
    lab.screenshot(artifacts, "machines")
    fold.click()
    expect(machine).to_be_hidden()


def test_machines_that_cannot_be_reached_are_told_in_their_place(lab: Lab) -> None:
    def silent(route: Route) -> None:
        route.fulfill(json={**route.fetch().json(), "silence": "the engine docker does not answer"})

    lab.open()
    lab.page.route(re.compile("/zoe/api/info"), silent)
    lab.page.route(re.compile("/zoe/api/cluster"), answering(200, '{"items": [], "next_cursor": null}'))
    panel = lab.show_panel()
    panel.get_by_role("button", name="Machines").click(timeout=SOON_MS)
    told = "The machines cannot be reached: the engine docker does not answer"
    expect(panel.get_by_text(told)).to_be_visible(timeout=SOON_MS)


def test_a_lost_event_stream_is_said_and_comes_back_by_itself(lab: Lab, artifacts: Path) -> None:
    sockets: list[WebSocketRoute] = []

    def watch(socket: WebSocketRoute) -> None:
        if is_broken:
            socket.close()
        else:
            sockets.append(socket)
            socket.connect_to_server()

    is_broken = False
    lab.page.route_web_socket(EVENTS, watch)
    lab.open()
    panel = lab.show_panel()
    expect(panel.locator(".zoe-Card").first).to_be_visible(timeout=SOON_MS)
    is_broken = True
    sockets[-1].close()
    expect(panel).to_contain_text("Reconnecting…")
    lab.screenshot(artifacts, "reconnecting")
    is_broken = False
    expect(panel.get_by_text("Reconnecting…")).to_be_hidden(timeout=SOON_MS)


@pytest.mark.usefixtures("clean")
def test_what_changed_while_the_stream_was_lost_is_not_missed(lab: Lab, server: JupyterServer) -> None:
    is_broken = False

    def watch(socket: WebSocketRoute) -> None:
        if is_broken:
            socket.close()
        else:
            sockets.append(socket)
            socket.connect_to_server()

    sockets: list[WebSocketRoute] = []
    lab.page.route_web_socket(EVENTS, watch)
    lab.open()
    panel = lab.show_panel()
    expect(panel.get_by_text("Nothing is running")).to_be_visible(timeout=SOON_MS)
    is_broken = True
    sockets[-1].close()
    expect(panel).to_contain_text("Reconnecting…")
    server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "unseen"})
    is_broken = False
    lab.expect_state("unseen", "running")


@pytest.mark.usefixtures("clean")
def test_nothing_is_asked_again_and_again(lab: Lab, server: JupyterServer) -> None:
    """What changes is told by the stream: of the lists and the shop no more is asked, however long the panel is open."""
    asked: list[str] = []
    lab.page.clock.install()
    lab.open()
    panel = lab.show_panel()
    expect(panel.get_by_text("Nothing is running")).to_be_visible(timeout=SOON_MS)
    lab.page.on("request", lambda request: asked.append(request.url) if API.search(request.url) else None)
    lab.page.clock.fast_forward("02:00:00")
    found = server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "told"})
    lab.expect_state("told", "running")
    assert {urlsplit(url).path.partition("/zoe/api/")[2] for url in asked} == {f"executions/{found['id']}"}


@pytest.mark.page("kept")
@pytest.mark.usefixtures("clean")
def test_the_search_of_the_shop_finds_and_says_when_there_is_nothing(lab: Lab, artifacts: Path) -> None:
    lab.open()
    lab.command("zoe:open-shop")
    box = lab.panel.get_by_label("Search the shop")
    expect(box).to_be_focused(timeout=SOON_MS)
    box.fill("colourful")
    expect(lab.panel.locator(".zoe-Card")).to_have_count(1)
    box.fill("nothing like this")
    expect(lab.panel).to_contain_text("Nothing in the shop matches “nothing like this”")
    lab.screenshot(artifacts, "no-match")
    lab.panel.get_by_role("button", name="Show everything").click()
    expect(lab.panel.locator(".zoe-Card")).not_to_have_count(1)


def test_a_narrow_panel_shows_two_applications_whole(lab: Lab, artifacts: Path) -> None:
    lab.page.set_viewport_size({"width": 1280, "height": 657})
    lab.open()
    panel = lab.show_panel()
    expect(panel.locator(".zoe-Card").first).to_be_visible(timeout=SOON_MS)
    assert panel.bounding_box()["width"] <= 260
    for number in (0, 1):
        card = panel.locator(".zoe-Card").nth(number)
        expect(card).to_be_in_viewport(ratio=1)
        for part in (".zoe-Card-title", ".zoe-Card-summary"):
            assert card.locator(part).evaluate("node => node.scrollWidth <= node.clientWidth")
    lab.screenshot(artifacts, "narrow")


@pytest.mark.page("kept")
@pytest.mark.usefixtures("clean")
def test_the_clock_says_what_it_counts_and_a_page_that_opens_here_says_so(
    lab: Lab, server: JupyterServer, artifacts: Path
) -> None:
    server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "desk"})
    lab.open()
    lab.show_panel()
    lab.expect_state("desk", "running")
    clock = lab.item("desk").locator(".zoe-Elapsed")
    expect(clock).to_have_text(re.compile(r"^running for \d+ s$"))
    expect(clock).to_have_attribute("title", re.compile(r"Submitted .*\nStarted "))
    expect(lab.item("desk").get_by_role("button", name="Files").locator('[data-icon="zoe:tab"]')).to_be_visible()
    lab.screenshot(artifacts, "clock")
    server.ask("zoe/api/executions/desk/stop", method="POST", body={})
    lab.panel.get_by_role("button", name="Ended").click()
    expect(clock).to_have_text(re.compile(r"^ran for \d+ s$"))


@pytest.mark.page("kept")
@pytest.mark.usefixtures("clean")
def test_the_panel_and_the_form_are_as_readable_in_the_dark(lab: Lab, server: JupyterServer, artifacts: Path) -> None:
    server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "desk"})
    lab.open()
    lab.show_panel()
    lab.expect_state("desk", "running")
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        lab.use_theme(theme)
        lab.item("desk").locator(".zoe-Item-name").click()
        expect(lab.tab.get_by_role("log")).to_contain_text("tick", timeout=SOON_MS)
        lab.screenshot(artifacts, f"details-{theme.split()[1]}")
        details = too_faint(lab.page, "#zoe-panel, .zoe-Tab")
        lab.command("zoe:start-application", "{entry: 'workbench'}")
        expect(lab.tab.locator(".zoe-Check")).to_contain_text("Fits now", timeout=SOON_MS)
        lab.screenshot(artifacts, f"form-{theme.split()[1]}")
        form = too_faint(lab.page, ".zoe-Tab")
        assert (details[0] > 40, details[1]) == (True, [])
        assert (form[0] > 15, form[1]) == (True, [])


def test_an_empty_shop_and_what_cannot_run_say_why(lab: Lab, artifacts: Path) -> None:
    shop = re.compile(r"/zoe/api/shop\?")
    lab.open()
    lab.page.route(shop, answering(200, json.dumps({"items": [], "next_cursor": None})))
    panel = lab.show_panel()
    expect(panel).to_contain_text("The shop is empty", timeout=SOON_MS)
    lab.screenshot(artifacts, "empty")
    lab.page.unroute(shop)
    lab.page.route(shop, lacking)
    panel.get_by_role("button", name="Look again").click()
    card = panel.locator('.zoe-Card[aria-label="Workbench"]')
    expect(card).to_contain_text("Cannot run as it is: it needs a parameter region")
    expect(card.get_by_role("button", name="Start")).to_have_attribute("aria-disabled", "true")
    lab.screenshot(artifacts, "lacking")


def lacking(route: Route) -> None:
    page = route.fetch().json()
    for entry in page["items"]:
        entry["is_runnable"] = False
        entry["lacks"] = ["it needs a parameter `region`"]
    route.fulfill(json=page)


@pytest.mark.usefixtures("clean")
def test_what_waits_says_its_place_and_why(lab: Lab, server: JupyterServer, artifacts: Path) -> None:
    found = server.ask("zoe/api/executions", method="POST", body={"use": "workbench", "name": "patient"})
    why = "needs 8 GiB, the largest free node has 6 GiB; lower `memory` or wait"
    behind = "behind 2 others"

    def queued(record: dict[str, object]) -> dict[str, object]:
        reasons = [{"code": code, "text": text, "numbers": {}} for code, text in (("memory", why), ("behind", behind))]
        queue = {"position": 3, "reason": reasons[0], "detail": reasons[1:], "starts_at": time.time() + 600}
        return {**record, "state": "queued", "started_at": None, "services": [], "endpoints": [], "queue": queue}

    def one(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=queued(answer.json()) if answer.ok else answer.json())

    def many(route: Route) -> None:
        page = route.fetch().json()
        route.fulfill(json={**page, "items": [queued(item) for item in page["items"]]})

    lab.open()
    lab.page.route(re.compile(r"/zoe/api/executions\?state=submitted"), many)
    lab.page.route(re.compile(rf"/zoe/api/executions/{found['id']}(\?|$)"), one)
    lab.show_panel()
    lab.expect_state("patient", "queued")
    told = why.replace("`", "")
    expect(lab.item("patient")).to_contain_text(f"Number 3 in the queue. {told}")
    expect(lab.item("patient").locator("code")).to_have_text("memory")
    expect(lab.item("patient")).to_contain_text(f"Also: {behind}")
    expect(lab.item("patient")).to_contain_text("It may start at ")
    lab.item("patient").locator(".zoe-Item-name").click()
    expect(lab.tab).to_contain_text(told, timeout=SOON_MS)
    expect(lab.tab).to_contain_text(f"Also: {behind}")
    expect(lab.tab).to_contain_text("It may start at ")
    expect(lab.tab).to_contain_text("It has no service now, so there is no log.")
    lab.screenshot(artifacts, "queued")


@pytest.mark.usefixtures("clean")
def test_a_long_queue_is_shown_in_parts_and_asked_for_as_a_whole(lab: Lab, server: JupyterServer) -> None:
    """An event may change every place in it, which is no reason to ask for each of them."""
    body = {"use": "workbench", "begin": "+1d"}
    first = server.ask("zoe/api/executions", method="POST", body={**body, "name": "first"})["id"]
    for number in range(104):
        server.ask("zoe/api/executions", method="POST", body={**body, "name": f"later-{number}"})
    lab.open()
    panel = lab.show_panel()
    live = panel.get_by_label("Live executions").locator(".zoe-Item")
    expect(live).to_have_count(100, timeout=SOON_MS)
    expect(panel).to_contain_text("and 5 more")
    asked: list[str] = []
    lab.page.on("request", lambda request: asked.append(request.url) if API.search(request.url) else None)
    with lab.page.expect_response(re.compile(r"/zoe/api/executions\?state=queued")):
        server.ask(f"zoe/api/executions/{first}/stop", method="POST", body={})
    expect(panel).to_contain_text("and 4 more")
    paths = {urlsplit(url).path.partition("/zoe/api/")[2] for url in asked}
    assert paths == {"executions", f"executions/{first}"}
    panel.get_by_role("button", name="Show more").first.click()
    expect(live).to_have_count(104)
