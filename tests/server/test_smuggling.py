"""Requests made to be read differently by the next one in line: the service gets one request of ours for each that it should get, or none."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

import pytest

from zoe_jupyter.engine.door import EndpointTarget
from zoe_jupyter.model.execution import Execution, State
from zoe_jupyter.server.visitors import embedded_user
from zoe_jupyter.testing.fake_core import APPLICATION, FakeCore

NAME = "spark.master.ui"
EVIL = "GET /evil HTTP/1.1\r\nHost: x\r\n\r\n"


class Service:
    """Writes down every byte that it is sent, and answers each request head."""

    def __init__(self) -> None:
        self.heard = b""
        self._tasks: set[asyncio.Task] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        with suppress(OSError):
            while piece := await reader.read(65536):
                self.heard += piece
                if b"\r\n\r\n" in piece:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                    await writer.drain()
        writer.close()

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def service():
    found = Service()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()
    await found.end()


@pytest.fixture(params=["trusted", "ticket"])
async def page(request, http_server, jp_fetch, core: FakeCore, service) -> str:
    core.add(Execution("e1", "mine", embedded_user(), APPLICATION, state=State.RUNNING))
    is_trusted = request.param == "trusted"
    core.targets[NAME] = EndpointTarget("e1", "127.0.0.1", service.port, "/", "UI", is_trusted=is_trusted)
    if is_trusted:
        return f"zoe/at/e1/{NAME}/"
    answer = await jp_fetch("zoe", "api", "executions", "e1", "endpoints", NAME, "ticket", method="POST", body="{}")
    return json.loads(answer.body)["url"]


@pytest.fixture
def send(jp_http_port, jp_auth_header, jp_base_url, page):
    """Sends bytes; what comes until the connection ends or is quiet. ``{page}``, ``{own}`` (headers that let in) are filled in."""

    async def send(text: str) -> bytes:
        own = f"Host: localhost:{jp_http_port}\r\nAuthorization: {jp_auth_header['Authorization']}"
        filled = text.replace("{page}", f"{jp_base_url}{page}").replace("{own}", own)
        reader, writer = await asyncio.open_connection("127.0.0.1", jp_http_port)
        writer.write(filled.encode("latin-1"))
        answer = b""
        with suppress(asyncio.TimeoutError, OSError):
            while piece := await asyncio.wait_for(reader.read(65536), 1):
                answer += piece
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return answer

    return send


SMUGGLED = {
    "cl-te": f"POST {{page}}a HTTP/1.1\r\n{{own}}\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{EVIL}",
    "te-cl": f"POST {{page}}a HTTP/1.1\r\n{{own}}\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n{EVIL}\r\n0\r\n\r\n",
    "te-te": f"POST {{page}}a HTTP/1.1\r\n{{own}}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n0\r\n\r\n{EVIL}",
    "te-odd": f"POST {{page}}a HTTP/1.1\r\n{{own}}\r\nTransfer-Encoding: xchunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n{EVIL}",
    "two-lengths": f"POST {{page}}a HTTP/1.1\r\n{{own}}\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n{EVIL}",
    "odd-length": f"POST {{page}}a HTTP/1.1\r\n{{own}}\r\nContent-Length: +5\r\n\r\n{EVIL}",
    "obs-fold": "GET {page}a HTTP/1.1\r\n{own}\r\nX-A: b\r\n GET /evil HTTP/1.1\r\n\r\n",
    "bare-lf": "GET {page}a HTTP/1.1\r\n{own}\r\nX-A: b\nGET /evil: x\r\n\r\n",
    "bare-cr": "GET {page}a HTTP/1.1\r\n{own}\r\nX-A: b\rGET /evil: x\r\n\r\n",
    "space-before-colon": f"POST {{page}}a HTTP/1.1\r\n{{own}}\r\nTransfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n{EVIL}",
    "lines-in-the-path": "GET {page}a%0d%0aX: y%0d%0a%0d%0aGET%20/evil%20HTTP/1.1 HTTP/1.1\r\n{own}\r\n\r\n",
    "raw-lines-in-the-path": "GET {page}a\rGET /evil HTTP/1.1\r\n{own}\r\n\r\n",
    "upgrade-that-is-none": f"GET {{page}}a HTTP/1.1\r\n{{own}}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 777\r\n\r\n{EVIL}",
    "chunk-extension": f"POST {{page}}a HTTP/1.1\r\n{{own}}\r\nTransfer-Encoding: chunked\r\n\r\n0;\n{EVIL}\r\n\r\n",
}


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in SMUGGLED.items()])
async def test_no_second_request_reaches_the_service(send, service, text):
    await send(text)
    heads = [line for line in service.heard.replace(b"\r", b"\n").split(b"\n") if b" HTTP/1.1" in line]
    assert len(heads) <= 1
    assert not [head for head in heads if head.startswith(b"GET /evil")]
    assert b"localhost" in service.heard or not heads


@pytest.mark.parametrize(
    "target",
    [
        "http://evil.example/",
        "http://127.0.0.1:1{page}a",
        "//evil.example{page}a",
        "evil.example:443",
        "*",
        "file:///etc/passwd",
    ],
)
@pytest.mark.parametrize("method", ["GET", "CONNECT", "TRACE"])
async def test_targets_of_other_forms_lead_nowhere_else(send, service, target, method):
    """Also not to the service: what it is asked for is always a path of its own."""
    answer = await send(f"{method} {target} HTTP/1.1\r\n{{own}}\r\nConnection: close\r\n\r\n")
    assert b"root:" not in answer
    assert b"evil.example" not in service.heard
    for line in service.heard.split(b"\r\n"):
        assert b" HTTP/1.1" not in line or line.startswith(f"{method} /".encode())


@pytest.mark.parametrize(
    "path",
    [
        "../../../../api/status",
        "..%2f..%2f..%2f..%2fapi/status",
        "%2e%2e/%2e%2e/%2e%2e/api/status",
        "..%5c..%5capi",
        "/api",
        "%00",
    ],
)
async def test_no_path_leaves_the_service(send, service, path):
    """It is passed on as it was sent, to this service and no other place."""
    answer = await send(f"GET {{page}}{path} HTTP/1.1\r\n{{own}}\r\nConnection: close\r\n\r\n")
    assert b'"started"' not in answer, "that is Jupyter's own status"
    assert service.heard == b"" or service.heard.startswith(b"GET /" + path.encode())


async def test_headers_that_are_too_long_are_refused(send, service):
    answer = await send(f"GET {{page}}a HTTP/1.1\r\n{{own}}\r\nX-A: {'a' * 200_000}\r\n\r\n")
    assert not answer.startswith(b"HTTP/1.1 200")
    assert service.heard == b""


async def test_a_spoofed_host_is_refused(send, service):
    answer = await send("GET {page}a HTTP/1.1\r\n{own}\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert not answer.startswith(b"HTTP/1.1 200")
    assert service.heard == b""
