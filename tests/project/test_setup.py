"""``make lab`` says what it is at."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def setup(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(root / "scripts"))
    spec = importlib.util.spec_from_file_location("zoe_scripts_setup", root / "scripts" / "setup.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TELL_S", 0.05)
    return module


def test_what_takes_long_says_that_it_still_goes_on(
    setup: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The command waits for a file that comes when it was told of for the second time."""
    told: list[str] = []

    def say(text: str) -> None:
        told.append(text)
        if len(told) == 2:
            (tmp_path / "go").touch()

    setup.say = say  # type: ignore[attr-defined]
    waiting = f"import os, time\nwhile not os.path.exists({str(tmp_path / 'go')!r}): time.sleep(0.01)"
    setup.run([sys.executable, "-c", waiting], os.environ, doing="building")
    assert told[:2] == ["  still building, 0 s"] * 2
    assert told[-1].startswith("  done building in ")


def test_what_fails_ends_it_with_the_command(setup: ModuleType) -> None:
    with pytest.raises(SystemExit, match="failed with exit code 3"):
        setup.run([sys.executable, "-c", "raise SystemExit(3)"], os.environ)
