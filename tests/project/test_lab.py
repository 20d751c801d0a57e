"""``make lab`` opens the user's own copy of the first notebook."""

from __future__ import annotations

import importlib.util
import json
import platform
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from types import ModuleType

import pytest

from zoe_jupyter.testing.jupyter_home import STOP_S, jupyter_home, wait_for


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
    text = '{"cells": [], "metadata": {"language_info": {"name": "python", "version": "3.0.0"}}}'
    shipped.write_text(text)

    copy = lab.own_copy(shipped, tmp_path / "notebooks")
    assert json.loads(copy.read_text()) == {
        "cells": [],
        "metadata": {"language_info": {"name": "python", "version": platform.python_version()}},
    }
    copy.write_text("mine")

    assert lab.own_copy(shipped, tmp_path / "notebooks").read_text() == "mine"
    assert shipped.read_text() == text


def test_without_a_screen_it_says_so_and_opens_no_browser(
    lab: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lab, "has_screen", lambda: False)
    monkeypatch.setattr(lab, "own_copy", lambda notebook, folder: folder / notebook.name)

    options = lab.options()

    assert "--no-browser" in options
    assert "--LabApp.default_url=/lab/tree/first-notebook.ipynb" in options
    assert "open the address that JupyterLab prints" in capsys.readouterr().out


def test_it_opens_jupyterlab_and_prints_the_address_of_the_copy(root: Path, tmp_path: Path) -> None:
    """The script itself, beside a copy of the notebook, as `make lab` runs it on a machine without a screen."""
    for name in ("scripts/lab.py", "docs/users/first-notebook.ipynb"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / name, tmp_path / name)
    log = tmp_path / "log"
    with jupyter_home() as home, log.open("w") as stream:
        running = subprocess.Popen(
            [sys.executable, str(tmp_path / "scripts" / "lab.py")], cwd=tmp_path, stdout=stream, stderr=stream,
            env={**home.environment, "ZOE_LAB_ARGS": f"--port {home.port}"},
        )  # fmt: skip
        try:
            wanted = re.compile(r"http://localhost:\S+first-notebook\.ipynb\?token=\w+")
            address = wait_for("the address", lambda: wanted.search(log.read_text()), timeout_s=60)[0]
            assert "No screen here" in log.read_text()
            assert b"jupyter-config-data" in wait_for("the page", lambda: _read(address), timeout_s=60)
            assert (tmp_path / "notebooks" / "first-notebook.ipynb").exists()
        finally:
            running.kill()
            running.wait(STOP_S)


def _read(address: str) -> bytes:
    """Empty while nobody answers there."""
    try:
        with urllib.request.urlopen(address, timeout=20) as page:
            return bytes(page.read())
    except urllib.error.URLError:
        return b""
