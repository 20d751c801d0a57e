"""Which interpreter a named environment means."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from zoe_jupyter.model.errors import InvalidDescription
from zoe_jupyter.server.environments import interpreter_of


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of kernels that Jupyter knows."""
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    return tmp_path / "kernels"


def _kernel(folder: Path, *argv: str, language: str = "python") -> None:
    folder.mkdir(parents=True)
    spec = {"argv": argv, "display_name": folder.name, "language": language}
    (folder / "kernel.json").write_text(json.dumps(spec))


def test_a_path_is_what_it_names(tmp_path: Path) -> None:
    """An interpreter is itself, a folder is the environment in it, and nothing stays nothing."""
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()

    assert [interpreter_of(name) for name in ("", sys.executable, str(tmp_path / "env"))] == [
        "",
        sys.executable,
        str(python),
    ]
    with pytest.raises(InvalidDescription, match="no Python in"):
        interpreter_of(str(tmp_path))


def test_a_kernel_s_name_means_its_python(kernels: Path) -> None:
    _kernel(kernels / "genomics", "/opt/genomics/bin/python", "-m", "ipykernel_launcher")
    _kernel(kernels / "plain", "python3", "-m", "ipykernel_launcher")

    assert interpreter_of("genomics") == "/opt/genomics/bin/python"
    assert interpreter_of("plain") == sys.executable


@pytest.mark.parametrize("name", ["nosuch", "../genomics", "julia"])
def test_any_other_word_is_refused_with_those_there_are(kernels: Path, name: str) -> None:
    _kernel(kernels / "genomics", "/opt/genomics/bin/python")
    _kernel(kernels / "julia", "/usr/bin/julia", language="julia")

    with pytest.raises(InvalidDescription, match=r"genomics|not Python"):
        interpreter_of(name)
