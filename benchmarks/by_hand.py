"""The script that one would write without Zoe: start the programs, waiting where one needs another. Standard library only."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAUSE_S = 0.01
LONGEST_S = 120.0


@dataclass(slots=True)
class Services:
    """What was started: processes, and where their ports are now."""

    folder: Path
    processes: list[subprocess.Popen[bytes]]
    orders: list[dict[str, Any]]

    def port(self, service: str, name: str) -> int:
        return next(int(order["port_numbers"][name]) for order in self.orders if order["service"] == service)

    def stop(self) -> None:
        for process in reversed(self.processes):
            os.killpg(process.pid, signal.SIGTERM)
        for process in self.processes:
            _wait_for_end(process)
        shutil.rmtree(self.folder, ignore_errors=True)


def _wait_for_end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def start(recorded: str) -> Services:
    """Start the recorded services in their order; what comes after another waits until that is ready."""
    folder = Path(tempfile.mkdtemp(prefix="by-hand-"))
    orders = _moved([json.loads(line) for line in Path(recorded).read_text().splitlines()], folder)
    services = Services(folder, [], orders)
    is_ready: set[str] = set()
    for order in orders:
        for first in orders:
            if first["service"] in order["after"] and first["service"] not in is_ready:
                wait_until_ready(first)
                is_ready.add(first["service"])
        services.processes.append(_start(order))
    return services


def wait_until_ready(order: dict[str, Any]) -> None:
    """As its probe says: something listens on a port, or answers there, or a line of its log says so."""
    deadline = time.monotonic() + LONGEST_S
    while not _is_ready(order, order["ready"]):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{order['service']} is not ready")
        time.sleep(PAUSE_S)


def _is_ready(order: dict[str, Any], ready: dict[str, Any]) -> bool:
    if ready["log"]:
        return re.search(ready["log"], Path(order["folder"], "log").read_text(errors="replace")) is not None
    port, _, path = (ready["tcp"] or ready["http"]).partition("/")
    number = order["port_numbers"][port]
    return _answers(number, path) if ready["http"] else _listens(number)


def _start(order: dict[str, Any]) -> subprocess.Popen[bytes]:
    place = Path(order["folder"])
    for path in (place, Path(order["cwd"])):
        path.mkdir(parents=True, exist_ok=True)
    for name, content in order["files"].items():
        (place / name).touch(mode=0o600)
        (place / name).write_text(content)
    with (place / "log").open("wb") as log:
        return subprocess.Popen(
            order["command"], cwd=order["cwd"], env=order["environment"], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip


def _moved(orders: list[dict[str, Any]], folder: Path) -> list[dict[str, Any]]:
    """The same orders with ports of our own, in a folder of our own."""
    text = json.dumps(orders)
    run = re.escape(str(Path(orders[0]["folder"]).parent.parent))
    text = re.sub(run, str(folder), text)
    for port in {number for order in orders for number in order["port_numbers"].values()}:
        text = re.sub(rf"\b{port}\b", str(_free_port()), text)
    moved: list[dict[str, Any]] = json.loads(text)
    return moved


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
