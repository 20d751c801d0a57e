"""A service that answers what no server should: nothing of it harms Jupyter, and nothing surprises its log."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress

import pytest

from zoe_jupyter.engine.door import EndpointTarget
from zoe_jupyter.model.execution import Execution
from zoe_jupyter.server.visitors import embedded_user
from zoe_jupyter.testing.fake_core import APPLICATION, FakeCore

NAME = "spark.master.ui"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\n\r\nok"


@pytest.fixture
async def service():
    """``(port, said, heard, (came, gone))``: answers the bytes in ``said[0]`` to everything; nothing at all without them."""
    said: list[bytes] = []
    heard: list[bytes] = []
    tasks: list[asyncio.Task] = []
    came, gone = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.append(asyncio.current_task())
        with suppress(OSError, asyncio.IncompleteReadError):
            heard.append(await reader.readuntil(b"\r\n\r\n"))
            came.set()
            if said:
                writer.write(said[0])
                await writer.drain()
            else:
                await reader.read()
                gone.set()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], said, heard, (came, gone)
    server.close()
    await asyncio.gather(*tasks)


@pytest.fixture(params=["trusted", "ticket"])
async def page(request, http_server, jp_fetch, core: FakeCore, service) -> str:
    """The page's address below the base URL, behind Jupyter's login and with a ticket."""
    core.add(Execution("e1", "mine", embedded_user(), APPLICATION))
    is_trusted = request.param == "trusted"
    core.targets[NAME] = EndpointTarget("e1", "127.0.0.1", service[0], "/", "UI", is_trusted=is_trusted, headers={})
    if is_trusted:
        return f"zoe/at/e1/{NAME}/"
    answer = await jp_fetch("zoe", "api", "executions", "e1", "endpoints", NAME, "ticket", method="POST", body="{}")
    return json.loads(answer.body)["url"]


@pytest.fixture
def ask(jp_http_port, jp_base_url, jp_auth_header, page: str):
    """Sends one raw request; ``(status, headers, body)`` as they came."""

    async def fetch(*lines: str, path: str = "a/b"):
        head = [
            f"GET {jp_base_url}{page}{path} HTTP/1.1",
            f"Host: localhost:{jp_http_port}",
            f"Authorization: {jp_auth_header['Authorization']}",
            *(lines or ("Connection: close",)),
        ]
        reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
        writer.write("\r\n".join([*head, "", ""]).encode())
        data = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        await writer.wait_closed()
        first, _, rest = data.partition(b"\r\n")
        headers, _, body = rest.partition(b"\r\n\r\n")
        kept = [line for line in headers.split(b"\r\n") if not line.startswith(b"Set-Cookie: username-")]
        return int(first.split()[1]), kept, body

    return fetch


async def test_a_page_that_goes_well_is_no_trouble_in_the_log(ask, service, caplog):
    service[1].append(OK % b"X-A: b")
    status, headers, body = await ask()
    assert (status, body) == (200, b"2\r\nok\r\n0\r\n\r\n")
    assert b"X-A: b" in headers
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_page_may_have_long_headers(ask, service):
    policy = b"Content-Language: " + b"a" * 60_000
    service[1].append(OK % policy)
    status, headers, _ = await ask()
    assert status == 200
    assert policy in headers


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nevil",
        b"HTTP/1.1 000 Odd\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: x=y\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"\x00\x01 nonsense\r\n\r\n",
        b"\r\n",
    ],
    ids=["switching", "status", "bare-cr", "two-lengths", "huge-header", "nonsense", "empty"],
)
async def test_what_is_no_answer_is_a_bad_gateway(ask, service, caplog, said):
    service[1].append(said)
    status, _, body = await ask()
    assert status == 502
    assert b"evil" not in body
    assert "Uncaught" not in caplog.text


@pytest.mark.parametrize(
    ("said", "status"),
    [(b"HTTP/1.1 204 No Content\r\nX-A: b", 204), (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9", 304)],
)
async def test_answers_without_a_body_have_none(ask, service, caplog, said, status):
    service[1].append(said + b"\r\n\r\n")
    found, _, body = await ask()
    assert (found, body) == (status, b"")
    assert "Uncaught" not in caplog.text


async def test_an_answer_that_ends_early_is_seen_to_be_incomplete(ask, service):
    service[1].append(b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\nok")
    _, _, body = await ask()
    assert not body.endswith(b"0\r\n\r\n")


async def test_headers_of_other_alphabets_pass_and_broken_ones_are_left_out(ask, service):
    name = 'attachment; filename="тест.csv"'.encode()
    service[1].append(OK % b"\r\n".join([b"Content-Disposition: " + name, b"X-Raw: \xff\xfe", b"X-Bad: a\x01b"]))
    status, headers, _ = await ask()
    assert status == 200
    assert b"Content-Disposition: " + name in headers
    assert b"X-Raw: \xff\xfe" in headers
    assert not [line for line in headers if line.startswith(b"X-Bad")]


async def test_an_address_that_cannot_be_read_leads_to_the_first_page(ask, service, jp_base_url, page):
    service[1].append(b"HTTP/1.1 302 F\r\nLocation: http://[evil\r\nContent-Length: 0\r\n\r\n")
    status, headers, _ = await ask()
    assert status == 302
    assert f"Location: {jp_base_url}{page}".encode() in headers


async def test_what_is_for_the_next_hop_only_does_not_reach_the_service(ask, service):
    service[1].append(OK % b"X-A: b")
    await ask("Connection: close", "Proxy: http://evil.example", "Referer: http://localhost/lab?token=x")
    assert b"evil.example" not in service[2][0]
    assert b"token" not in service[2][0]


async def test_a_request_is_given_up_when_the_browser_goes_away(
    jp_http_port, jp_base_url, jp_auth_header, page, service
):
    """The service never answers: it sees its connection closed."""
    _, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
    token = jp_auth_header["Authorization"]
    path = f"{jp_base_url}{page}x"
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{jp_http_port}\r\nAuthorization: {token}\r\n\r\n".encode())

    async def go_away() -> None:
        came, gone = service[3]
        await came.wait()
        writer.close()
        await gone.wait()

    await asyncio.wait_for(go_away(), 20)
