"""What may pass between a browser and a page: pure rules."""

from __future__ import annotations

import pytest

from zoe_jupyter.server.proxied_headers import SANDBOX, LeadsOutside, Page, without_token

PREFIX = "/user/me/zoe/at/e1/spark.master.ui"
PAGE = Page(
    PREFIX,
    "hub.example",
    "127.0.0.1",
    4040,
    headers={"Authorization": "token inner"},
    asked=f"{PREFIX}/jobs/deep/x",
)
OWN = PAGE.cookie_prefix


def test_nothing_of_jupyter_goes_in():
    given = [
        ("Authorization", "token outer"),
        ("Cookie", f'_xsrf=2|x; username-hub-example="u"; jupyterhub-session-id=s; other=1; {OWN}session=mine'),
        ("X-XSRFToken", "2|x"),
        ("Referer", "https://hub.example/lab?token=outer"),
        ("Connection", "keep-alive, X-Hop"),
        ("X-Hop", "1"),
        ("Proxy", "http://evil.example"),
        ("Accept", "text/html"),
    ]
    assert PAGE.request_headers(given) == [
        ("Accept", "text/html"),
        ("Cookie", "session=mine"),
        ("X-Forwarded-Context", PREFIX),
        ("X-ProxyContextPath", PREFIX),
        ("X-Forwarded-Prefix", PREFIX),
        ("Authorization", "token inner"),
    ]


def test_nothing_of_jupyter_goes_in_to_a_page_without_a_token_of_its_own():
    page = Page(PREFIX, "hub.example", "127.0.0.1", 4040, keeps_prefix=True)
    given = [
        ("Authorization", "token outer"),
        ("Proxy-Authorization", "Basic x"),
        ("Cookie", "_xsrf=2|x"),
        ("Accept", "*/*"),
    ]
    assert page.request_headers(given) == [("Accept", "*/*")]


def test_a_page_that_keeps_its_prefix_is_not_told_of_it():
    page = Page(PREFIX, "hub.example", "127.0.0.1", 8888, keeps_prefix=True)
    assert page.request_headers([]) == []
    assert page.inner_path(f"{PREFIX}/lab%2Ftree") == f"{PREFIX}/lab%2Ftree"


@pytest.mark.parametrize(
    ("public", "inner"), [(f"{PREFIX}/", "/"), (f"{PREFIX}/jobs/a%2Fb", "/jobs/a%2Fb"), (PREFIX, "/")]
)
def test_the_prefix_is_taken_off_and_nothing_else(public, inner):
    assert PAGE.inner_path(public) == inner


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("session=1", f"{OWN}session=1; Path={PREFIX}/"),
        ("_xsrf=2|y; Path=/; HttpOnly", f"{OWN}_xsrf=2|y; HttpOnly; Path={PREFIX}/"),
        (
            "a=b; Path=/jobs; Domain=example.org; Secure; SameSite=Lax",
            f"{OWN}a=b; Secure; SameSite=Lax; Path={PREFIX}/jobs",
        ),
        (f"a=b; Path={PREFIX}/lab", f"{OWN}a=b; Path={PREFIX}/lab"),
    ],
)
def test_cookies_are_renamed_and_kept_to_the_page(given, told):
    assert PAGE.response_headers([("Set-Cookie", given)]) == [("Set-Cookie", told)]


