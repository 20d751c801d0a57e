"""A service fills its log: with a gigabyte, with a line that has no end, with bytes that control terminals; the disk, the readers and Zoe bear it."""

from __future__ import annotations

import re
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from zoe_jupyter.testing.chaos import ChaosHarness, Server, until

LIMIT, FILES = 1_000_000, 3
MOST = FILES * (LIMIT + 65536)
"""A file may be longer than its limit by one chunk."""
SLOWER = 100
"""So many times as long an answer may take beside a flood, which keeps a core busy."""
TALKER = """
zoe: 1
kind: framework
name: NAME
version: "1"
title: Talks
processes:
  main:
    command: ["{{ python }}", "-I", "-S", "{{ folder }}/talk.py", "{{ folder }}"]
    resources: {cores: 1, memory: 64MiB}
    ready: {log: "^begin", timeout_s: 60}
    restart: {when: never}
    stop: {grace_s: 2}
"""
BEGIN = "import os, sys, time\nout = sys.stdout.buffer\nout.write(b'begin\\n'); out.flush()\n"
END = "\nout.write(b'\\nend\\n'); out.flush()\nopen(sys.argv[1] + '/said', 'w').close()\ntime.sleep(600)\n"
FLOOD = "block = b''.join(b'%09d' % n + b'x' * 90 + b'\\n' for n in range(10000))\nfor _ in range({megabytes}): out.write(block)"
WAIT = "while not os.path.exists(sys.argv[1] + '/go'): time.sleep(0.01)\n"
MISSED = re.compile(rb"\n?\[zoe\] (\d+) bytes of output are missing here: [^\n]*\n")
ENDLESS = "out.write(b'y' * 2**20); out.flush(); time.sleep(0.3); out.write(b'z' * 3 * 2**20); out.flush()"
WILD = r"""
wild = bytes(range(256)) + b'\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m\x1bP\x1b\\ \r\n' + '\u202eright to left'.encode() + b'\xff\xfe\xc3\x28'
for _ in range(100): out.write(wild)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[ChaosHarness]:
    home = ChaosHarness(tmp_path)
    home.furnish(f"c.Zoe.backend_options = {{'log_limit_bytes': {LIMIT}, 'log_files': {FILES}}}")
    yield home
    assert not home.clear()


@pytest.fixture
def server(home: ChaosHarness) -> Iterator[Server]:
    server = home.hatch()
    yield server
    with suppress(AssertionError):
        server.ask("POST", "executions/mine/stop")
    home.settle(server, is_idle=True)
    server.end()


def talks(home: ChaosHarness, server: Server, code: str) -> None:
    """Begin to run what says this."""
    home.add("talker", TALKER.replace("NAME", "talker"))
    (home.folder / "shop" / "talker" / "talk.py").write_text(BEGIN + code + END)
    server.ask("POST", "executions", {"use": "talker", "name": "mine"})


def has_said_all(home: ChaosHarness) -> bool:
    return (home.folder / "shop" / "talker" / "said").exists()


def on_disk(home: ChaosHarness) -> int:
    return sum(size_of(path) for path in (home.state / "run").glob("*/logs/*"))


def look_s(server: Server, path: str) -> float:
    began = time.monotonic()
    server.ask("GET", path)
    return time.monotonic() - began


def size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # rotated away
        return 0


def logs(server: Server, query: str = "", *, limit: int = 1 << 40) -> Iterator[bytes]:
    request = urllib.request.Request(
        f"{server.address}/zoe/api/executions/mine/logs?service=talker.main-0&{query}",
        headers={"Authorization": f"Bearer {server.token}"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        while limit > 0 and (data := answer.read1(65536)):
            limit -= len(data)
            yield data


@pytest.mark.parametrize("megabytes", [1000, pytest.param(10_000, marks=pytest.mark.chaos)])
def test_a_flood_is_bounded_on_the_disk_and_the_server_stays_responsive(
    home: ChaosHarness, server: Server, megabytes: int
) -> None:
    usual_s = max(look_s(server, "executions") for _ in range(10))
    talks(home, server, FLOOD.format(megabytes=megabytes))
    slowest_s, most = 0.0, 0

    def look() -> bool:
        nonlocal slowest_s, most
        slowest_s, most = max(slowest_s, look_s(server, "executions/mine")), max(most, on_disk(home))
        return has_said_all(home)

    until(look, 60 + megabytes / 10)
    assert most <= MOST
    assert slowest_s < SLOWER * usual_s, "one look at it while it floods"
    until(lambda: b"".join(logs(server, "tail=1")) == b"end\n", 10)
    whole = b"".join(logs(server))
    assert len(whole) <= MOST
    assert all(len(line) in (99, 0, 3) for line in whole.split(b"\n")[1:])


def test_a_slow_reader_is_told_how_much_it_missed_to_the_byte(home: ChaosHarness, server: Server) -> None:
    talks(home, server, WAIT + FLOOD.format(megabytes=200))
    read = bytearray()

    def follow() -> None:
        for data in logs(server, "follow=true"):
            read.extend(data)
            time.sleep(0.005)
            if read.endswith(b"\nend\n"):
                return

    until(lambda: on_disk(home), 30)
    reader = threading.Thread(target=follow, daemon=True)
    reader.start()
    until(lambda: read, 30)
    (home.folder / "shop" / "talker" / "go").touch()
    reader.join(60)
    assert not reader.is_alive(), len(read)
    missed = [int(count) for count in MISSED.findall(bytes(read))]
    assert missed, "the reader was fast enough"
    told = len(MISSED.sub(b"", bytes(read))) + sum(missed)
    newlines = len(b"begin\n") + 200_000_000 + len(b"\nend\n") - told
    assert 0 <= newlines <= len(missed), "the one before a mark is the log's own or the mark's: nobody can tell"


def test_a_line_without_an_end_is_kept_and_read_whole(home: ChaosHarness, server: Server) -> None:
    talks(home, server, ENDLESS)
    until(lambda: has_said_all(home), 30)
    until(lambda: b"".join(logs(server, "tail=1")) == b"end\n", 10)
    whole = b"".join(logs(server))
    assert len(whole) <= MOST
    assert whole.endswith(b"z" * 2**20 + b"\nend\n")
    assert server.ask("GET", "executions/mine")["state"] == "running"


def test_bytes_that_control_terminals_pass_unchanged_and_break_nothing(home: ChaosHarness, server: Server) -> None:
    talks(home, server, WILD)
    until(lambda: has_said_all(home), 30)
    until(lambda: b"".join(logs(server)).endswith(b"\nend\n"), 10)
    space: dict[str, bytes] = {}
    exec(WILD.replace("for _ in range(100): out.write(wild)", ""), {}, space)
    assert b"".join(logs(server)) == b"begin\n" + 100 * space["wild"] + b"\nend\n"
