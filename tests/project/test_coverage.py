"""The pure rooms decide what happens to people's work: no branch of them goes untested."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PURE = ("lifecycle", "scheduler")


def test_every_branch_of_the_pure_rooms_is_tested(root: Path, tmp_path: Path) -> None:
    """By tables alone: property tests are left out, as they would reach a branch only by chance."""
    environment = {**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage")}
    sources = ",".join(f"zoe_jupyter.{room}" for room in PURE)
    tests = [f"tests/{room}" for room in PURE]
    run = [
        sys.executable,
        "-m",
        "coverage",
        "run",
        "--branch",
        f"--source={sources}",
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
    ]

    ran = subprocess.run(
        [*run, *tests, "--ignore-glob=*/test_properties.py"], cwd=root, env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout[-3000:]
    report = [sys.executable, "-m", "coverage", "report", "--skip-covered", "--show-missing", "--fail-under=100"]
    told = subprocess.run(report, cwd=root, env=environment, capture_output=True, text=True)

    assert told.returncode == 0, told.stdout
