"""Where the core is: one for each state folder, asked by everyone, taken over when it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import stat
import threading
import time
from pathlib import Path

import pytest

from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.server import core_thread, home, remote
from zoe_jupyter.server.files import Address, boot_id, read_address, write_address
from zoe_jupyter.server.home import Home
from zoe_jupyter.server.wire import CoreGone, Visitor, WireRequest, close_body
from zoe_jupyter.store.location import core_lock
from zoe_jupyter.testing.fake_core import FakeCore

FIRST = Visitor("me", True, "first", "/usr/bin/python3")
SECOND = Visitor("me", True, "second", "/opt/python3")


class Cores:
    """Opens cores and remembers them; what one stores, the next one has."""

    def __init__(self) -> None:
        self.opened: list[FakeCore] = []
        self.threads: list[str] = []
        self.error: Exception | None = None

    async def open(self) -> FakeCore:
        if self.error is not None:
            raise self.error
        self.threads.append(threading.current_thread().name)
        core = FakeCore()
        if self.opened:
            before = self.opened[-1]
            core.by_id, core._keys, core._numbers = before.by_id, before._keys, before._numbers
        self.opened.append(core)
        return core


@pytest.fixture
def cores() -> Cores:
    return Cores()


@pytest.fixture
async def first(tmp_path, cores):
    home = Home(tmp_path, cores.open, FIRST)
    yield home
    await home.close()


@pytest.fixture
async def second(tmp_path, cores):
    home = Home(tmp_path, cores.open, SECOND)
    yield home
    await home.close()


def get(path: str, visitor: Visitor = FIRST, query: str = "") -> WireRequest:
    return WireRequest("GET", path, visitor, query)


def submission(name: str, visitor: Visitor = FIRST, key: str | None = None) -> WireRequest:
    return WireRequest("POST", "executions", visitor, body=json.dumps({"use": "spark", "name": name}).encode(), key=key)


def body_of(answer):
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


async def test_nothing_is_opened_before_the_first_request(first, cores):
    assert not first.is_seated
    assert cores.opened == []


async def test_requests_that_come_together_open_one_core_on_its_own_thread(first, cores):
    answers = await asyncio.gather(*(first.answer(get("info")) for _ in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
    assert cores.threads == ["zoe-core"]


@pytest.mark.parametrize("moment", ["lock", "opening"])
async def test_who_goes_away_while_the_core_opens_leaves_no_second_one_behind(first, cores, monkeypatch, moment):
    """As a tab does that is reloaded."""
    may_go_on, is_there = threading.Event(), threading.Event()

    def wait_there(*args):
        is_there.set()
        assert may_go_on.wait(10)
        return args

    plain_lock, plain_open = home._take_lock, cores.open
    if moment == "lock":
        monkeypatch.setattr(home, "_take_lock", lambda folder: plain_lock(*wait_there(folder)))
    else:
        monkeypatch.setattr(first, "_open_core", lambda: plain_open(*wait_there()))
    gone = asyncio.ensure_future(first.answer(get("info")))
    assert await asyncio.to_thread(is_there.wait, 10)
    gone.cancel()
    stays = asyncio.ensure_future(first.answer(get("info")))
    await asyncio.wait({gone})
    may_go_on.set()
    assert (await stays).status == 200
    assert len(cores.opened) == 1


async def test_those_who_wait_for_a_core_that_cannot_open_are_told_by_one_try(first, cores, monkeypatch):
    cores.error = ZoeError("the database is away")
    tries = []
    plain = home._take_lock
    monkeypatch.setattr(home, "_take_lock", lambda folder: tries.append(folder) or plain(folder))
    answers = await asyncio.gather(*(first.answer(get("info")) for _ in range(5)))
    assert [answer.status for answer in answers] == [503] * 5
    assert len(tries) == 1


async def test_the_second_server_asks_the_first(first, second, cores):
    await first.answer(submission("mine"))
    answer = await second.answer(get("executions/mine", SECOND))
    assert (answer.status, body_of(answer)["name"]) == (200, "mine")
    assert len(cores.opened) == 1
    info = body_of(await second.answer(get("info", SECOND)))
    assert (info["server"], info["python"]) == ("second", "/opt/python3"), "each tells of itself"


async def test_errors_and_raw_answers_come_through(first, second):
    await first.answer(get("info"))
    missing = await second.answer(get("executions/nobody", SECOND))
    assert (missing.status, body_of(missing)["reason"]) == (404, "not_found")
    logo = await second.answer(get("shop/spark/logo", SECOND))
    assert (logo.headers["Content-Type"], logo.headers["Content-Security-Policy"][:12]) == (
        "image/svg+xml",
        "default-src ",
    )


@pytest.mark.parametrize("path", ["executions/no body/\u00e9", "targets/e1/x HTTP/1.1\r\nX-Zoe-Internal: 1\r\nX-Rest:"])
async def test_a_path_cannot_add_headers_to_what_the_second_server_asks(first, second, path):
    await first.answer(get("info"))
    answer = await asyncio.wait_for(second.answer(get(path, SECOND)), 10)
    assert (answer.status, body_of(answer)["reason"]) == (404, "not_found")
    assert "in this interface" in body_of(answer)["message"]


async def test_streams_come_through_piece_by_piece(first, second):
    await first.answer(get("info"))
    answer = await second.answer(get("events", SECOND, "follow=1"))
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert json.loads(await anext(answer.body))["kind"] == "stream.opened"
    await first.answer(submission("mine"))
    assert json.loads(await asyncio.wait_for(anext(answer.body), 10))["kind"] == "execution.submitted"
    await close_body(answer.body)


async def test_when_the_first_ends_the_second_takes_over(first, second, cores):
    await first.answer(submission("mine"))
    await second.answer(get("info", SECOND))
    await first.close()
    assert cores.opened[0].is_closed
    answer = await second.answer(get("executions/mine", SECOND))
    assert answer.status == 200
    assert second.holds_core
    assert len(cores.opened) == 2


async def test_of_one_that_has_ended_nothing_is_asked(first):
    await first.answer(get("executions"))
    await first.close()
    with pytest.raises(CoreGone):
        await first.answer(get("executions"))


async def test_no_request_is_lost_while_the_core_moves(first, second, cores):
    await second.answer(get("info", SECOND))
    holder, other = (first, second) if first.holds_core else (second, first)
    sent = [asyncio.ensure_future(other.answer(submission(f"n{number}"))) for number in range(20)]
    await asyncio.sleep(0)
    await holder.close()
    answers = await asyncio.gather(*sent)
    assert {answer.status for answer in answers} <= {200, 201}, "200: it was done already when it was sent again"
    assert len(cores.opened[-1].by_id) == 20, "each once"


async def test_a_stale_file_of_a_killed_holder_does_not_lead_astray(first, tmp_path, cores):
    address = read_address(tmp_path / "core.json")
    assert address is None
    await first.answer(get("info"))
    found = read_address(tmp_path / "core.json")
    await first.close()
    write_address(tmp_path / "core.json", found)
    late = Home(tmp_path, cores.open, SECOND)
    assert (await late.answer(get("info", SECOND))).status == 200
    assert late.holds_core
    await late.close()


SPOILT = {
    "pipe": os.mkfifo,
    "folder": os.mkdir,
    "link": lambda place: place.symlink_to("/nowhere"),
    "garbage": lambda place: place.write_bytes(b"\xff\0"),
    "nothing": lambda place: place.touch(),
    "deep": lambda place: place.write_text("[" * 100_000),
    "list": lambda place: place.write_text("[]"),
    "fields": lambda place: place.write_text(
        json.dumps({"address": 1, "token": [], "pid": "x", "boot_id": boot_id(), "host": None})
    ),
}


@pytest.mark.parametrize("kind", SPOILT)
async def test_whatever_lies_in_the_place_of_its_file_the_core_opens(first, tmp_path, kind):
    SPOILT[kind](tmp_path / "core.json")
    assert await asyncio.to_thread(read_address, tmp_path / "core.json") is None
    assert (await asyncio.wait_for(first.answer(get("info")), 30)).status == 200
    assert read_address(tmp_path / "core.json").pid == os.getpid()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system does not tell who is stopped")
async def test_a_holder_that_is_stopped_is_not_waited_for_long(tmp_path, cores, monkeypatch):
    """As after Ctrl-Z: its socket takes connections, and nobody answers."""
    monkeypatch.setattr(remote, "LOOK_S", 0.05)
    monkeypatch.setattr(home, "STOPPED_PATIENCE_S", 0.2)
    taken = socket.socket(socket.AF_UNIX)
    taken.bind(str(tmp_path / "core.sock"))
    taken.listen(8)
    holder = await asyncio.create_subprocess_exec("sleep", "60")
    holder.send_signal(signal.SIGSTOP)
    write_address(tmp_path / "core.json", Address(f"unix:{tmp_path}/core.sock", "t", holder.pid, boot_id()))
    with core_lock(tmp_path):
        late = Home(tmp_path, cores.open, SECOND)
        answer = await asyncio.wait_for(late.answer(get("info", SECOND)), 20)
    holder.kill()
    await holder.wait()
    taken.close()
    assert answer.status == 503
    assert f"kill -CONT {holder.pid}" in body_of(answer)["message"]


async def test_a_core_that_cannot_open_says_why_and_is_tried_again(first, cores):
    cores.error = ZoeError("the database is newer than this Zoe; update zoe-jupyter")
    answer = await first.answer(get("info"))
    assert (answer.status, body_of(answer)["reason"]) == (503, "unavailable")
    assert "update zoe-jupyter" in body_of(answer)["message"]
    cores.error = None
    assert (await first.answer(get("info"))).status == 200


async def test_files_and_sockets_are_for_the_user_alone(first, tmp_path):
    await first.answer(get("info"))
    for name in ("core.json", "core.sock"):
        assert stat.S_IMODE(os.stat(tmp_path / name).st_mode) == 0o600
    await first.close()
    assert not (tmp_path / "core.json").exists()
    assert not (tmp_path / "core.sock").exists()


async def test_a_long_path_gets_a_short_socket(tmp_path, cores):
    folder = tmp_path / ("x" * 90) / ("y" * 90)
    folder.mkdir(parents=True)
    home, other = Home(folder, cores.open, FIRST), Home(folder, cores.open, SECOND)
    await home.answer(get("info"))
    path = read_address(folder / "core.json").socket_path
    assert len(path) < 108
    assert (await other.answer(get("info", SECOND))).status == 200
    await home.close()
    assert not Path(path).parent.exists()
    await other.close()


async def test_nobody_gets_in_without_the_token(first, tmp_path):
    await first.answer(get("info"))
    address = read_address(tmp_path / "core.json")
    for header in (
        "",
        "Authorization: token wrong\r\n",
        f"Authorization: token {address.token}\r\nOrigin: https://evil.example\r\n",
    ):
        reader, writer = await asyncio.open_unix_connection(address.socket_path)
        writer.write(f"GET /zoe/api/info HTTP/1.1\r\nHost: zoe\r\n{header}\r\n".encode())
        assert b"401" in await asyncio.wait_for(reader.readline(), 10)
        writer.close()


async def test_a_core_that_cannot_be_closed_in_time_is_followed_by_another_without_being_asked(
    first, cores, monkeypatch
):
    """As while its database is away."""
    monkeypatch.setattr(core_thread, "CLOSE_S", 0.5)
    monkeypatch.setattr(home, "STAND_BY_S", 0.05)
    await first.answer(get("info"))
    (core,) = cores.opened
    monkeypatch.setattr(core, "close", asyncio.Event().wait)
    first._here._loop.call_soon_threadsafe(core.fenced.set)
    deadline = time.monotonic() + 10
    while len(cores.opened) < 2:
        assert time.monotonic() < deadline, "no other core was opened"
        await asyncio.sleep(0.01)
    assert (await first.answer(get("info"))).status == 200
