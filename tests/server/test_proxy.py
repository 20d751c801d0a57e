"""An execution's web pages, through a real Jupyter server to a real web server."""

from __future__ import annotations

import asyncio
import json
import socket

import aiohttp
import pytest
from tornado import web, websocket
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.websocket import websocket_connect
from yarl import URL

from zoe_jupyter.engine.door import EndpointTarget
from zoe_jupyter.model.execution import Execution
from zoe_jupyter.server.visitors import embedded_user
from zoe_jupyter.testing.fake_core import APPLICATION, FakeCore

NAME = "spark.master.ui"


class Echo(web.RequestHandler):
    """Answers what it was asked."""

    SUPPORTED_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")

    def get(self, path):
        self.set_cookie("session", "inner")
        self.set_header("Clear-Site-Data", '"*"')
        self.write(
            {
                "method": self.request.method,
                "path": self.request.path,
                "query": self.request.query,
                "headers": dict(self.request.headers),
                "body": self.request.body.decode(),
            }
        )

    post = put = patch = delete = options = head = get


class Redirect(web.RequestHandler):
    def get(self):
        self.redirect("/jobs/?a=1")


class Slow(web.RequestHandler):
    """Sends a piece, and the rest when it is told to."""

    async def get(self):
        self.write(b"first")
        await self.flush()
        await asyncio.wait_for(self.application.settings["go_on"].wait(), 20)
        self.write(b"last")


class Big(web.RequestHandler):
    async def get(self):
        for _ in range(130):
            self.write(b"x" * (1 << 20))
            await self.flush()


class EchoSocket(websocket.WebSocketHandler):
    def check_origin(self, origin):
        return True

    def open(self):
        self.write_message(
            json.dumps({"headers": dict(self.request.headers), "query": self.request.query, "path": self.request.path})
        )

    def on_message(self, message):
        self.write_message(message, binary=isinstance(message, bytes))


@pytest.fixture
async def service():
    """``(port, settings)`` of a web server as an execution would run one."""
    settings = {"go_on": asyncio.Event()}
    application = web.Application(
        [("/redirect", Redirect), ("/slow", Slow), ("/big", Big), ("/.*socket", EchoSocket), ("(/.*)", Echo)],
        **settings,
    )
    server = HTTPServer(application)
    taken = bind_sockets(0, "127.0.0.1")
    server.add_sockets(taken)
    yield taken[0].getsockname()[1], settings
    server.stop()
    await server.close_all_connections()


@pytest.fixture
def target(core: FakeCore, service) -> EndpointTarget:
    core.add(Execution("e1", "mine", embedded_user(), APPLICATION))
    core.targets[NAME] = EndpointTarget(
        "e1", "127.0.0.1", service[0], "/", "UI", is_trusted=True, headers={"Authorization": "token inner"}
    )
    return core.targets[NAME]


def change(core: FakeCore, **changes) -> None:
    from dataclasses import replace

    core.targets[NAME] = replace(core.targets[NAME], **changes)


async def test_a_page_gets_what_was_asked_and_nothing_of_jupyter(jp_fetch, jp_base_url, jp_serverapp, target):
    outer = jp_serverapp.identity_provider.token
    answer = await jp_fetch(
        "zoe",
        "at",
        "e1",
        NAME,
        "jobs",
        "a b",
        params={"id": "1"},
        headers={"Cookie": "_xsrf=1; username-x=2; jupyterhub-y=3"},
    )
    seen = json.loads(answer.body)
    prefix = f"{jp_base_url}zoe/at/e1/{NAME}"
    assert (seen["path"], seen["query"]) == ("/jobs/a%20b", "id=1")
    assert seen["headers"]["Authorization"] == "token inner"
    assert "Cookie" not in seen["headers"]
    assert seen["headers"]["X-Forwarded-Prefix"] == seen["headers"]["X-Forwarded-Context"] == prefix
    assert outer not in json.dumps(seen)
    (cookie,) = [value for value in answer.headers.get_list("Set-Cookie") if not value.startswith("username-")]
    assert cookie.startswith("zoe-")
    assert cookie.endswith(f"Path={prefix}/")
    assert "Clear-Site-Data" not in answer.headers
    assert "Content-Security-Policy" not in answer.headers


async def test_the_pages_own_cookies_come_back_under_their_names(jp_fetch, target):
    answer = await jp_fetch("zoe", "at", "e1", NAME, "x")
    own = answer.headers["Set-Cookie"].partition(";")[0]
    seen = json.loads((await jp_fetch("zoe", "at", "e1", NAME, "x", headers={"Cookie": f"{own}; _xsrf=1"})).body)
    assert seen["headers"]["Cookie"].startswith("session=")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_every_method_goes_through(jp_fetch, target, method):
    options = {"body": "payload"} if method in ("POST", "PUT", "PATCH") else {}
    seen = json.loads((await jp_fetch("zoe", "at", "e1", NAME, "x", method=method, **options)).body)
    assert (seen["method"], seen["body"]) == (method, options.get("body", ""))


async def test_head_has_no_body(jp_fetch, target):
    answer = await jp_fetch("zoe", "at", "e1", NAME, "x", method="HEAD")
    assert (answer.code, answer.body) == (200, b"")


async def test_redirects_are_not_followed_and_stay_below(jp_fetch, jp_base_url, target):
    with pytest.raises(HTTPClientError) as redirected:
        await jp_fetch("zoe", "at", "e1", NAME, "redirect", follow_redirects=False)
    assert redirected.value.response.headers["Location"] == f"{jp_base_url}zoe/at/e1/{NAME}/jobs/?a=1"


