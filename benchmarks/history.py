"""How long a page takes, and a start of Zoe, with ten thousand executions stored, a hundred of which live."""

from __future__ import annotations

import os
import signal
import sqlite3
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from benchmarks.running import Effort, Report, add, note
from zoe_jupyter.testing.chaos import ChaosHarness, Server, until

STORED, QUICK_STORED = 10_000, 300
LIVE, QUICK_LIVE = 100, 5
PAGES, QUICK_PAGES = 50, 5
LIMIT_S = 120.0
PLAIN = """
zoe: 1
kind: framework
name: plain
version: "1"
title: Sleeps
processes:
  main:
    command: ["{{ python }}", "-I", "-S", "-c", "import time; time.sleep(3600)", "{{ folder }}"]
    resources: {cores: 0.01, memory: 32MiB}
    stop: {grace_s: 0}
"""
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) INSERT INTO"
COPIES = (
    """{numbers} zoe_executions SELECT printf('c-%06d', i), owner, 'n' || i, state, parent, created_at - i, ended_at, version, body
        FROM n, zoe_executions WHERE state = 'ended' AND id NOT LIKE 'c-%'""",
    # Every application is a little different, so that none is found in memory.
    """{numbers} zoe_applications SELECT printf('c-%06d', i), replace(body, 'Sleeps', 'Sleeps ' || i)
        FROM n, zoe_applications WHERE execution_id = '{one}'""",
    "{numbers} zoe_labels SELECT printf('c-%06d', i), 'team', 't' || (i % 7) FROM n",
    """{numbers} zoe_events SELECT (SELECT max(seq) FROM zoe_events) + i, 0, 'execution.ended', printf('c-%06d', i), 'nobody', '{{}}' FROM n""",
    "UPDATE zoe_core SET seq = (SELECT max(seq) FROM zoe_events)",
)


def measure(effort: Effort) -> Report:
    """``page_ms``: a first page of a hundred through REST, the median of many; ``start_s``: until a started Zoe answers with all that lives."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="zoe-history-") as folder:
        home = ChaosHarness(Path(folder))
        home.furnish()
        home.add("plain", PLAIN)
        try:
            _live(home, QUICK_LIVE if effort.is_quick else LIVE)
            _fill(home.database, QUICK_STORED if effort.is_quick else STORED)
            rounds = [_round(home, effort) for _ in range(effort.pairs)]
        finally:
            for pid in home.processes():
                os.kill(pid, signal.SIGKILL)
    for name in ("start_s", "page_ms"):
        add(report, name, (found[name] for found in rounds))
    report.runs += [{"pair": number, "side": "zoe", **found} for number, found in enumerate(rounds)]
    return report


def _live(home: ChaosHarness, count: int) -> None:
    """So many that run, and one that has ended."""
    server = home.serve()
    try:
        for _ in range(count):
            server.ask("POST", "executions", {"use": "plain"})
        until(lambda: _count(server, "running") == count, LIMIT_S, lambda: _count(server, "running"))
        ended = server.ask("POST", "executions", {"use": "plain"})["id"]
        server.ask("POST", f"executions/{ended}/stop")
        until(lambda: server.ask("GET", f"executions/{ended}")["state"] == "ended", LIMIT_S)
    finally:
        server.end()


def _count(server: Server, state: str) -> int:
    return len(server.ask("GET", f"executions?limit=1000&state={state}")["items"])


def _fill(database: Path, count: int) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        (one,) = connection.execute("SELECT id FROM zoe_executions WHERE state = 'ended'").fetchone()
        numbers = NUMBERS.format(count=count)
        for statement in COPIES:
            connection.execute(statement.format(numbers=numbers, one=one))


def _round(home: ChaosHarness, effort: Effort) -> dict[str, float]:
    alive = QUICK_LIVE if effort.is_quick else LIVE
    began = time.monotonic()
    server = home.serve()
    try:
        items = server.ask("GET", f"executions?limit={alive}&state=running")["items"]
        start_s = time.monotonic() - began
        assert len(items) == alive
        taken = []
        for _ in range(QUICK_PAGES if effort.is_quick else PAGES):
            began = time.monotonic()
            page = server.ask("GET", "executions")
            taken.append(time.monotonic() - began)
            assert len(page["items"]) == 100
    finally:
        server.end()
    found = {"start_s": round(start_s, 3), "page_ms": round(1000 * statistics.median(taken), 1)}
    note(f"{found}")
    return found
