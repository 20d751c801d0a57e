"""Probes that meet awkward services."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import pytest

from tests.backends.local.conftest import pids
from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.backends.local.supervisor.ports import listeners, sockets_of
from zoe_jupyter.model.application import Port, Probe
from zoe_jupyter.model.errors import Fatal
from zoe_jupyter.testing.backend_contract import FOREVER, SERVER, Runner

ANSWERS = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
answers = [part.encode().decode("unicode_escape").encode() for part in sys.argv[2:]]
while True:
    connection, _ = listener.accept()
    if asked := connection.recv(1000):
        print(asked.split()[1].decode(), flush=True)
        connection.sendall(answers.pop(0) if len(answers) > 1 else answers[0])
    connection.close()
"""


async def start_server(runner: Runner, probe: Probe, *answers: str, code: str = ANSWERS) -> None:
    reserved = await runner.reserve("one")
    command = (sys.executable, "-u", "-c", code, str(reserved.ports["web"]), *answers)
    await runner.launch(
        runner.order("one", command=command, ports={"web": Port()}, port_numbers=reserved.ports, ready=probe)
    )


async def test_an_http_probe_waits_for_a_good_answer(runner: Runner) -> None:
    answers = ("", "garbage\\r\\n\\r\\n", "HTTP/1.1 503 Wait\\r\\n\\r\\n", "HTTP/1.0 302 Found\\r\\n\\r\\n")
    await start_server(runner, Probe(http="web/health"), *answers)
    await runner.until("one", "app.main-0", SeenState.READY)
    assert (await runner.output("one")).split() == [b"/health"] * len(answers), "none but the last was good enough"


async def test_what_an_http_probe_last_got_is_told(runner: Runner) -> None:
    await start_server(runner, Probe(http="web/health", timeout_s=1.5), "HTTP/1.1 500 Broken\\r\\n\\r\\n")
    seen = await runner.ended("one")
    assert seen.reason is not None
    assert seen.reason.code == "not_ready"
    assert "/health: it said 'HTTP/1.1 500 Broken'" in seen.reason.text
    assert seen.reason.text.startswith("not ready after 1.5 s: waited for an answer from http://127.0.0.1:")


async def test_what_a_probe_meets_while_the_service_is_ended_is_not_told(runner: Runner) -> None:
    """It hangs up on everybody once it is asked to end, and takes its time."""
    code = ANSWERS.replace(
        "while True:",
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (listener.close(), time.sleep(1), sys.exit(0)))\n"
        "while True:",
    )
    await start_server(runner, Probe(http="web/", timeout_s=0.5), "HTTP/1.1 500 Broken\\r\\n\\r\\n", code=code)
    seen = await runner.ended("one")
    assert seen.reason is not None
    assert seen.reason.text.endswith("it said 'HTTP/1.1 500 Broken'"), seen.reason


async def test_a_port_that_nobody_opens_is_told(runner: Runner) -> None:
    await start_server(runner, Probe(tcp="web", timeout_s=0.5), code=FOREVER)
    seen = await runner.ended("one")
    assert seen.reason is not None
    assert "nothing listens there" in seen.reason.text
    assert "port web" in seen.reason.text


async def test_a_server_that_accepts_and_says_nothing_is_not_ready(runner: Runner) -> None:
    code = "import socket, sys, time; listener = socket.create_server(('127.0.0.1', int(sys.argv[1]))); time.sleep(600)"
    await start_server(runner, Probe(http="web/", timeout_s=1.0), code=code)
    seen = await runner.ended("one")
    assert seen.reason is not None
    assert seen.reason.code == "not_ready"


async def test_a_child_may_be_the_one_that_listens(runner: Runner) -> None:
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SERVER!r}, sys.argv[1]])"
    await start_server(runner, Probe(tcp="web"), code=code)
    seen = await runner.until("one", "app.main-0", SeenState.READY)
    number = seen.ports["web"]
    held = listeners(number)
    assert held & sockets_of(set(pids()))
    assert not held & sockets_of({seen.handle["pid"]}), "it is the child's"


async def test_a_pattern_that_takes_forever_does_not_stop_the_supervisor(runner: Runner) -> None:
    code = "import time\nfor _ in range(50): print('a' * 40 + 'b', flush=True)\nprint('ready', flush=True)\ntime.sleep(600)"
    await runner.launch(runner.order("one", code=code, ready=Probe(log=r"^(a+)+$", timeout_s=4)))
    await runner.start("one", "app.other-0")
    seen = await runner.ended("one")
    assert seen.reason is not None
    assert "it took too long on 8 lines" in seen.reason.text


async def test_a_line_without_an_end_is_looked_at_once(runner: Runner, tmp_path: Path) -> None:
    """No later piece of it is taken for the beginning of another line."""
    go = tmp_path / "go"
    code = (
        "import os, sys, time\n"
        "sys.stdout.write('x' + 'ready' * 200_000); sys.stdout.flush()\n"
        f"while not os.path.exists({str(go)!r}): time.sleep(0.01)\n"
        "print('\\nready now', flush=True); time.sleep(600)"
    )
    await runner.launch(runner.order("one", code=code, ready=Probe(log="^ready")))
    await runner.said("one", "app.main-0", b"ready" * 200_000)
    seen = await runner.seen("one")
    assert seen is not None
    assert seen.state is SeenState.STARTING
    go.touch()
    await runner.until("one", "app.main-0", SeenState.READY)


async def test_a_wrong_pattern_or_port_is_fatal(runner: Runner) -> None:
    with pytest.raises(Fatal, match="pattern"):
        await runner.launch(runner.order("one", ready=Probe(log="(")))
    with pytest.raises(Fatal, match="nowhere"):
        await runner.launch(runner.order("one", ready=Probe(tcp="nowhere")))


async def test_a_failed_check_is_told_and_its_hanging_child_is_ended(runner: Runner) -> None:
    await runner.launch(
        runner.order("one", ready=Probe(command=(sys.executable, "-c", "raise SystemExit(2)"), timeout_s=1.5))
    )
    await runner.launch(
        runner.order("one", "app.hang-0", ready=Probe(command=(sys.executable, "-c", FOREVER), timeout_s=1.0))
    )
    failed, hanging = await asyncio.gather(runner.ended("one"), runner.ended("one", "app.hang-0"))
    assert failed.reason is not None
    assert hanging.reason is not None
    assert failed.reason.text.endswith("last it exited with 2")
    assert hanging.reason.code == "not_ready"
    assert not runner.world.marked("one/app")


async def test_who_exits_before_it_is_ready_is_told_with_its_last_words(runner: Runner) -> None:
    code = "import sys; print('Traceback', file=sys.stderr); print('KeyError: 7', file=sys.stderr); raise SystemExit(1)"
    await runner.launch(runner.order("one", code=code, ready=Probe(log="never")))
    seen = await runner.ended("one")
    assert seen.reason is not None
    assert (seen.reason.code, seen.reason.text) == ("exited", "exited with 1")
    assert seen.reason.numbers["log"] == ["Traceback", "KeyError: 7"]


async def test_a_drain_that_takes_too_long_is_ended(runner: Runner) -> None:
    await runner.start("one")
    began = time.monotonic()
    command = (
        sys.executable,
        "-c",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])",
    )
    assert await runner.backend.run("one", "app.main-0", 1, command, environment={}, timeout_s=1) == 124
    assert time.monotonic() - began < 8
    assert (await runner.until("one", "app.main-0", SeenState.READY)).exit_code is None
