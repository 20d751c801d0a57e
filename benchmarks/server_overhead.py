"""What Zoe costs a Jupyter server: at its start, in memory, while idle, and at the first use."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import psutil

from benchmarks.running import Effort, Report, add, cpu_percent, cpu_seconds, in_turns
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer, jupyter_home

MIB = 1 << 20
SETTLE_S, QUICK_SETTLE_S = 3.0, 0.5
IDLE_S, QUICK_IDLE_S = 15.0, 1.0


@dataclass(frozen=True, slots=True)
class Start:
    """One server from its start on; what only Zoe has is 0 without it."""

    start_s: float
    cpu_s: float
    memory_mib: float
    first_use_s: float = 0.0
    used_memory_mib: float = 0.0
    idle_cpu_percent: float = 0.0


def measure(effort: Effort) -> Report:
    """Start JupyterLab's server with the extension and without it, in turns, on one set of folders."""
    report = Report()
    with jupyter_home() as home:
        _once(home, effort, has_zoe=True)
        sides = (lambda: _once(home, effort, has_zoe=True), lambda: _once(home, effort, has_zoe=False))
        pairs: list[list[Start]] = in_turns(("with", "without"), sides, effort=effort)
    add(report, "start_s", (one.start_s - other.start_s for one, other in pairs))
    add(report, "start_cpu_s", (one.cpu_s - other.cpu_s for one, other in pairs))
    add(report, "memory_mib", (one.memory_mib - other.memory_mib for one, other in pairs), digits=1)
    add(report, "used_memory_mib", (one.used_memory_mib - other.memory_mib for one, other in pairs), digits=1)
    add(report, "first_use_s", (one.first_use_s for one, _ in pairs))
    add(report, "idle_cpu_percent", (one.idle_cpu_percent for one, _ in pairs))
    report.figures["without_start_s"] = round(statistics.median(other.start_s for _, other in pairs), 3)
    report.figures["without_memory_mib"] = round(statistics.median(other.memory_mib for _, other in pairs), 1)
    report.runs += [
        {"pair": number, "side": name, **{key: round(getattr(start, key), 3) for key in Start.__slots__}}
        for number, pair in enumerate(pairs)
        for name, start in zip(("with", "without"), pair, strict=True)
    ]
    return report


def _once(home: JupyterHome, effort: Effort, *, has_zoe: bool) -> Start:
    began = time.monotonic()
    server = home.start(has_zoe=has_zoe)
    start_s = time.monotonic() - began
    try:
        return _looked_at(server, effort, start_s, has_zoe=has_zoe)
    finally:
        server.stop()


def _looked_at(server: JupyterServer, effort: Effort, start_s: float, *, has_zoe: bool) -> Start:
    process = psutil.Process(server.process.pid)
    cpu_s = cpu_seconds([process])
    time.sleep(QUICK_SETTLE_S if effort.is_quick else SETTLE_S)
    memory_mib = process.memory_info().rss / MIB
    if not has_zoe:
        return Start(start_s, cpu_s, memory_mib)
    began = time.monotonic()
    server.ask("zoe/api/shop")
    first_use_s = time.monotonic() - began
    server.ask("zoe/api/executions")
    time.sleep(QUICK_SETTLE_S if effort.is_quick else SETTLE_S)
    idle = cpu_percent(process, QUICK_IDLE_S if effort.is_quick else IDLE_S)
    return Start(start_s, cpu_s, memory_mib, first_use_s, process.memory_info().rss / MIB, idle)
