"""What a hundred living executions cost the server, and how soon a reader hears of a change among them."""

from __future__ import annotations

import asyncio
import json
import os
import queue
import signal
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from benchmarks.running import Effort, Report, add, cpu_percent, note
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer, jupyter_home, wait_for

EXECUTIONS, QUICK_EXECUTIONS = 100, 3
PROCESSES = 4
WATCHED_S, QUICK_WATCHED_S = 30.0, 2.0
CHANGES, QUICK_CHANGES = 40, 4
"""Of each round."""
START_S = 600.0
EVENT_S = 30.0
PAUSE_S = 0.25
MIB = 1 << 20
ENTRY = f"""
zoe: 1
kind: framework
name: sleepers
version: "1"
title: Sleepers
processes:
  main:
    count: {{core: {PROCESSES}}}
    command: ["sleep", "100000"]
    resources: {{cores: 0.01, memory: 4MiB}}
    restart: {{attempts: 100, delay_s: 0}}
    stop: {{grace_s: 0}}
"""


def measure(effort: Effort) -> Report:
    """The whole Jupyter server is measured: the core cannot be dearer than that. Changes are submits, stops, and processes that are killed."""
    report = Report()
    count = QUICK_EXECUTIONS if effort.is_quick else EXECUTIONS
    with tempfile.TemporaryDirectory(prefix="zoe-shop-") as shop, jupyter_home() as home:
        (Path(shop) / "sleepers").mkdir()
        (Path(shop) / "sleepers" / "framework.yaml").write_text(ENTRY)
        server = home.start(f"--Zoe.shop_sources={shop}", app="server")
        ids = [_submit(server) for _ in range(count)]
        _until_running(server, ids)
        with _reader(server) as events:
            process = psutil.Process(server.process.pid)
            seconds = QUICK_WATCHED_S if effort.is_quick else WATCHED_S
            report.figures["server_cpu_percent"] = round(cpu_percent(process, seconds), 2)
            changes = range(QUICK_CHANGES if effort.is_quick else CHANGES)
            rounds = [[_change(server, home, ids, n, events) for n in changes] for _ in range(effort.pairs)]
        report.figures |= _memory(process, home, count)
        server.stop()
    _add_delays(report, rounds)
    return report


Delays = list[tuple[str, float]]
"""The kind of each change, and how many seconds it took to be heard of."""


def _add_delays(report: Report, rounds: Sequence[Delays]) -> None:
    """Over the rounds the median of what each came to: one pause of a busy machine makes one round bad, and not the figure."""
    for number, found in enumerate(rounds):
        for change in ("exit", "stop", "submit"):
            delays_ms = [round(1000 * delay_s, 1) for kind, delay_s in found if kind == change]
            report.runs.append({"side": "zoe", "round": number, "change": change, "event_ms": delays_ms})
    ordered = [sorted(1000 * delay_s for _, delay_s in found) for found in rounds]
    add(report, "event_median_ms", [statistics.median(delays) for delays in ordered], digits=1)
    add(report, "event_p95_ms", [delays[int(0.95 * len(delays))] for delays in ordered], digits=1)


def _submit(server: JupyterServer) -> str:
    return str(server.ask("zoe/api/executions", method="POST", body={"use": "sleepers"})["id"])


def _until_running(server: JupyterServer, ids: list[str]) -> None:
    def are_all() -> bool:
        running = server.ask("zoe/api/executions?state=running&limit=1000")["items"]
        note(f"{len(running)} of {len(ids)} run")
        return len(running) == len(ids)

    wait_for("all run", are_all, timeout_s=START_S, pause_s=PAUSE_S)


Heard = queue.SimpleQueue[tuple[float, dict[str, Any]]]


@contextmanager
def _reader(server: JupyterServer) -> Iterator[Heard]:
    """Every event with the moment at which a WebSocket brought it."""
    heard: Heard = queue.SimpleQueue()
    loop = asyncio.new_event_loop()

    async def read() -> None:
        url = server.url.replace("http", "ws", 1) + "zoe/api/events"
        connection = await websocket_connect(HTTPRequest(url, headers={"Authorization": f"token {server.token}"}))
        while (message := await connection.read_message()) is not None:
            heard.put((time.monotonic(), json.loads(message)))

    task = loop.create_task(read())
    thread = threading.Thread(target=_run, args=(loop, task), daemon=True)
    thread.start()
    assert heard.get(timeout=EVENT_S)[1]["kind"] == "stream.opened"
    try:
        yield heard
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(EVENT_S)
        loop.close()


def _run(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(task)


def _change(server: JupyterServer, home: JupyterHome, ids: list[str], number: int, events: Heard) -> tuple[str, float]:
    """Change something, and say how long its first event took; half of the changes are processes that end."""
    kind = ("exit", "submit", "exit", "stop")[number % 4]
    if kind == "exit":
        execution_id = ids[number % len(ids)]
        pid = _process_of(home, execution_id)
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        return kind, _first_of(execution_id, events) - began
    began = time.monotonic()
    if kind == "stop":
        execution_id = ids[-1]
        server.ask(f"zoe/api/executions/{ids.pop()}/stop", method="POST", body={})
    else:
        execution_id = _submit(server)
        ids.append(execution_id)
    delay_s = _first_of(execution_id, events) - began
    if kind == "submit":
        _until_running(server, ids)
    return kind, delay_s


def _first_of(execution_id: str, events: Heard) -> float:
    while True:
        at, event = events.get(timeout=EVENT_S)
        if event["execution_id"] == execution_id:
            while not events.empty():
                events.get()
            return at


def _process_of(home: JupyterHome, execution_id: str) -> int:
    mark = f"/{execution_id}/"
    found = (p.pid for p in home.services() if p.name() == "sleep" and mark in p.environ().get("ZOE_SERVICE", ""))
    return next(found)


def _memory(process: psutil.Process, home: JupyterHome, count: int) -> dict[str, float]:
    """Of the server, and what each supervisor has for itself beside what they share."""
    supervisors = [p for p in psutil.process_iter() if str(home.data) in " ".join(_command(p))]
    own = [p.memory_full_info().uss / MIB for p in supervisors]
    return {
        "server_mib": round(process.memory_info().rss / MIB, 1),
        "supervisor_mib": round(statistics.median(own), 1) if own else 0.0,
        "executions": count,
    }


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
