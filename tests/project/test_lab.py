"""``make lab`` opens the user's own copy of the first notebook."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def lab(root: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("zoe_scripts_lab", root / "scripts" / "lab.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_user_s_copy_is_made_once_and_kept(lab: ModuleType, tmp_path: Path) -> None:
    """What the user wrote into it is never overwritten, and the shipped one never changes."""
    shipped = tmp_path / "first.ipynb"
    shipped.write_text("shipped")

    copy = lab.own_copy(shipped, tmp_path / "notebooks")
    assert copy.read_text() == "shipped"
    copy.write_text("mine")

    assert lab.own_copy(shipped, tmp_path / "notebooks").read_text() == "mine"
    assert shipped.read_text() == "shipped"


def test_without_a_screen_it_says_so_and_opens_no_browser(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lab, "has_screen", lambda: False)
    monkeypatch.setattr(lab, "own_copy", lambda notebook, folder: folder / notebook.name)

    options = lab.options()

    assert "--no-browser" in options
    assert "--LabApp.default_url=/lab/tree/notebooks/first-notebook.ipynb" in options
    assert "open the address that JupyterLab prints" in capsys.readouterr().out
