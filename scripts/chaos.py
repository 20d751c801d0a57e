"""Run every fault test, the long ones included, and write what came of it and when into docs/admins/reliability.md."""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "admins" / "reliability.md"
LINE = re.compile(r"^Last run of `make chaos`: .*$", re.MULTILINE)
LIMIT_S = 3600
"""Of one test."""


def main() -> int:
    """Words go to pytest; a selection is run and not written down."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "tests/chaos",
            "-m",
            "",
            f"--timeout={LIMIT_S}",
            f"--junit-xml={report}",
        ]
        code = subprocess.run([*command, *sys.argv[1:]], cwd=ROOT, check=False).returncode
        try:
            line = result(report, date=datetime.datetime.now(datetime.timezone.utc).date())
        except (OSError, ElementTree.ParseError) as error:
            print(f"there is no whole report ({error}); the tests of logs need 15 GB on the disk of temporary files")
            return code or 1
    print(line)
    if not sys.argv[1:]:
        PAGE.write_text(LINE.sub(line, PAGE.read_text()))
    return code


def result(report: Path, *, date: datetime.date) -> str:
    """The line for the page: date, counts, time and machine."""
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    minutes = float(suite.get("time", 0.0)) / 60
    counts = f"{total - skipped - failed} passed, {failed} failed, {skipped} skipped"
    return f"Last run of `make chaos`: {date}, {counts}, in {minutes:.0f} minutes on {os.cpu_count()} cores."


if __name__ == "__main__":
    sys.exit(main())
