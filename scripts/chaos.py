"""Run every fault test, the long ones included, and write what came of it and when into docs/admins/reliability.md.

``--short``: only those that are part of `make test`; also fails where they take longer than they may. Other words go to pytest: a selection is run,
and not written down.
"""

from __future__ import annotations

import datetime
import os
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "admins" / "reliability.md"
SHORT = "--short"
AT_ONCE = ("-n", "3", "--dist", "loadfile")
"""As `make test` has it."""


@dataclass(frozen=True)
class Extent:
    """How much is run: what the page calls it, the words that say so to pytest, and how long all of it may take."""

    title: str
    words: tuple[str, ...] = ()
    limit_minutes: float = float("inf")

    @property
    def line(self) -> re.Pattern[str]:
        return re.compile(rf"^{re.escape(self.title)}: .*$", re.MULTILINE)


WHOLE = Extent("Last run of `make chaos`", ("-m", "", "--timeout=3600"))
PART = Extent("Last run of what of it is part of `make test`, in ten minutes at most", limit_minutes=10.0)


def main() -> int:
    extent = PART if SHORT in sys.argv[1:] else WHOLE
    selection = [word for word in sys.argv[1:] if word != SHORT]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "tests/chaos", *AT_ONCE, *extent.words, f"--junit-xml={report}"]
        code = subprocess.run([*command, *selection], cwd=ROOT, check=False).returncode
        try:
            counts, minutes = result(report)
        except (OSError, ElementTree.ParseError) as error:
            print(f"there is no whole report ({error}); the tests of logs need 15 GB on the disk of temporary files")
            return code or 1
    today = datetime.datetime.now(datetime.timezone.utc).date()
    line = f"{extent.title}: {today}, {counts}, in {minutes:.1f} minutes on {os.cpu_count()} cores."
    print(line)
    if not selection:
        PAGE.write_text(written(PAGE.read_text(), extent, line))
    return code or int(minutes > extent.limit_minutes)


def result(report: Path) -> tuple[str, float]:
    """How many passed, failed and were skipped, in words; and the minutes that it took."""
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    counts = f"{total - skipped - failed} passed, {failed} failed, {skipped} skipped"
    return counts, float(suite.get("time", 0.0)) / 60


def written(page: str, extent: Extent, line: str) -> str:
    """The page with the line in place of the last one of its kind, or below that of the whole."""
    if extent.line.search(page):
        return extent.line.sub(lambda _: line, page)
    return WHOLE.line.sub(lambda found: f"{found[0]}\n\n{line}", page)


if __name__ == "__main__":
    sys.exit(main())
