"""Jupyter servers are killed: the next one finds everything as it was, nothing twice, and leaves nothing behind. Every moment is in ``chaos``."""

from __future__ import annotations

import re
import threading
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest

from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer, free_port, jupyter_home, wait_for

pytestmark = pytest.mark.slow

SLEEPERS = """
zoe: 1
kind: framework
name: sleepers
version: "1"
title: Sleepers
summary: A head that answers, and workers that sleep
processes:
  head:
    command: ["{{ python }}", -m, http.server, "{{ ports.web }}", --bind, "{{ host }}"]
    ports: {web: {protocol: http, title: Files}}
    resources: {cores: 0.1, memory: 64MiB}
    ready: {tcp: web, timeout_s: 30}
  worker:
    after: [head]
    count: {core: 1, elastic: 1}
    command: ["{{ python }}", -c, "import time; time.sleep(3600)"]
    resources: {cores: 0.1, memory: 64MiB}
    stop: {grace_s: 5}
"""
WANTED = {"http.server": 1, "time.sleep": 2}
"""What runs of one execution, by a word of its command."""


@pytest.fixture
def home() -> Iterator[JupyterHome]:
    with jupyter_home() as found:
        folder = found.folder / "shop" / "sleepers"
        folder.mkdir(parents=True)
        (folder / "framework.yaml").write_text(SLEEPERS)
        yield found


def start(home: JupyterHome, *, point: str = "", port: int = 0) -> JupyterServer:
    variables = {"ZOE_FAILPOINT": point} if point else {}
    sources = f"--Zoe.shop_sources={home.folder / 'shop'}"
    return home.start(sources, app="server", variables=variables, port=port)


def submit(server: JupyterServer) -> str:
    return str(server.ask("zoe/api/executions", method="POST", body={"use": "sleepers", "name": "night"})["id"])


def state(server: JupyterServer, execution: str = "night") -> dict[str, Any]:
    found: dict[str, Any] = server.ask(f"zoe/api/executions/{execution}")
    return found


def wait_until(server: JupyterServer, wanted: str, *, execution: str = "night") -> dict[str, Any]:
    """Its record once it is so, with all that it shall have."""

    def look() -> dict[str, Any] | None:
        found = state(server, execution)
        is_whole = wanted != "running" or [one["state"] for one in found["services"]] == ["running"] * 3
        return found if found["state"] == wanted and is_whole else None

    return wait_for(f"{execution} is {wanted}", look, timeout_s=60)


def kinds(home: JupyterHome) -> Counter[str]:
    """How many processes of each kind live."""
    commands = [" ".join(process.cmdline()) for process in home.services() if process.is_running()]
    return Counter(word for command in commands for word in WANTED if word in command)


def expect_whole(home: JupyterHome, server: JupyterServer) -> None:
    """It runs, each service once, and one supervisor looks after it."""
    wait_until(server, "running")
    assert kinds(home) == WANTED
    assert len(home.services()) == sum(WANTED.values()) + 1


def expect_nothing(home: JupyterHome) -> None:
    wait_for("no process is left", lambda: not home.services())


def read_on(server: JupyterServer, path: str) -> threading.Thread:
    """As a tab of details does until the server has gone."""

    def work() -> None:
        with suppress(OSError):
            while True:
                server.ask(path)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_server_that_ends_says_what_runs_on_and_makes_no_noise_about_readers(home: JupyterHome) -> None:
    server = start(home)
    lifetime = {"with": "server", "grace": "10m"}
    server.ask("zoe/api/executions", method="POST", body={"use": "sleepers", "name": "night", "lifetime": lifetime})
    wait_until(server, "running")
    readers = [read_on(server, "zoe/api/executions/night/usage")]
    headers = {"Authorization": f"token {server.token}"}
    log = urllib.request.Request(f"{server.url}zoe/api/executions/night/logs?follow=true", headers=headers)
    with urllib.request.urlopen(log, timeout=60):
        server.stop()
    for reader in readers:
        reader.join(30)
    said = server.log.read_text()
    told = re.search(r"night runs on until \d\d:\d\d\. Start Jupyter again to go on with it", said)
    assert told, said
    after = said[told.end() :]
    assert not re.search(r"503|Traceback|broke|^\[[WE] ", after, re.MULTILINE), after
    server = start(home)
    expect_whole(home, server)


@pytest.mark.parametrize("point", ["submit.after", "launch.after:2"])
def test_a_server_killed_while_an_execution_starts_is_repaired_by_the_next(home: JupyterHome, point: str) -> None:
    first = start(home, point=point)
    # The answer is lost where the kill comes before it.
    with suppress(OSError):
        submit(first)
    wait_for("the server is killed", first.has_ended)
    second = start(home)
    expect_whole(home, second)
    second.ask("zoe/api/executions/night/stop", method="POST", body={})
    wait_until(second, "ended")
    expect_nothing(home)


@pytest.mark.parametrize("point", ["stop.after:2", "clean.before"])
def test_a_server_killed_while_an_execution_stops_is_repaired_by_the_next(home: JupyterHome, point: str) -> None:
    first = start(home, point=point)
    submit(first)
    wait_until(first, "running")
    with suppress(OSError):
        first.ask("zoe/api/executions/night/stop", method="POST", body={})
    wait_for("the server is killed", first.has_ended)
    second = start(home)
    assert wait_until(second, "ended")["outcome"] == "stopped"
    expect_nothing(home)


def test_services_run_on_through_a_kill_of_the_server_and_are_found_again(home: JupyterHome) -> None:
    first = start(home)
    submit(first)
    wait_until(first, "running")
    before = {process.pid for process in home.services()}
    first.kill()
    wait_for("the server's own are gone", lambda: {process.pid for process in home.services()} == before)
    second = start(home)
    assert wait_until(second, "running")["started_at"] > 0
    assert {process.pid for process in home.services()} == before


def test_what_ended_while_no_server_was_there_is_told_as_it_was(home: JupyterHome) -> None:
    first = start(home)
    submit(first)
    wait_until(first, "running")
    first.kill()
    head = next(process for process in home.services() if "http.server" in process.cmdline())
    head.kill()
    psutil.wait_procs([head], timeout=10)
    second = start(home)
    found = wait_for("it is not as before", lambda: _changed(second), timeout_s=30)
    assert "head" in str(found)


def test_a_second_server_forwards_to_the_first_and_takes_over_when_that_is_killed(home: JupyterHome) -> None:
    first = start(home)
    identity = submit(first)
    wait_until(first, "running")
    second = start(home, port=free_port())
    assert state(second)["id"] == identity
    before = {process.pid for process in home.services()}
    first.kill()
    assert wait_until(second, "running")["id"] == identity
    assert {process.pid for process in home.services()} == before
    second.ask("zoe/api/executions/night/stop", method="POST", body={})
    assert wait_until(second, "ended")["outcome"] == "stopped"
    expect_nothing(home)


def test_a_terminal_finds_the_server_that_is_left(home: JupyterHome) -> None:
    first = start(home)
    submit(first)
    start(home, port=free_port())
    first.kill()
    assert [execution["name"] for execution in home.zoe_json("ps")] == ["night"]


def _changed(server: JupyterServer) -> dict[str, Any] | None:
    """It has ended, or the service was started again."""
    found = state(server)
    is_again = any(service["attempt"] > 1 for service in found["services"])
    return found if found["state"] != "running" or is_again else None