def test_pages_have_cookies_of_their_own():
    other = Page("/user/me/zoe/at/e2/spark.master.ui", "hub.example", "127.0.0.1", 4040)
    assert other.request_headers([("Cookie", f"{OWN}session=1")])[0][0] != "Cookie"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("/jobs/?a=1#x", f"{PREFIX}/jobs/?a=1#x"),
        ("jobs/", "jobs/"),
        ("http://127.0.0.1:4040/jobs/", f"{PREFIX}/jobs/"),
        ("https://hub.example/jobs/", f"{PREFIX}/jobs/"),
        (f"https://hub.example{PREFIX}/jobs/", f"{PREFIX}/jobs/"),
        ("//hub.example/jobs/", f"{PREFIX}/jobs/"),
        (f"{PREFIX}/jobs/", f"{PREFIX}/jobs/"),
        (f"{PREFIX}evil", f"{PREFIX}{PREFIX}evil"),
        ("../up", f"{PREFIX}/jobs/up"),
        ("../../../../../../../lab?x", f"{PREFIX}/lab?x"),
        (".\t./../../../lab", f"{PREFIX}/lab"),
        ("..\\..\\..\\lab", f"{PREFIX}/lab"),
        ("/../../../lab", f"{PREFIX}/lab"),
        (f"{PREFIX}/../../../../lab", f"{PREFIX}/lab"),
        ("/%2e%2E/.%2e/a/./%2e/b/..", f"{PREFIX}/a/"),
        ("\\\\hub.example\\lab", f"{PREFIX}/lab"),
        ("http:/lab", f"{PREFIX}/lab"),
        ("http:///lab", f"{PREFIX}/lab"),
        ("http://[", f"{PREFIX}/"),
    ],
)
def test_redirects_stay_below_the_page(given, told):
    assert PAGE.response_headers([("Location", given)]) == [("Location", told)]


OUTSIDE = (
    "https://spark.apache.org/docs",
    "//evil.example/",
    "\t//evil.example",
    "/\\evil.example",
    "\\\\evil.example\\lab",
    "http:\\\\evil.example",
    "https://hub.example@evil.example/",
    "https://hub.example.evil.example/",
    "https://hub.example:8443/",
    "http://127.0.0.1:8888/",
    "file:///etc/passwd",
    "javascript:alert(1)",
    "data:text/html,x",
    "mailto:a@example.org",
)


@pytest.mark.parametrize("given", OUTSIDE)
def test_redirects_to_the_outside_are_refused(given):
    with pytest.raises(LeadsOutside):
        PAGE.response_headers([("Location", given)])
    with pytest.raises(LeadsOutside):
        PAGE.response_headers([("Refresh", f"0; url={given}")])
    assert PAGE.response_headers([("Content-Location", given)]) == []


@pytest.mark.parametrize(
    "name",
    [
        "WWW-Authenticate",
        "Clear-Site-Data",
        "Service-Worker-Allowed",
        "Access-Control-Allow-Credentials",
        "Transfer-Encoding",
        "NEL",
        "Report-To",
        "Accept-CH",
        "Origin-Agent-Cluster",
    ],
)
def test_what_reaches_beyond_the_page_is_left_out(name):
    assert PAGE.response_headers([(name, "x")]) == []


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("5", "5"),
        ("0; url=/lab", f"0; url={PREFIX}/lab"),
        ("0;URL='/../lab'", f"0;URL={PREFIX}/lab"),
        ("1, x", "1, x"),
        ("0 url=/lab", f"0 url={PREFIX}/lab"),
    ],
)
def test_refreshing_stays_below_the_page(given, told):
    assert PAGE.response_headers([("Refresh", given)]) == [("Refresh", told)]


def test_a_page_that_is_not_trusted_is_put_into_a_sandbox():
    page = Page(PREFIX, "hub.example", "127.0.0.1", 4040, is_trusted=False)
    given = [("Content-Security-Policy", "default-src *")]
    others = [
        ("Set-Cookie", "a=b"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Referrer-Policy", "unsafe-url"),
    ]
    assert page.response_headers([*given, *others]) == [*given, *SANDBOX]
    assert "allow-same-origin" not in dict(SANDBOX)["Content-Security-Policy"]


def test_what_is_no_refreshing_is_left_out():
    assert PAGE.response_headers([("Refresh", "x; url=/lab")]) == []


@pytest.mark.parametrize(
    ("query", "told"), [("token=x", ""), ("a=1&token=x&b=%20", "a=1&b=%20"), ("atoken=1", "atoken=1"), ("", "")]
)
def test_the_token_leaves_the_query(query, told):
    assert without_token(query) == told
