"""Too much at once: submits, executions, followers. Nobody gets a 5xx, nothing accepted is lost, and the others are served meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from zoe_jupyter.server.sockets import FORWARDED, packed
from zoe_jupyter.server.wire import Visitor
from zoe_jupyter.testing.chaos import ChaosHarness, Server

STORM = 1000
SERVED_S = 1.0
WORST = 3.0
"""So many times as long the slowest may take."""
WIDE = """
zoe: 1
kind: framework
name: wide
version: "1"
title: Wide
processes:
  main:
    command: ["{{{{ python }}}}", "-I", "-S", "{{{{ folder }}}}/sleeper.py", "{{{{ folder }}}}", "{{{{ service.name }}}}", "{{{{ service.attempt }}}}"]
    resources: {{cores: 0.1, memory: {memory}}}
"""


def served_s() -> float:
    """A second, and as many as there are others who want each processor now."""
    return SERVED_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: str
    body: Any
    took_s: float


@dataclass(frozen=True)
class Door:
    """The socket on which other servers bring their users' requests."""

    path: str
    token: str

    async def open(self, user: str, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A stream, read to the end of its head."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(self._head(user, "GET", path))
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert b" 200 " in head.partition(b"\r\n")[0]
        return reader, writer

    def _head(self, user: str, method: str, path: str, *more: str) -> bytes:
        lines = [
            f"{method} /zoe/api/{path} HTTP/1.1",
            "Host: zoe",
            f"Authorization: token {self.token}",
            f"{FORWARDED}: {packed(Visitor(user))}",
            *more,
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    async def ask(self, user: str, method: str, path: str, body: Any = None) -> Answer:
        began = time.monotonic()
        reader, writer = await asyncio.open_unix_connection(self.path, limit=1 << 24)
        content = b"" if body is None else json.dumps(body).encode()
        writer.write(self._head(user, method, path, f"Content-Length: {len(content)}", "Connection: close") + content)
        try:
            answer = await asyncio.wait_for(reader.read(), 60)
        finally:
            writer.close()
        headers, _, rest = answer.partition(b"\r\n\r\n")
        return Answer(int(headers.split()[1]), headers.decode(), json.loads(rest or b"null"), time.monotonic() - began)


def door(home: ChaosHarness, server: Server) -> Door:
    """Opens the core, which tells where it listens."""
    server.ask("GET", "executions")
    told = json.loads((home.state / "core.json").read_text())
    return Door(told["address"].removeprefix("unix:"), told["token"])


@pytest.fixture
def home(home: ChaosHarness) -> ChaosHarness:
    """One wide application fits; the next ones wait."""
    home.add("wide", WIDE.format(memory=psutil.virtual_memory().total * 6 // 10))
    (home.folder / "shop" / "wide" / "sleeper.py").write_text((home.crew / "sleeper.py").read_text())
    return home


async def asked_now_and_then(
    door: Door, user: str, *, until: asyncio.Future[Any], pause_s: float = 0.2
) -> list[Answer]:
    """Submits of a user, one after the other, as long as something else goes on."""
    answers: list[Answer] = []
    while not until.done() or not answers:
        answers.append(await door.ask(user, "POST", "executions", {"use": "wide"}))
        await asyncio.wait({until}, timeout=pause_s)
    return answers


async def test_a_storm_of_submits_is_accepted_for_good_or_told_to_come_back_and_hurts_nobody_else(
    home: ChaosHarness,
) -> None:
    server = home.serve()
    try:
        gate = door(home, server)
        await gate.ask("alice", "POST", "executions", {"use": "wide"})
        storm = asyncio.gather(
            *(gate.ask("alice", "POST", "executions", {"use": "wide", "labels": {"n": str(n)}}) for n in range(STORM))
        )
        others = await asked_now_and_then(gate, "bob", until=storm)
        answers = await storm
    finally:
        os.kill(server.process.pid, signal.SIGKILL)
        server.ended()

    statuses = Counter(answer.status for answer in answers)
    assert set(statuses) == {201, 429}, statuses
    assert all("Retry-After: 1" in a.headers for a in answers if a.status == 429)
    assert all(a.body["reason"] == "too_many_requests" for a in answers if a.status == 429)
    assert {a.status for a in others} == {201}
    assert sorted(a.took_s for a in others)[len(others) // 2] < served_s(), [a.took_s for a in others]
    assert max(a.took_s for a in others) < served_s() * WORST, [a.took_s for a in others]

    server = home.serve()
    try:
        accepted = {answer.body["id"] for answer in [*answers, *others] if answer.status == 201}
        stored = {item["id"] for item in server.ask("GET", "executions?limit=1000")["items"]}
        assert accepted <= stored
        assert len(stored) == len(accepted) + 1
    finally:
        server.end()


READERS = 100
CHANGES = 60
GROWTH_BYTES = 64 << 20


class Reader:
    """Follows all events; is cut off again and again when it is a nervous one, and comes back from the last that it has."""

    def __init__(self, door: Door, user: str, *, patience: int) -> None:
        self.door, self.user, self.patience = door, user, patience
        self.seqs: list[int] = []

    async def follow(self, until_seq: asyncio.Future[int]) -> None:
        while not (until_seq.done() and self.seqs and self.seqs[-1] >= until_seq.result()):
            reader, writer = await self.door.open(
                self.user, f"events?follow=1&since={self.seqs[-1] if self.seqs else 0}"
            )
            try:
                await self._read(reader, until_seq)
            finally:
                writer.close()

    async def _read(self, reader: asyncio.StreamReader, until_seq: asyncio.Future[int]) -> None:
        for _ in range(self.patience):
            line = await asyncio.wait_for(reader.readline(), 30)
            event = json.loads(line) if line.strip().startswith(b"{") else {}
            if event.get("kind", "stream.opened") != "stream.opened":
                self.seqs.append(event["seq"])
            if until_seq.done() and self.seqs and self.seqs[-1] >= until_seq.result():
                return


async def test_a_hundred_readers_miss_nothing_and_repeat_nothing_however_often_they_are_cut_off(
    home: ChaosHarness,
) -> None:
    server = home.serve()
    try:
        gate = door(home, server)
        before = psutil.Process(server.process.pid).memory_info().rss
        last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        readers = [Reader(gate, "alice", patience=10_000 if n % 2 else 7 + n) for n in range(READERS)]
        stuck = [await gate.open("alice", "events?follow=1&since=0") for _ in range(20)]
        following = asyncio.gather(*(reader.follow(last) for reader in readers))
        for _ in range(CHANGES):
            await gate.ask("alice", "POST", "executions", {"use": "wide"})
        answer = await gate.ask("alice", "GET", "events?limit=1000")
        last.set_result(answer.body["items"][-1]["seq"])
        await asyncio.wait_for(following, 60)
        assert psutil.Process(server.process.pid).memory_info().rss - before < GROWTH_BYTES
        for _, writer in stuck:
            writer.close()
    finally:
        os.kill(server.process.pid, signal.SIGKILL)
        server.ended()
    for reader in readers:
        upto = [seq for seq in reader.seqs if seq <= last.result()]
        assert upto == list(range(1, last.result() + 1))


async def test_followers_of_logs_and_readers_that_do_not_read_do_not_keep_others_waiting(home: ChaosHarness) -> None:
    server = home.serve()
    try:
        gate = door(home, server)
        mine = (await gate.ask("alice", "POST", "executions", {"use": "wide"})).body["id"]
        await until_running(gate, mine)
        paths = ["events?follow=1&since=0", f"executions/{mine}/logs?follow=1"]
        opened = [await gate.open("alice", paths[n % 2]) for n in range(READERS)]
        done = asyncio.ensure_future(asyncio.sleep(2))
        answers = await asked_now_and_then(gate, "bob", until=done)
        for _, writer in opened:
            writer.close()
    finally:
        os.kill(server.process.pid, signal.SIGKILL)
        server.ended()
    assert {answer.status for answer in answers} == {201}
    assert sorted(a.took_s for a in answers)[len(answers) // 2] < served_s(), [a.took_s for a in answers]


async def until_running(gate: Door, execution_id: str) -> None:
    deadline = time.monotonic() + 30
    while (await gate.ask("alice", "GET", f"executions/{execution_id}")).body["state"] != "running":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
