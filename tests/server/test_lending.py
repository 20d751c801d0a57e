"""Kernels whose environment lacks Zoe get its notebook side lent; others never see it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from zoe_jupyter.server import lending

LOOK = """
import importlib.metadata, json, zoe_jupyter
kinds = sorted({point.name for point in importlib.metadata.entry_points(group="zoe_jupyter.attach")})
print(json.dumps({"file": zoe_jupyter.__file__, "attach": kinds}))
"""


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory) -> str:
    """An interpreter with nothing but the standard library."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False)
    return str(folder / "bin" / "python")


@pytest.fixture
def lent(tmp_path) -> Path:
    folder = lending.lend_folder(tmp_path, "1.0")
    lending.build(folder)
    return folder


def run(python: str, folder: Path, code: str, *, cwd: Path, path: str = "") -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(filter(None, [path, str(folder)])),
        "HOME": str(cwd),
    }
    return subprocess.run(
        [python, "-c", code], env=environment, cwd=cwd, check=True, capture_output=True, text=True, timeout=60
    ).stdout.strip()


def test_a_bare_environment_gets_the_lent_copy_with_its_attach_kinds(bare_python, lent, tmp_path):
    found = run(bare_python, lent, LOOK, cwd=tmp_path)
    assert f"{lent}{os.sep}" in found
    assert ".zip" in found
    assert '"dask", "spark"' in found


def test_the_lent_client_works_without_anything_installed(bare_python, lent, tmp_path):
    code = "from zoe_jupyter.client.connection import find_connection\ntry: find_connection()\nexcept Exception as e: print(type(e).__name__, e)"
    assert "Unavailable no Zoe is running" in run(bare_python, lent, code, cwd=tmp_path)


def test_an_installed_zoe_is_not_shadowed(bare_python, lent, tmp_path):
    installed = tmp_path / "site"
    (installed / "zoe_jupyter").mkdir(parents=True)
    (installed / "zoe_jupyter" / "__init__.py").write_text("MINE = True")
    (installed / "zoe_jupyter" / "part.py").write_text("HERE = __file__")
    code = (
        f"import sys; sys.path.append({str(installed)!r}); import zoe_jupyter, zoe_jupyter.part as part; "
        "print(zoe_jupyter.MINE, part.HERE, zoe_jupyter.__spec__.origin)"
    )
    told = run(bare_python, lent, code, cwd=tmp_path)
    assert told.startswith("True")
    assert told.count(str(installed)) == 2


def test_this_environments_own_zoe_is_found_through_the_lent_folder(lent, tmp_path):
    told = run(sys.executable, lent, "import zoe_jupyter.server; print(zoe_jupyter.server.__file__)", cwd=tmp_path)
    assert told == str(lending.PACKAGE / "server" / "__init__.py")


def test_a_kernel_that_is_faster_than_the_copy_waits_for_it(bare_python, tmp_path):
    folder = lending.lend_folder(tmp_path, "1.0")
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}
    asking = subprocess.Popen(
        [bare_python, "-c", "import zoe_jupyter; print('there')"],
        env=environment,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    )
    with asking:
        with pytest.raises(subprocess.TimeoutExpired):
            asking.wait(0.5)
        lending.build(folder)
        assert asking.communicate(timeout=30)[0].strip() == "there"


def test_the_copy_is_built_once_for_the_same_code(lent):
    first = lending.build(lent)
    written = first.stat().st_ino
    assert lending.build(lent) == first
    assert first.stat().st_ino == written


def test_old_copies_stay_a_while_for_kernels_that_use_them(lent, monkeypatch):
    monkeypatch.setattr(
        lending, "_metadata", lambda: iter([("zoe_jupyter/changed", str(time.monotonic_ns()).encode())])
    )
    for _ in range(3):
        newest = lending.build(lent)
    kept = list(lent.glob("*.zip"))
    assert len(kept) == lending.KEPT_ZIPS
    assert newest in kept


def test_the_folder_goes_last_on_the_path_and_comes_off_again(lent, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/mine")
    lending.lend(lent)
    lending.lend(lent)
    assert os.environ["PYTHONPATH"] == f"/mine{os.pathsep}{lent}"
    lending.take_back(lent)
    assert os.environ["PYTHONPATH"] == "/mine"
    monkeypatch.delenv("PYTHONPATH")
    lending.lend(lent)
    lending.take_back(lent)
    assert "PYTHONPATH" not in os.environ
