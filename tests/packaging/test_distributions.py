"""What is built from a clean clone installs without Node, and holds all that Zoe needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SHARED = "share/jupyter/labextensions/zoe-jupyter"
CONFIGURED = "etc/jupyter/jupyter_server_config.d/zoe_jupyter.json"


@pytest.fixture(scope="module")
def clone(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean clone: what is not committed is not packed."""
    folder = tmp_path_factory.mktemp("clone") / "zoe"
    _run("git", "clone", "--quiet", "--no-hardlinks", str(root), str(folder), cwd=root)
    return folder


@pytest.fixture(scope="module")
def distributions(clone: Path) -> dict[str, Path]:
    """The sdist, and the wheel that is made from it."""
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", "dist", cwd=clone)
    return {path.suffix: path for path in (clone / "dist").iterdir()}


@pytest.fixture(scope="module")
def wheel(distributions: dict[str, Path]) -> Iterator[zipfile.ZipFile]:
    with zipfile.ZipFile(distributions[".whl"]) as opened:
        yield opened


def test_the_wheel_holds_the_labextension_and_how_to_uninstall_it(wheel: zipfile.ZipFile) -> None:
    shared = _below(wheel, f".data/data/{SHARED}/")
    assert {"package.json", "install.json", "static/style.js", "schemas/zoe-jupyter/plugin.json"} <= shared
    assert any(name.startswith("static/remoteEntry.") for name in shared)
    assert not any(name.endswith(".map") for name in shared), "a development bundle"


def test_the_wheel_enables_the_server_extension(wheel: zipfile.ZipFile) -> None:
    name = next(name for name in wheel.namelist() if name.endswith(CONFIGURED))
    assert json.loads(wheel.read(name))["ServerApp"]["jpserver_extensions"] == {"zoe_jupyter": True}


def test_the_wheel_holds_the_data_of_the_package(wheel: zipfile.ZipFile, clone: Path) -> None:
    names = set(wheel.namelist())
    tracked = _run("git", "ls-files", "zoe_jupyter", "frameworks", cwd=clone).split("\n")
    expected = {name if name.startswith("zoe_jupyter/") else f"zoe_jupyter/{name}" for name in tracked if name}
    assert expected - names == set()


def test_the_wheel_holds_nothing_of_the_workshop(wheel: zipfile.ZipFile) -> None:
    strays = [
        name for name in wheel.namelist() if "node_modules" in name or name.startswith(("tests/", "labextension/"))
    ]
    assert strays == []


def test_the_sdist_holds_the_built_labextension_and_its_sources(distributions: dict[str, Path]) -> None:
    with tarfile.open(distributions[".gz"]) as opened:
        names = {name.split("/", 1)[1] for name in opened.getnames() if "/" in name}
    assert {"zoe_jupyter/labextension/static/style.js", "labextension/src/index.ts", "LICENSE", "Makefile"} <= names
    assert not any(name.startswith("labextension/node_modules/") for name in names)


@pytest.mark.parametrize("kind", [".whl", ".gz"])
def test_it_installs_without_node(kind: str, distributions: dict[str, Path], tmp_path: Path) -> None:
    environment = _environment_without_node(tmp_path)
    target = tmp_path / "venv"
    _run(sys.executable, "-m", "venv", "--without-pip", str(target), cwd=tmp_path)
    command = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(target),
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
    ]
    _lend_packages(target)
    _run(*command, str(distributions[kind]), cwd=tmp_path, environment=environment)
    assert (target / SHARED / "static" / "style.js").exists()
    assert (target / SHARED / "install.json").exists()
    assert (target / CONFIGURED).exists()
    assert (target / "bin" / "jupyter-zoe").exists()


def _below(wheel: zipfile.ZipFile, folder: str) -> set[str]:
    return {name.split(folder, 1)[1] for name in wheel.namelist() if folder in name}


def _lend_packages(target: Path) -> None:
    """Let the new environment see the packages of this one, the build's back end among them."""
    site = next(target.glob("lib/python*/site-packages"))
    mine = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "lent.pth").write_text(f"{mine}\n", encoding="utf-8")


def _environment_without_node(folder: Path) -> dict[str, str]:
    """A path on which there is no node, no npm and no jlpm."""
    programs = folder / "programs"
    programs.mkdir()
    return {**os.environ, "PATH": str(programs)}


def _run(*command: str, cwd: Path, environment: dict[str, str] | None = None) -> str:
    """Run a command, with the programs of this Python's environment on the path; show what it said when it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    result = subprocess.run(
        command, cwd=cwd, env=environment or {**os.environ, "PATH": path}, check=False, capture_output=True, text=True
    )
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stdout}\n{result.stderr}"
    return result.stdout
