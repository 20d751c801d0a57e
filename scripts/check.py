"""Run every static check, show what the failing ones said, and end with 1 if there was any.

``python scripts/check.py mypy eslint`` runs only those named.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import node
import setup

PYTHON = sys.executable
BIN = Path(PYTHON).parent


@dataclass(frozen=True)
class Check:
    """One command that must end with 0."""

    name: str
    command: tuple[str, ...]
    folder: Path = setup.ROOT


def python_tool(name: str, *arguments: str) -> Check:
    """A tool of the virtual environment."""
    return Check(name, (str(BIN / arguments[0]), *arguments[1:]))


def npm_script(name: str, script: str) -> Check:
    """A script of labextension/package.json."""
    return Check(name, ("npm", "run", "--silent", script), setup.LABEXTENSION)


CHECKS = (
    python_tool("mypy", "mypy"),
    npm_script("eslint", "lint"),
    npm_script("tsc", "check"),
    npm_script("prettier", "format:check"),
    npm_script("units", "test"),
    python_tool("ruff", "ruff", "check", "--output-format=concise", "."),
    python_tool("ruff-format", "ruff", "format", "--check", "--output-format=concise", "."),
    python_tool("imports", "lint-imports"),
    python_tool("sizes", "python", "scripts/sizes.py"),
    python_tool("generated", "python", "scripts/generate.py", "--check"),
)


def main() -> None:
    """Run the checks, two at a time."""
    environment = node.environment(setup.VENV, install=setup.install)
    wanted = sys.argv[1:]
    checks = [check for check in CHECKS if not wanted or check.name in wanted]
    with ThreadPoolExecutor(max_workers=2) as pool:
        passed = list(pool.map(lambda check: holds(check, environment), checks))
    print(f"checks: {passed.count(True)} of {len(passed)} hold", flush=True)
    sys.exit(0 if all(passed) else 1)


def holds(check: Check, environment: Mapping[str, str]) -> bool:
    """Run one check and tell how it went."""
    started = time.monotonic()
    result = subprocess.run(
        check.command, cwd=check.folder, env=dict(environment), check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    is_good = result.returncode == 0
    line = f"{'ok    ' if is_good else 'FAILED'} {check.name} ({time.monotonic() - started:.1f} s)"
    print(line if is_good else f"{line}\n{result.stdout}", flush=True)
    return is_good


if __name__ == "__main__":
    main()
