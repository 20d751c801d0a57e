"""Real Jupyter servers and the real core, as processes of their own: one holds the core, the other takes over."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

pytestmark = pytest.mark.slow

TOKEN = "outer-token"
FRAMEWORK = """
zoe: 1
kind: framework
name: sleeper
version: "1"
title: Sleeper
processes:
  main:
    command: ["{{ python }}", "-c", "import time; print('awake', flush=True); time.sleep(600)"]
    resources: {cores: 0.1, memory: 64MiB}
"""


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Server:
    """One Jupyter server in a process."""

    process: subprocess.Popen[bytes]
    port: int

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"Authorization": f"token {TOKEN}"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/zoe/api/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                content = answer.read()
                return answer.status, json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read())

    def page(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, str]:
        """Below the server's base URL, as a browser that is logged in."""
        data = None if body is None else json.dumps(body).encode()
        given = {"Authorization": f"token {TOKEN}", **(headers or {})}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


def until(condition: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "this did not come about"
        time.sleep(0.05)
    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Home of one user, with a shop of their own."""
    (tmp_path / "shop" / "sleeper").mkdir(parents=True)
    (tmp_path / "shop" / "sleeper" / "framework.yaml").write_text(FRAMEWORK)
    (tmp_path / "config").mkdir()
    config = f"c.Zoe.shop_sources = [{str(tmp_path / 'shop')!r}]\n"
    (tmp_path / "config" / "jupyter_zoe_config.py").write_text(config)
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    names = {"DATA": "data", "CONFIG": "config", "RUNTIME": "runtime"}
    folders = {f"JUPYTER_{name}_DIR": str(place / folder) for name, folder in names.items()}
    kept = {name: value for name, value in os.environ.items() if name not in ("ZOE_CONNECTION_FILE", "PYTHONPATH")}
    return {**kept, **folders, "HOME": str(place), "JUPYTER_TOKEN": TOKEN}


@pytest.fixture
def start(place: Path) -> Iterator[Callable[[], Server]]:
    """Start one more Jupyter server of the same user."""
    started: list[Server] = []

    def start() -> Server:
        port = free_port()
        options = {
            "ServerApp.jpserver_extensions": "{'zoe_jupyter': True}",
            "ServerApp.root_dir": str(place),
            "ServerApp.port": str(port),
            "ServerApp.port_retries": "0",
            "ServerApp.open_browser": "False",
            "ServerApp.allow_root": "True",
            "ServerApp.allow_unauthenticated_access": "False",
        }
        words = [f"--{name}={value}" for name, value in options.items()]
        with (place / f"server-{len(started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "jupyter_server", *words],
                env=environment(place),
                cwd=place,
                stdout=log,
                stderr=log,
            )
        started.append(Server(process, port))
        until(lambda: _listens(port) or process.poll() is not None)
        assert process.poll() is None, (place / f"server-{len(started) - 1}.log").read_text()
        return started[-1]

    yield start
    for server in started:
        if server.process.poll() is None:
            stop_everything(server)
    for server in started:
        server.process.terminate()
        server.process.wait(30)


def stop_everything(server: Server) -> None:
    """Leave no service behind."""
    _, page = server.ask("GET", "executions")
    live = [item["id"] for item in page["items"] if item["state"] != "ended"]
    for execution in live:
        server.ask("POST", f"executions/{execution}/stop")
    until(lambda: all(server.ask("GET", f"executions/{execution}")[1]["state"] == "ended" for execution in live))


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def holder(place: Path) -> int:
    try:
        return int(json.loads((place / "data" / "zoe" / "core.json").read_text())["pid"])
    except (OSError, ValueError):
        return 0


def is_running(server: Server, execution: str) -> bool:
    return bool(server.ask("GET", f"executions/{execution}")[1]["state"] == "running")


def test_a_second_server_forwards_and_takes_over_when_the_first_is_killed(start, place):
    first, second = start(), start()
    status, execution = first.ask("POST", "executions", {"use": "sleeper", "name": "mine"})
    assert status == 201, execution
    assert holder(place) == first.process.pid
    until(lambda: is_running(second, "mine"))
    assert holder(place) == first.process.pid, "the second one asked the first"
    assert second.ask("GET", "info")[1]["server"] != first.ask("GET", "info")[1]["server"]
    services = second.ask("GET", "executions/mine")[1]["services"]
    first.kill()
    status, body = second.ask("GET", "executions/mine")
    assert (status, body["id"]) == (200, execution["id"])
    assert holder(place) == second.process.pid
    until(lambda: is_running(second, "mine"))
    assert [service["attempt"] for service in second.ask("GET", "executions/mine")[1]["services"]] == [
        service["attempt"] for service in services
    ]


def test_a_server_that_nobody_asks_takes_over_what_lives(start, place):
    first = start()
    status, _ = first.ask("POST", "executions", {"use": "sleeper", "name": "mine"})
    assert status == 201
    until(lambda: is_running(first, "mine"))
    second = start()
    until(lambda: holder(place) == first.process.pid)
    first.kill()
    until(lambda: holder(place) == second.process.pid)


def test_a_restarted_server_wakes_the_core_for_what_lives(start, place):
    first = start()
    first.ask("POST", "executions", {"use": "sleeper", "name": "mine"})
    until(lambda: is_running(first, "mine"))
    first.process.terminate()
    first.process.wait(30)
    assert not (place / "data" / "zoe" / "core.json").exists()
    second = start()
    until(lambda: holder(place) == second.process.pid)
    assert is_running(second, "mine")


def serve(place: Path, *words: str) -> subprocess.Popen[str]:
    command = (
        "import sys; from zoe_jupyter.server.serve import ServeCommand; sys.exit(ServeCommand().run(sys.argv[1:]))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", command, *words],
        env=environment(place),
        cwd=place,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_zoe_serves_alone_and_ends_when_told(place):
    process = serve(place, "--port=0")
    with process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["address"].startswith("http://127.0.0.1:")
        token = json.loads(Path(ready["file"]).read_text())["token"]
        request = urllib.request.Request(
            f"{ready['address']}/zoe/api/shop/sleeper", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.loads(answer.read())["entry"]["title"] == "Sleeper"
        other = serve(place)
        assert other.wait(60) == 3
        assert f"process {process.pid}" in other.communicate()[1]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not Path(ready["file"]).exists()
    assert not (place / "data" / "zoe" / "core.json").exists()


def test_a_jupyter_server_asks_the_zoe_that_serves_alone(start, place):
    alone = serve(place)
    with alone:
        assert alone.stdout is not None
        alone.stdout.readline()
        server = start()
        assert server.ask("GET", "info")[0] == 200
        assert holder(place) == alone.pid
        alone.terminate()
        alone.wait(30)
        assert server.ask("GET", "info")[0] == 200
        assert holder(place) == server.process.pid


async def test_a_jupyter_behind_the_proxy_works_and_does_not_log_the_user_out(start):
    server = start()
    status, execution = server.ask("POST", "executions", {"use": "jupyter", "name": "inner"})
    assert status == 201, execution
    until(lambda: is_running(server, "inner"), 120.0)
    (endpoint,) = server.ask("GET", "executions/inner")[1]["endpoints"]
    status, page = server.page("GET", endpoint["url"])
    assert status == 200
    prefix = f"/zoe/at/{execution['id']}/{endpoint['name']}/"
    assert f'"baseUrl": "{prefix}"' in page
    assert TOKEN not in page
    status, kernel = server.page("POST", f"{prefix[1:]}api/kernels", {}, {"X-XSRFToken": "of the outer one"})
    assert status == 201, kernel
    url = f"ws://127.0.0.1:{server.port}{prefix}api/kernels/{json.loads(kernel)['id']}/channels"
    channels = await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {TOKEN}"}))
    header = {"msg_id": "m1", "msg_type": "kernel_info_request", "session": "s", "username": "u", "version": "5.3"}
    await channels.write_message(
        json.dumps({"header": header, "parent_header": {}, "metadata": {}, "content": {}, "channel": "shell"})
    )
    seen = ""
    while "kernel_info_reply" not in seen:
        message = await asyncio.wait_for(channels.read_message(), 60)
        assert message is not None
        seen = message if isinstance(message, str) else message.decode("utf-8", "replace")
    channels.close()
    _, answer = server.page("GET", f"{prefix[1:]}api/status?token={TOKEN}")
    assert "kernels" in json.loads(answer)
