"""How many submits a second are accepted for good, on SQLite and PostgreSQL, and whether one is lost when Zoe is killed in the middle."""

from __future__ import annotations

import http.client
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.running import Effort, Report, add, note
from zoe_jupyter.testing.chaos import ChaosHarness, Server, until
from zoe_jupyter.testing.postgresql import running_postgresql

SUBMITS, QUICK_SUBMITS = 1000, 40
CLIENTS = 8
LIMIT_S = 60.0
ENTRY = "hall"
"""Takes all of the machine: the first one runs, the others wait."""


class Client(threading.Thread):
    """Submits one after the other on one connection, until it has submitted ``count`` or nobody answers any more."""

    def __init__(self, server: Server, count: int) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._count = count
        self.accepted: list[str] = []
        self.start()

    def run(self) -> None:
        connection = http.client.HTTPConnection(urlsplit(self._server.address).netloc, timeout=60)
        body = json.dumps({"use": ENTRY}).encode()
        headers = {"Authorization": f"Bearer {self._server.token}", "Content-Type": "application/json"}
        try:
            while len(self.accepted) < self._count:
                connection.request("POST", "/zoe/api/executions", body, headers)
                answer = connection.getresponse()
                told = json.loads(answer.read())
                if answer.status != 201:
                    raise RuntimeError(f"{answer.status}: {told}")
                self.accepted.append(told["id"])
        except (OSError, http.client.HTTPException) as error:
            note(f"a client was cut off after {len(self.accepted)} submits: {error!r}")
        finally:
            connection.close()


def measure(effort: Effort) -> Report:
    """Each pair: both databases, new ones, with all submits; then once more on each, killed when half of them are accepted."""
    report = Report()
    lost = 0
    with running_postgresql() as postgresql:
        rates: dict[str, list[float]] = {"sqlite": [], "postgresql": []}
        for number in range(effort.pairs):
            for side, found in rates.items():
                url = postgresql.new_database() if side == "postgresql" else ""
                found.append(_rate(url, effort))
                note(f"pair {number + 1} of {effort.pairs}: {side}: {found[-1]:.0f} a second")
                report.runs.append({"pair": number, "side": side, "per_s": round(found[-1], 1)})
        for side in rates:
            lost += _lost(postgresql.new_database() if side == "postgresql" else "", effort)
    for side, found in rates.items():
        add(report, f"{side}_per_s", found, digits=1)
    report.figures["lost"] = lost
    return report


def _rate(url: str, effort: Effort) -> float:
    count = QUICK_SUBMITS if effort.is_quick else SUBMITS
    with _home(url) as home:
        server = home.serve()
        try:
            first = server.ask("POST", "executions", {"use": ENTRY})["id"]
            until(lambda: server.ask("GET", f"executions/{first}")["state"] == "running", LIMIT_S)
            began = time.monotonic()
            clients = [Client(server, count // CLIENTS) for _ in range(CLIENTS)]
            for client in clients:
                client.join()
            taken_s = time.monotonic() - began
            accepted = sum(len(client.accepted) for client in clients)
            assert accepted == count // CLIENTS * CLIENTS, "a client was cut off"
            return accepted / taken_s
        finally:
            server.kill()


def _lost(url: str, effort: Effort) -> int:
    """Submits that were answered with 201 and are not there after a SIGKILL in the middle."""
    half = (QUICK_SUBMITS if effort.is_quick else SUBMITS) // 2
    with _home(url) as home:
        server = home.serve()
        clients = [Client(server, SUBMITS) for _ in range(CLIENTS)]
        while sum(len(client.accepted) for client in clients) < half and any(client.is_alive() for client in clients):
            time.sleep(0.005)
        server.kill()
        for client in clients:
            client.join()
        accepted = {own for client in clients for own in client.accepted}
        server = home.serve()
        try:
            stored = _all_stored(server)
        finally:
            server.end()
    note(f"{len(accepted)} accepted, {len(stored)} stored")
    return len(accepted - stored)


def _all_stored(server: Server) -> set[str]:
    found: set[str] = set()
    cursor: str | None = ""
    while cursor is not None:
        page = server.ask("GET", f"executions?limit=1000&cursor={cursor}")
        found |= {item["id"] for item in page["items"]}
        cursor = page["next_cursor"]
    return found


@contextmanager
def _home(url: str) -> Iterator[ChaosHarness]:
    """One user's Zoe; so many submits at once are allowed as there are clients."""
    with tempfile.TemporaryDirectory(prefix="zoe-submits-") as folder:
        home = ChaosHarness(Path(folder))
        home.furnish(f"c.Zoe.database_url = {url!r}\n" if url else "")
        try:
            yield home
        finally:
            for pid in home.processes():
                os.kill(pid, signal.SIGKILL)
