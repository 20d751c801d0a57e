"""``python -m benchmarks NAME [--quick] [--pairs N]``; ``--list`` names them."""

from __future__ import annotations

import argparse
import pkgutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

from benchmarks.running import PAIRS, QUICK_PAIRS, Effort, as_line

NO_BENCHMARKS = {
    "__main__",
    "attaching",
    "baselines",
    "by_hand",
    "containers",
    "house",
    "judging",
    "missed",
    "pods",
    "recording",
    "running",
    "workload",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("name", nargs="?", choices=names(), metavar="NAME", help=f"one of: {', '.join(names())}")
    parser.add_argument("--list", action="store_true", help="name the benchmarks and what they measure")
    parser.add_argument("--quick", action="store_true", help="only see that it works; the figures mean nothing")
    parser.add_argument("--full", action="store_true", help="policies: 20,000 applications, which takes hours")
    parser.add_argument("--pairs", type=int, help=f"how often both sides are measured (default {PAIRS})")
    options = parser.parse_args()
    if options.list or not options.name:
        for name in names():
            print(f"{name:18}{(benchmark(name).__doc__ or '').splitlines()[0]}")
        return
    pairs = options.pairs or (QUICK_PAIRS if options.quick else PAIRS)
    report = benchmark(options.name).measure(Effort(pairs=pairs, is_quick=options.quick, is_full=options.full))
    print(as_line(options.name, report), flush=True)


def names() -> list[str]:
    """Every file here that is a benchmark."""
    found = {module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])}
    return sorted(found - NO_BENCHMARKS)


def benchmark(name: str) -> ModuleType:
    return import_module(f"benchmarks.{name}")


if __name__ == "__main__":
    main()
