"""What the attach benchmarks share: one cell in a fresh kernel on each side, from nothing to the first result.

By hand means a script that starts what Zoe started: commands, files and environment are taken from a run of Zoe's, and given other ports and
folders, so that both sides always run the same programs in the same way. What differs is what Zoe adds. On both sides the Jupyter server and the
kernel run already, and Zoe's core is loaded (``server_overhead`` measures its loading); no cluster runs.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.running import Effort, Report, Taken, compare, cpu_seconds
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer, jupyter_home, wait_for
from zoe_jupyter.testing.kernels import ServerKernel, server_kernel

ROOT = Path(__file__).resolve().parent.parent
LONGEST_S = 300.0


@dataclass(frozen=True, slots=True)
class Case:
    """One kind of cluster."""

    entry: str
    zoe: str
    """The cell that attaches by Zoe and prints the first result."""
    by_hand: str
    """The same with ``services`` started by hand; ends with the same print."""
    answer: str


def measure_attach(case: Case, effort: Effort) -> Report:
    """Compare the two cells, in turns."""
    with jupyter_home() as home:
        recorded = _record(home, case)
        server = home.start()
        server.ask("zoe/api/shop")
        sides = (
            lambda: _take(
                home, server, case, prepare="%load_ext zoe_jupyter", cell=case.zoe, finish=f"%zoe stop {case.entry}"
            ),
            lambda: _take(
                home, server, case, prepare=_importing(recorded), cell=case.by_hand, finish="services.stop()"
            ),
        )
        return compare(Report(), ("zoe", "by_hand"), sides, effort=effort)


def _record(home: JupyterHome, case: Case) -> Path:
    """Let Zoe start it once, and keep what it started; this also warms the caches that both sides use."""
    file = home.folder / "orders.jsonl"
    variables = {"PYTHONPATH": str(ROOT), "ZOE_BENCHMARK_ORDERS": str(file)}
    server = home.start("--Zoe.backend=benchmarks.recording:Recording", variables=variables)
    try:
        _take(home, server, case, prepare="%load_ext zoe_jupyter", cell=case.zoe, finish=f"%zoe stop {case.entry}")
    finally:
        server.stop()
    _note_what_waits(file, case)
    return file


def _note_what_waits(file: Path, case: Case) -> None:
    """Add to each order the services that it comes after, as the framework says."""
    processes = yaml.safe_load((ROOT / "frameworks" / case.entry / "framework.yaml").read_text())["processes"]
    orders = [json.loads(line) for line in file.read_text().splitlines()]
    for order in orders:
        process = order["service"].rpartition("-")[0].removeprefix(f"{case.entry}.")
        first = {f"{case.entry}.{name}" for name in processes[process].get("after", ())}
        order["after"] = [one["service"] for one in orders if one["service"].rpartition("-")[0] in first]
    file.write_text("".join(json.dumps(order) + "\n" for order in orders))


def _importing(recorded: Path) -> str:
    return f"import sys; sys.path.insert(0, {str(ROOT)!r}); from benchmarks import by_hand; orders = {str(recorded)!r}"


def _take(home: JupyterHome, server: JupyterServer, case: Case, *, prepare: str, cell: str, finish: str) -> Taken:
    with _kernel(home, server) as kernel:
        kernel.run(prepare)
        before = cpu_seconds(home.processes())
        began = time.perf_counter()
        shown = kernel.run(cell, timeout_s=LONGEST_S)
        wall_s = time.perf_counter() - began
        used = cpu_seconds(home.processes()) - before
        assert case.answer in shown, shown
        kernel.run(finish)
        wait_for("nothing is left", lambda: not home.services(), timeout_s=60)
    return Taken(wall_s, used)


@contextmanager
def _kernel(home: JupyterHome, server: JupyterServer) -> Iterator[ServerKernel]:
    with server_kernel(home, server, f"benchmark-{time.monotonic_ns()}.ipynb") as kernel:
        yield kernel
    for left in home.work.iterdir():
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            os.unlink(left)
