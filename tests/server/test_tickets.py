"""Pages that are not trusted are shown by a ticket: it lets in without Jupyter's cookies, for a while, to one page."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import replace

import pytest
from tornado import web, websocket
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.websocket import websocket_connect

from zoe_jupyter.engine.door import Caller, EndpointTarget
from zoe_jupyter.model.errors import Forbidden
from zoe_jupyter.model.execution import Execution, State
from zoe_jupyter.server import ticket_proxy
from zoe_jupyter.server.tickets import LONGEST_S, MOST_PER_USER, UNUSED_S, Tickets
from zoe_jupyter.server.visitors import embedded_user
from zoe_jupyter.testing.fake_core import APPLICATION, FakeCore

NAME = "spark.master.ui"
ALICE, BOB = Caller("alice"), Caller("bob")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tickets(clock: Clock) -> Tickets:
    return Tickets(clock)


def test_a_ticket_is_over_when_nobody_uses_it(tickets, clock):
    ticket = tickets.issue(ALICE, "e1", NAME)
    clock.now += UNUSED_S - 1
    assert tickets.use(ticket.text).execution_id == "e1"
    clock.now += UNUSED_S
    with pytest.raises(Forbidden):
        tickets.use(ticket.text)


def test_use_alone_does_not_keep_it_for_ever(tickets, clock):
    ticket = tickets.issue(ALICE, "e1", NAME)
    began = clock.now
    while clock.now < began + LONGEST_S - UNUSED_S:
        clock.now += UNUSED_S / 2
        tickets.use(ticket.text)
    clock.now = began + LONGEST_S
    with pytest.raises(Forbidden):
        tickets.use(ticket.text)


def test_renewing_keeps_it_as_long_as_one_likes(tickets, clock):
    ticket = tickets.issue(ALICE, "e1", NAME)
    for _ in range(100):
        clock.now += UNUSED_S - 1
        assert tickets.issue(ALICE, "e1", NAME, renew=ticket.text).text == ticket.text


@pytest.mark.parametrize(
    ("caller", "execution", "endpoint"), [(BOB, "e1", NAME), (ALICE, "e2", NAME), (ALICE, "e1", "other")]
)
def test_only_for_the_same_page_and_user_it_is_renewed(tickets, caller, execution, endpoint):
    ticket = tickets.issue(ALICE, "e1", NAME)
    assert tickets.issue(caller, execution, endpoint, renew=ticket.text).text != ticket.text
    assert tickets.use(ticket.text).caller == ALICE


def test_their_number_is_bounded_for_each_user(tickets, clock):
    theirs = tickets.issue(BOB, "e1", NAME)
    first = tickets.issue(ALICE, "e1", NAME)
    for _ in range(MOST_PER_USER):
        clock.now += 0.001
        last = tickets.issue(ALICE, "e1", NAME)
    with pytest.raises(Forbidden):
        tickets.use(first.text)
    assert tickets.use(theirs.text)
    assert tickets.use(last.text)


class Echo(web.RequestHandler):
    SUPPORTED_METHODS = ("GET", "POST", "OPTIONS", "HEAD")

    def check_xsrf_cookie(self):
        pass

    def get(self):
        self.set_cookie("session", "inner")
        self.set_header("Access-Control-Allow-Origin", "*")
        self.set_header("Referrer-Policy", "unsafe-url")
        told = {"method": self.request.method, "path": self.request.path, "query": self.request.query}
        self.write({**told, "headers": dict(self.request.headers)})

    post = options = head = get


class EchoSocket(websocket.WebSocketHandler):
    def check_origin(self, origin):
        return True

    def open(self):
        self.settings["open"].add(self)
        self.write_message(json.dumps(dict(self.request.headers)))

    def on_close(self):
        self.settings["open"].discard(self)
        self.settings["closed"].set()


@pytest.fixture
async def page(core: FakeCore):
    """A page that is not trusted, of an execution of the user."""
    sockets: set[EchoSocket] = set()
    closed = asyncio.Event()
    server = HTTPServer(web.Application([("/socket", EchoSocket), ("/.*", Echo)], open=sockets, closed=closed))
    (taken,) = bind_sockets(0, "127.0.0.1")
    server.add_socket(taken)
    core.add(Execution("e1", "mine", embedded_user(), APPLICATION, state=State.RUNNING))
    port = taken.getsockname()[1]
    core.targets[NAME] = EndpointTarget(
        "e1", "127.0.0.1", port, "/", "UI", is_trusted=False, headers={"Authorization": "token inner"}
    )
    yield
    if sockets:
        await asyncio.wait_for(closed.wait(), 10)
    server.stop()
    await server.close_all_connections()


@pytest.fixture
async def ticket(jp_fetch, page) -> str:
    answer = await jp_fetch("zoe", "api", "executions", "e1", "endpoints", NAME, "ticket", method="POST", body="{}")
    body = json.loads(answer.body)
    assert answer.code == 201
    assert body["url"] == f"zoe/ticket/{body['ticket']}/"
    return body["ticket"]


@pytest.fixture
def ask(http_server_client, jp_base_url):
    """As a browser that is not logged in."""

    async def fetch(path: str, method: str = "GET", **headers: str):
        return await http_server_client.fetch(
            f"{jp_base_url}{path}",
            method=method,
            headers={name.replace("_", "-"): value for name, value in headers.items()},
            body="x" if method == "POST" else None,
            follow_redirects=False,
            allow_nonstandard_methods=True,
            raise_error=False,
        )

    return fetch


async def test_it_lets_in_without_login_and_nothing_of_jupyter_or_the_service_leaks(ask, ticket, jp_base_url):
    cookies = "username-localhost-8888=x; _xsrf=y; zoe-0123456789-session=z"
    answer = await ask(f"zoe/ticket/{ticket}/jobs/a%2Fb?x=1", Cookie=cookies, Authorization="token outer")
    assert answer.code == 200
    seen = json.loads(answer.body)
    assert (seen["path"], seen["query"]) == ("/jobs/a%2Fb", "x=1")
    assert seen["headers"]["Authorization"] == "token inner"
    assert "Cookie" not in seen["headers"]
    assert seen["headers"]["X-Forwarded-Prefix"] == f"{jp_base_url}zoe/ticket/{ticket}"
    assert answer.headers["Content-Security-Policy"].startswith("sandbox ")
    assert "allow-same-origin" not in answer.headers["Content-Security-Policy"]
    assert "allow-popups-to-escape-sandbox" not in answer.headers["Content-Security-Policy"]
    assert answer.headers.get_list("Access-Control-Allow-Origin") == ["null"]
    assert answer.headers.get_list("Referrer-Policy") == ["no-referrer"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert "Set-Cookie" not in answer.headers


async def test_the_bare_address_leads_to_the_folder(ask, ticket, jp_base_url):
    answer = await ask(f"zoe/ticket/{ticket}?a=1")
    assert (answer.code, answer.headers["Location"]) == (302, f"{jp_base_url}zoe/ticket/{ticket}/?a=1")


@pytest.mark.parametrize("path", ["nonsense/", "nonsense", "%00/", "%2e%2e/%2e%2e/api/status", "a%2Fb/"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS", "HEAD"])
async def test_an_invalid_one_is_refused_whoever_asks(ask, page, jp_auth_header, path, method):
    answer = await ask(f"zoe/ticket/{path}", method, **jp_auth_header)
    assert answer.code == 403
    assert "Location" not in answer.headers
    assert answer.headers["Content-Security-Policy"].startswith("sandbox ")


async def test_it_ends_with_its_execution(ask, ticket, core):
    execution = core.by_id["e1"]
    core.by_id["e1"] = replace(execution, state=State.ENDED)
    assert (await ask(f"zoe/ticket/{ticket}/")).code == 403
    core.by_id["e1"] = execution
    assert (await ask(f"zoe/ticket/{ticket}/")).code == 403


async def test_it_ends_with_a_forgotten_execution(ask, ticket, core):
    del core.by_id["e1"]
    assert (await ask(f"zoe/ticket/{ticket}/")).code == 403


async def test_a_page_that_is_just_restarted_keeps_its_ticket(ask, ticket, core):
    target = core.targets.pop(NAME)
    assert (await ask(f"zoe/ticket/{ticket}/")).code == 404
    core.targets[NAME] = target
    assert (await ask(f"zoe/ticket/{ticket}/")).code == 200


async def test_renewing_by_the_interface_keeps_it(jp_fetch, ticket):
    path = ("zoe", "api", "executions", "e1", "endpoints", NAME, "ticket")
    again = json.loads((await jp_fetch(*path, method="POST", body=json.dumps({"renew": ticket}))).body)
    assert again["ticket"] == ticket
    other = json.loads((await jp_fetch(*path, method="POST", body=json.dumps({"renew": "x"}))).body)
    assert other["ticket"] not in (ticket, "x")


@pytest.mark.parametrize(
    ("origin", "status"), [("null", 200), ("https://evil.example", 403), ("http://127.0.0.1", 403)]
)
async def test_only_the_page_itself_may_write(ask, ticket, origin, status):
    assert (await ask(f"zoe/ticket/{ticket}/stages/kill", "POST", Origin=origin)).code == status


@pytest.mark.parametrize(("origin", "status"), [("null", 204), ("https://evil.example", 403)])
async def test_the_page_may_ask_itself_and_other_sites_may_not(ask, ticket, origin, status):
    wish = {"Access_Control_Request_Method": "PATCH", "Access_Control_Request_Headers": "content-type"}
    answer = await ask(f"zoe/ticket/{ticket}/api", "OPTIONS", Origin=origin, **wish)
    assert answer.code == status
    if status == 204:
        assert answer.headers["Access-Control-Allow-Origin"] == "null"
        assert answer.headers["Access-Control-Allow-Methods"] == "PATCH"
        assert answer.headers["Access-Control-Allow-Headers"] == "content-type"


async def test_another_host_name_is_refused(ask, ticket):
    """As after DNS rebinding."""
    assert (await ask(f"zoe/ticket/{ticket}/", Host="evil.example:8888")).code == 403


async def test_tickets_are_not_logged(ask, ticket, core, caplog):
    caplog.set_level(logging.DEBUG)
    del core.targets[NAME]
    await ask(f"zoe/ticket/{ticket}/a")
    assert "404" in caplog.text
    assert ticket not in caplog.text


@pytest.fixture
def connect(jp_http_port, jp_base_url):
    def connect(path: str, **headers: str):
        url = f"ws://127.0.0.1:{jp_http_port}{jp_base_url}{path}"
        return websocket_connect(HTTPRequest(url, headers=headers))

    return connect


async def test_the_pages_websockets_go_through(connect, ticket):
    socket = await connect(f"zoe/ticket/{ticket}/socket", Origin="null", Cookie="_xsrf=1")
    seen = json.loads(await asyncio.wait_for(socket.read_message(), 10))
    assert seen["Authorization"] == "token inner"
    assert "Cookie" not in seen
    socket.close()
    assert await asyncio.wait_for(socket.read_message(), 10) is None


async def test_websockets_of_other_sites_do_not(connect, ticket):
    with pytest.raises(HTTPClientError) as refused:
        await connect(f"zoe/ticket/{ticket}/socket", Origin="https://evil.example")
    assert refused.value.code == 403


async def test_a_websocket_without_a_valid_ticket_is_closed(connect, page, http_server):
    socket = await connect("zoe/ticket/nonsense/socket", Origin="null")
    assert await asyncio.wait_for(socket.read_message(), 10) is None
    socket.close()
    assert socket.close_code == 4403


async def test_an_open_websocket_is_closed_when_its_ticket_is_over(connect, ticket, core, monkeypatch):
    monkeypatch.setattr(ticket_proxy, "WATCH_S", 0.05)
    socket = await connect(f"zoe/ticket/{ticket}/socket", Origin="null")
    await asyncio.wait_for(socket.read_message(), 10)
    core.by_id["e1"] = replace(core.by_id["e1"], state=State.ENDED)
    assert await asyncio.wait_for(socket.read_message(), 10) is None
    socket.close()
    assert socket.close_code == 4403


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_behind_the_login_is_the_way_to_a_ticket(ask, page, jp_auth_header, jp_base_url, method):
    answer = await ask(f"zoe/at/e1/{NAME}/jobs/?a=1", method, **jp_auth_header)
    assert answer.code == 302
    assert answer.headers["Cache-Control"] == "no-store"
    location = answer.headers["Location"]
    assert location.startswith(f"{jp_base_url}zoe/ticket/")
    assert location.endswith("/jobs/?a=1")
    assert (await ask(location.removeprefix(jp_base_url))).code == 200


async def test_nobody_gets_one_without_login(ask, page):
    assert (await ask(f"zoe/at/e1/{NAME}/")).code == 403


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
async def test_nothing_else_of_such_a_page_is_behind_the_login(ask, page, jp_auth_header, method):
    assert (await ask(f"zoe/at/e1/{NAME}/x", method, **jp_auth_header)).code == 403


async def test_no_websocket_of_such_a_page_is_behind_the_login(connect, page, http_server, jp_auth_header):
    socket = await connect(f"zoe/at/e1/{NAME}/socket", **jp_auth_header)
    assert await asyncio.wait_for(socket.read_message(), 10) is None
    socket.close()
    assert socket.close_code == 4403
