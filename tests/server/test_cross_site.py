"""Pages of other sites, with the user's login cookie in the browser: on every route of the OpenAPI document they get nothing and change nothing."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect
from traitlets.config import Config

from tests.server.roles import Reach, operations
from zoe_jupyter.engine.door import EndpointTarget
from zoe_jupyter.model.execution import Execution, State
from zoe_jupyter.server.visitors import embedded_user
from zoe_jupyter.testing.fake_core import APPLICATION, FakeCore

NAMES = {"id": "mine", "lease": "l9", "NODE": "here", "PAGE": "spark.master.ui", "CONNECTION": "spark"}
FOREIGN = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


@pytest.fixture
def jp_server_config(jp_server_config: Config) -> Config:
    """Others use the same database."""
    jp_server_config.Zoe.is_admin = False
    return jp_server_config


@pytest.fixture
def executions(core: FakeCore) -> None:
    core.add(Execution("mine", "mine", embedded_user(), APPLICATION, state=State.RUNNING))
    core.add(Execution("theirs", "theirs", "somebody-else", APPLICATION, state=State.RUNNING))
    for name in ("mine", "theirs"):
        core.targets[f"{name}.page"] = EndpointTarget(name, "127.0.0.1", 1, "/", "UI", is_trusted=True)


def state(core: FakeCore) -> object:
    return [asdict(execution) for execution in core.by_id.values()], len(core.log), dict(core.lease_by_id)


@pytest.fixture
async def browser(http_server_client, jp_base_url, jp_serverapp):
    """Asks as a browser that is logged in; with the XSRF token that it was given unless told otherwise."""
    url = f"{jp_base_url}tree?token={jp_serverapp.identity_provider.token}"
    cookies: dict[str, str] = {}
    for path in (url, f"{jp_base_url}api/status?token={jp_serverapp.identity_provider.token}"):
        login = await http_server_client.fetch(path, follow_redirects=False, raise_error=False)
        pairs = [value.partition(";")[0].partition("=") for value in login.headers.get_list("Set-Cookie")]
        cookies.update({name: value for name, _, value in pairs})
    cookies.setdefault("_xsrf", "2|00000000|00000000000000000000000000000000|1")

    async def ask(method: str, path: str, body: object = None, *, xsrf: str | None = "", **headers: str):
        token = {"X-XSRFToken": cookies["_xsrf"] if xsrf == "" else xsrf} if xsrf is not None else {}
        cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
        return await http_server_client.fetch(
            f"{jp_base_url}{path}",
            method=method,
            body=json.dumps(body) if method != "GET" and method != "DELETE" else None,
            headers={"Cookie": cookie, **token, **headers},
            follow_redirects=False,
            raise_error=False,
        )

    return ask


async def test_no_write_without_the_xsrf_token_or_from_elsewhere(browser, core, executions):
    before = state(core)
    for operation in (one for one in operations() if one.is_write):
        path = f"zoe/api/{operation.path(NAMES)}"
        for xsrf in (None, "2|11111111|11111111111111111111111111111111|1", "nonsense"):
            answer = await browser(operation.method, path, operation.rule.body, xsrf=xsrf)
            assert answer.code == 403, (operation.name, xsrf)
        for headers in FOREIGN:
            answer = await browser(operation.method, path, operation.rule.body, **headers)
            assert (answer.code, json.loads(answer.body)["reason"]) == (403, "cross_origin"), (operation.name, headers)
    assert state(core) == before


async def test_with_the_xsrf_token_of_the_own_page_they_are_heard(browser, core, executions):
    assert (await browser("POST", "zoe/api/validate", {"use": "spark"})).code == 200
    same = {"Sec-Fetch-Site": "same-origin"}
    assert (await browser("POST", "zoe/api/executions/mine/stop", {}, **same)).code == 200


async def test_nothing_answers_under_another_host_name(browser, core, executions):
    """As after DNS rebinding, where the page's origin and the host are the same."""
    before = state(core)
    evil = {"Host": "evil.example:8888", "Origin": "http://evil.example:8888"}
    for operation in operations():
        answer = await browser(operation.method, f"zoe/api/{operation.path(NAMES)}", operation.rule.body, **evil)
        assert answer.code == 403, operation.name
        assert b"items" not in answer.body
    for path in ("zoe/at/mine/mine.page/", "zoe/ticket/x/"):
        assert (await browser("GET", path, **evil)).code == 403
    assert state(core) == before


async def test_what_is_somebody_elses_is_not_there(browser, core, executions):
    before = state(core)
    for operation in operations():
        if operation.rule.reach not in (Reach.OWNED, Reach.OWNER):
            continue
        path = operation.path({**NAMES, "id": "theirs", "PAGE": "theirs.page"})
        answer = await browser(operation.method, f"zoe/api/{path}", operation.rule.body)
        assert answer.code == 404, operation.name
    assert (await browser("GET", "zoe/at/theirs/theirs.page/x")).code == 404
    assert state(core) == before


async def test_no_route_takes_a_token_in_its_address(browser, http_server_client, jp_base_url, jp_serverapp, core):
    for operation in operations():
        path = f"{jp_base_url}zoe/api/{operation.path(NAMES)}?token={jp_serverapp.identity_provider.token}"
        options = {} if operation.method in ("GET", "DELETE") else {"body": "{}"}
        answer = await http_server_client.fetch(path, method=operation.method, raise_error=False, **options)
        assert answer.code == 403
        assert json.loads(answer.body)["reason"] == "token_in_address"
        assert jp_serverapp.identity_provider.token not in answer.body.decode()


async def test_every_answer_says_what_it_is(browser, core, executions):
    """So that no browser takes an error or a logo for a page."""
    for operation in operations():
        for names in (NAMES, {**NAMES, "id": "<script>alert(1)<%2Fscript>"}):
            path = f"zoe/api/{operation.path(names)}".replace("<", "%3C").replace(">", "%3E")
            answer = await browser(operation.method, path, operation.rule.body)
            assert answer.headers["X-Content-Type-Options"] == "nosniff", operation.name
            assert answer.headers.get("Content-Type", "application/json").partition(";")[0] in (
                "application/json",
                "text/plain",
                "image/svg+xml",
            ), operation.name
            if "svg" in answer.headers.get("Content-Type", ""):
                assert "sandbox" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", ["zoe/api/events", "zoe/at/mine/mine.page/socket"])
async def test_no_websocket_from_elsewhere(
    http_server, jp_http_port, jp_base_url, jp_auth_header, executions, origin, path
):
    url = f"ws://127.0.0.1:{jp_http_port}{jp_base_url}{path}"
    with pytest.raises(HTTPClientError) as refused:
        await websocket_connect(
            HTTPRequest(url, headers={"Origin": origin, **({} if "api" in path else jp_auth_header)})
        )
    assert refused.value.code == 403
