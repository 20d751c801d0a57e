"""What Zoe adds between a submit and the moment at which all its processes run, over spawning them directly."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.running import Effort, Report, add, in_turns
from zoe_jupyter.testing.chaos import ChaosHarness, Server, until

PROCESSES = 4
ROUNDS, QUICK_ROUNDS = 5, 1
"""Of each pair."""
LIMIT_S = 60.0
PROGRAM = """
import sys, time
now = time.monotonic()
with open(sys.argv[1], "a") as file:
    file.write(f"{now}\\n")
time.sleep(600)
"""
ENTRY = """
zoe: 1
kind: framework
name: stamps
version: "1"
title: Stamps
processes:
  main:
    count: {{core: {count}}}
    command: ["{{{{ python }}}}", "-I", "-S", "{program}", "{stamps}"]
    resources: {{cores: 0.1, memory: 32MiB}}
    stop: {{grace_s: 0}}
"""


def measure(effort: Effort) -> Report:
    """Both sides start the same programs, which write down when they begin; on Zoe's side the core is warm."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="zoe-spawn-") as folder, _zoe(Path(folder)) as (home, server):
        stamps = home.folder / "stamps"
        for _ in range(2):
            _through_zoe(server, stamps, home)
        rounds = QUICK_ROUNDS if effort.is_quick else ROUNDS
        sides = (
            lambda: [_through_zoe(server, stamps, home) for _ in range(rounds)],
            lambda: [_directly(stamps, home) for _ in range(rounds)],
        )
        pairs: list[list[list[float]]] = in_turns(("zoe", "by_hand"), sides, effort=effort)
    medians = [[statistics.median(taken) for taken in pair] for pair in pairs]
    add(report, "added_ms", (1000 * (zoe_s - by_hand_s) for zoe_s, by_hand_s in medians), digits=1)
    for side, name in enumerate(("zoe", "by_hand")):
        report.figures[f"{name}_ms"] = round(1000 * statistics.median(pair[side] for pair in medians), 1)
        report.runs += [
            {"pair": number, "side": name, "ms": [round(1000 * taken_s, 1) for taken_s in pair[side]]}
            for number, pair in enumerate(pairs)
        ]
    return report


@contextmanager
def _zoe(folder: Path) -> Iterator[tuple[ChaosHarness, Server]]:
    home = ChaosHarness(folder)
    home.furnish()
    program = folder / "program.py"
    program.write_text(PROGRAM)
    home.add("stamps", ENTRY.format(count=PROCESSES, program=program, stamps=folder / "stamps"))
    server = home.serve()
    try:
        yield home, server
    finally:
        server.end()
        for pid in home.processes():
            os.kill(pid, signal.SIGKILL)


def _through_zoe(server: Server, stamps: Path, home: ChaosHarness) -> float:
    stamps.write_text("")
    began = time.monotonic()
    execution = server.ask("POST", "executions", {"use": "stamps"})
    taken_s = _last_stamp(stamps) - began
    server.ask("POST", f"executions/{execution['id']}/stop")
    until(lambda: not home.run_folders() and not home.processes(), LIMIT_S)
    return taken_s


def _directly(stamps: Path, home: ChaosHarness) -> float:
    stamps.write_text("")
    command = [sys.executable, "-I", "-S", str(home.folder / "program.py"), str(stamps)]
    began = time.monotonic()
    processes = [subprocess.Popen(command) for _ in range(PROCESSES)]
    taken_s = _last_stamp(stamps) - began
    for process in processes:
        process.kill()
        process.wait()
    return taken_s


def _last_stamp(stamps: Path) -> float:
    """When the last of the processes began; looked for seldom enough to take no time from them."""
    lines: list[str] = []

    def are_there() -> bool:
        lines[:] = stamps.read_text().splitlines()
        return len(lines) == PROCESSES

    until(are_there, LIMIT_S, lambda: lines)
    return max(map(float, lines))