@pytest.mark.parametrize(("path", "leads_to"), [((), "/"), (("jobs", "a b"), "/jobs/a%20b")])
async def test_an_address_with_a_token_leads_to_one_without(
    jp_fetch, jp_base_url, jp_serverapp, target, path, leads_to
):
    """The page could read it there, and tell it to others."""
    query = {"token": jp_serverapp.identity_provider.token, "a": "1"}
    with pytest.raises(HTTPClientError) as redirected:
        await jp_fetch("zoe", "at", "e1", NAME, *path, params=query, follow_redirects=False)
    assert redirected.value.response.headers["Location"] == f"{jp_base_url}zoe/at/e1/{NAME}{leads_to}?a=1"


async def test_pieces_come_as_they_are_sent(jp_fetch, target, service):
    got: list[bytes] = []
    began = asyncio.Event()

    def take(chunk: bytes) -> None:
        got.append(chunk)
        began.set()

    asking = asyncio.ensure_future(jp_fetch("zoe", "at", "e1", NAME, "slow", streaming_callback=take))
    await asyncio.wait_for(began.wait(), 10)
    assert b"".join(got) == b"first"
    service[1]["go_on"].set()
    await asking
    assert b"".join(got) == b"firstlast"


async def test_large_answers_pass_without_being_kept(http_server, jp_http_port, jp_base_url, jp_auth_header, target):
    """More than tornado's client would take in one piece."""
    url = f"http://127.0.0.1:{jp_http_port}{jp_base_url}zoe/at/e1/{NAME}/big"
    count = 0
    async with aiohttp.ClientSession(headers=jp_auth_header) as session, session.get(URL(url, encoded=True)) as answer:
        async for chunk in answer.content.iter_any():
            count += len(chunk)
    assert count == 130 << 20


async def test_a_page_that_keeps_its_prefix_gets_it(jp_fetch, jp_base_url, core, target):
    change(core, keeps_prefix=True)
    seen = json.loads((await jp_fetch("zoe", "at", "e1", NAME, "lab")).body)
    assert seen["path"] == f"{jp_base_url}zoe/at/e1/{NAME}/lab"
    assert "X-Forwarded-Prefix" not in seen["headers"]


@pytest.mark.parametrize(("execution", "endpoint"), [("e1", "no.such.page"), ("nobody", NAME)])
async def test_what_is_not_there_is_not_found(jp_fetch, target, execution, endpoint):
    with pytest.raises(HTTPClientError) as missing:
        await jp_fetch("zoe", "at", execution, endpoint, "x")
    assert missing.value.code == 404


async def test_others_pages_are_not_found(jp_fetch, core, target, jp_serverapp):
    core.add(Execution("e2", "theirs", "somebody-else", APPLICATION))
    core.targets["other"] = EndpointTarget("e2", target.host, target.port, "/", "UI", is_trusted=True)
    (extension,) = jp_serverapp.extension_manager.extension_apps["zoe_jupyter"]
    from dataclasses import replace

    for rule in jp_serverapp.web_app.default_router.rules:
        for inner in getattr(rule.target, "rules", ()):
            if isinstance(inner.target_kwargs, dict) and "desk" in inner.target_kwargs:
                inner.target_kwargs["visitor"] = replace(extension.visitor, is_admin=False)
    with pytest.raises(HTTPClientError) as missing:
        await jp_fetch("zoe", "at", "e2", "other", "x")
    assert missing.value.code == 404


async def test_a_page_that_does_not_answer_says_so(jp_fetch, core, target):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        change(core, port=taken.getsockname()[1])
        with pytest.raises(HTTPClientError) as broken:
            await jp_fetch("zoe", "at", "e1", NAME, "x")
    assert broken.value.code == 502


async def test_websockets_go_through_without_credentials(http_server, jp_http_port, jp_base_url, jp_serverapp, target):
    outer = jp_serverapp.identity_provider.token
    url = f"ws://127.0.0.1:{jp_http_port}{jp_base_url}zoe/at/e1/{NAME}/socket?token={outer}&a=1"
    connection = await websocket_connect(HTTPRequest(url, headers={"Cookie": "_xsrf=1"}))
    seen = json.loads(await asyncio.wait_for(connection.read_message(), 10))
    assert (seen["path"], seen["query"]) == ("/socket", "a=1")
    assert seen["headers"]["Authorization"] == "token inner"
    assert "Cookie" not in seen["headers"]
    await connection.write_message("text")
    assert await asyncio.wait_for(connection.read_message(), 10) == "text"
    await connection.write_message(b"\x00\xff", binary=True)
    assert await asyncio.wait_for(connection.read_message(), 10) == b"\x00\xff"
    connection.close()


async def test_a_websocket_to_nothing_is_closed(http_server, jp_http_port, jp_base_url, jp_auth_header, target):
    url = f"ws://127.0.0.1:{jp_http_port}{jp_base_url}zoe/at/nobody/{NAME}/socket"
    connection = await websocket_connect(HTTPRequest(url, headers=jp_auth_header))
    assert await asyncio.wait_for(connection.read_message(), 10) is None
    connection.close()
    assert connection.close_code == 4404


async def test_a_websocket_from_another_site_is_refused(http_server, jp_http_port, jp_base_url, jp_auth_header, target):
    url = f"ws://127.0.0.1:{jp_http_port}{jp_base_url}zoe/at/e1/{NAME}/socket"
    with pytest.raises(HTTPClientError) as refused:
        await websocket_connect(HTTPRequest(url, headers={**jp_auth_header, "Origin": "https://evil.example"}))
    assert refused.value.code == 403
