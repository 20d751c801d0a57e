"""Who gets in: on every route of the table, and on the web pages."""

from __future__ import annotations

import json

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from zoe_jupyter.server.api import Route
from zoe_jupyter.server.handlers import table
from zoe_jupyter.testing.fake_core import FakeCore

PAGE = "zoe/at/e1/spark.master.ui/"


def paths() -> list[tuple[str, str]]:
    """Method and path of every route, and of the pages with every method."""
    routes = [(route.method, f"zoe/api/{_filled(route)}") for route in table()]
    return [*routes, *((method, PAGE) for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))]


def _filled(route: Route) -> str:
    return route.pattern.replace("{", "").replace("}", "")


@pytest.fixture
def fetch_raw(http_server_client, jp_base_url):
    """Requests with exactly the headers given; ``(status, headers, body)``."""

    async def fetch(method, path, headers):
        options = {"method": method, "headers": headers, "follow_redirects": False, "allow_nonstandard_methods": True}
        if method in ("POST", "PUT", "PATCH"):
            options["body"] = "{}"
        try:
            answer = await http_server_client.fetch(jp_base_url + path, **options)
        except HTTPClientError as error:
            answer = error.response
        return answer.code, answer.headers, answer.body

    return fetch


@pytest.mark.parametrize(("method", "path"), paths())
async def test_without_a_token_nothing_answers(fetch_raw, core: FakeCore, zoe, method, path):
    status, headers, body = await fetch_raw(method, path, {})
    assert status == 403
    assert "Location" not in headers
    if path != PAGE:
        assert json.loads(body)["reason"] == "unauthenticated"
    assert not zoe.presence.home.is_seated, "nothing was looked up"


@pytest.mark.parametrize(("method", "path"), paths())
async def test_a_wrong_token_is_none(fetch_raw, core: FakeCore, zoe, method, path):
    status, _, _ = await fetch_raw(method, path, {"Authorization": "token wrong"})
    assert status == 403
    assert not zoe.presence.home.is_seated


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil.example:8888"])
@pytest.mark.parametrize(("method", "path"), [item for item in paths() if item[0] not in ("GET", "HEAD", "OPTIONS")])
async def test_writes_from_other_sites_are_refused_before_anything_is_looked_up(
    fetch_raw, jp_auth_header, core: FakeCore, zoe, method, path, origin
):
    status, _, body = await fetch_raw(method, path, {**jp_auth_header, "Origin": origin})
    assert status == 403
    if path != PAGE:
        assert json.loads(body)["reason"] == "cross_origin"
    assert not zoe.presence.home.is_seated


async def test_writes_of_the_own_page_are_allowed(jp_fetch, jp_http_port, core):
    answer = await jp_fetch(
        "zoe",
        "api",
        "validate",
        method="POST",
        body='{"use": "spark"}',
        headers={"Origin": f"http://127.0.0.1:{jp_http_port}", "Host": f"127.0.0.1:{jp_http_port}"},
    )
    assert answer.code == 200


@pytest.mark.parametrize(
    ("origin", "status"), [("https://a.friends.example", 200), ("https://a.friends.example.evil.example", 403)]
)
@pytest.mark.parametrize("path", ["zoe/api/validate", "zoe/at/nobody/spark.master.ui/x"])
async def test_sites_that_jupyter_lets_in_by_pattern_may_write_and_no_others(
    fetch_raw, jp_auth_header, jp_serverapp, core: FakeCore, path, origin, status
):
    jp_serverapp.web_app.settings["allow_origin_pat"] = r"https://.*\.friends\.example"
    found, _, _ = await fetch_raw("POST", path, {**jp_auth_header, "Origin": origin})
    # What is asked for is nonsense: only who may ask counts.
    assert (found == 403) == (status == 403)


@pytest.fixture
async def login_cookies(http_server_client, jp_base_url, jp_serverapp) -> str:
    """What a browser sends that was logged in by a link with the token."""
    url = f"{jp_base_url}api/status?token={jp_serverapp.identity_provider.token}"
    login = await http_server_client.fetch(url, follow_redirects=False, raise_error=False)
    cookies = "; ".join(value.partition(";")[0] for value in login.headers.get_list("Set-Cookie"))
    assert "username-" in cookies
    return cookies


