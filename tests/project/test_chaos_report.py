"""What came of the fault tests is written into the page that promises rest on: the whole and its part in `make test`, each in its place."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

PAGE = "# Promises\n\nLast run of `make chaos`: then, 1 failed.\n\n| promise |\n"
REPORT = '<testsuites><testsuite tests="9" skipped="2" failures="1" errors="1" time="90"/></testsuites>'


@pytest.fixture
def chaos(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("zoe_scripts_chaos", root / "scripts" / "chaos.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_a_report_is_told_in_counts_and_minutes(chaos: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    assert chaos.result(tmp_path / "report.xml") == ("5 passed, 2 failed, 2 skipped", 1.5)


def test_each_line_takes_the_place_of_the_last_one_of_its_kind(chaos: ModuleType) -> None:
    page = PAGE
    for when in ("now", "later"):
        for extent in (chaos.WHOLE, chaos.PART):
            page = chaos.written(page, extent, f"{extent.title}: {when}.")
    lines = [f"{chaos.WHOLE.title}: later.", f"{chaos.PART.title}: later."]
    assert page == PAGE.replace("Last run of `make chaos`: then, 1 failed.", "\n\n".join(lines))