async def test_a_browser_needs_the_xsrf_token(http_server_client, jp_base_url, login_cookies, core, zoe):
    """With a login cookie alone, as a page of another site could make a browser send."""
    url = f"{jp_base_url}zoe/api/executions"
    answer = await http_server_client.fetch(
        url, method="POST", body='{"use": "spark"}', headers={"Cookie": login_cookies}, raise_error=False
    )
    assert answer.code == 403
    assert "_xsrf" in json.loads(answer.body)["message"]
    assert not zoe.presence.home.is_seated


@pytest.mark.parametrize("path", [path for method, path in paths() if method == "GET" and path != PAGE])
async def test_pages_of_other_sites_read_nothing(fetch_raw, login_cookies, core: FakeCore, zoe, path):
    """With the cookie that a browser sends along whoever asks."""
    status, headers, _ = await fetch_raw("GET", path, {"Cookie": login_cookies, "Origin": "https://evil.example"})
    assert status in (403, 404)
    assert "Access-Control-Allow-Origin" not in headers
    assert not zoe.presence.home.is_seated


@pytest.mark.parametrize("method", ["PATCH", "HEAD"])
async def test_methods_that_nothing_takes_are_refused_in_words(fetch_raw, jp_auth_header, core: FakeCore, zoe, method):
    status, _, body = await fetch_raw(method, "zoe/api/info", jp_auth_header)
    assert status == 405
    assert method == "HEAD" or json.loads(body)["reason"] == "method_not_allowed"
    assert not zoe.presence.home.is_seated


async def test_the_websocket_needs_a_token(jp_ws_fetch, zoe):
    with pytest.raises(HTTPClientError) as refused:
        await jp_ws_fetch("zoe", "api", "events", headers={"Authorization": "token wrong"})
    assert refused.value.code == 403
    assert not zoe.presence.home.is_seated


@pytest.mark.parametrize("origin", ["https://evil.example", None])
async def test_the_websocket_refuses_other_sites(jp_http_port, jp_base_url, login_cookies, core, zoe, origin):
    url = f"ws://127.0.0.1:{jp_http_port}{jp_base_url}zoe/api/events"
    headers = {"Cookie": login_cookies, **({"Origin": origin} if origin else {})}
    if origin is None:
        socket = await websocket_connect(HTTPRequest(url, headers=headers))
        assert json.loads(await socket.read_message())["kind"] == "stream.opened"
        socket.close()
        return
    with pytest.raises(HTTPClientError) as refused:
        await websocket_connect(HTTPRequest(url, headers=headers))
    assert refused.value.code == 403
    assert not zoe.presence.home.is_seated


class _Nobody:
    """An authorizer that says no."""

    def is_authorized(self, handler, user, action, resource):
        assert resource == "zoe"
        return False


@pytest.mark.parametrize(("method", "path"), paths())
async def test_jupyters_authorizer_has_the_last_word(fetch_raw, jp_auth_header, jp_serverapp, zoe, method, path):
    jp_serverapp.web_app.settings["authorizer"] = _Nobody()
    status, _, body = await fetch_raw(method, path, jp_auth_header)
    assert status == 403
    if path != PAGE:
        assert json.loads(body)["reason"] == "forbidden"
    assert not zoe.presence.home.is_seated


@pytest.mark.parametrize("path", ["targets/e1/spark.master.ui", "servers/s1/kernels"])
async def test_internal_routes_are_for_zoes_own_programs(fetch_raw, jp_auth_header, core: FakeCore, path):
    method = "GET" if path.startswith("targets") else "POST"
    status, _, _ = await fetch_raw(method, f"zoe/api/{path}", jp_auth_header)
    assert status == 404
    assert core.alive == {}


class TestWithoutAStateFolder:
    """A link where Zoe's folder should be, as somebody else could have made it."""

    @pytest.fixture(autouse=True)
    def _folder(self, jp_data_dir, tmp_path):
        (tmp_path / "elsewhere").mkdir()
        (jp_data_dir / "zoe").symlink_to(tmp_path / "elsewhere")

    async def test_every_request_says_why(self, fetch_raw, jp_auth_header):
        status, _, body = await fetch_raw("GET", "zoe/api/info", jp_auth_header)
        assert status == 503
        assert "is a link" in json.loads(body)["message"]
