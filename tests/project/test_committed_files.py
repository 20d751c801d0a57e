"""What is committed works anywhere: it names no registry's host and no machine's folders."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

# Put together here, so that this file does not hold what it looks for.
HOSTS = (
    "registry." + "npmjs",
    "registry." + "yarnpkg",
    "files." + "pythonhosted",
    "pypi.org/" + "simple",
    "deb." + "debian",
)
FOLDERS = ("/" + "work/main", "/" + "work/shared", "/" + "root/")


@pytest.fixture(scope="module")
def committed(root: Path) -> dict[str, str]:
    """Every committed text file."""
    listed = subprocess.run(["git", "ls-files"], cwd=root, check=True, capture_output=True, text=True).stdout
    paths = [root / name for name in listed.splitlines()]
    return {str(path.relative_to(root)): _read(path) for path in paths if path.is_file()}


def test_no_file_names_a_registry_or_a_folder_of_one_machine(committed: dict[str, str]) -> None:
    wanted = re.compile("|".join([*map(re.escape, HOSTS), *FOLDERS]))
    found = {name: match[0] for name, text in committed.items() if (match := wanted.search(text))}
    assert found == {}


def test_scripts_are_executable_or_called_by_an_interpreter(root: Path) -> None:
    assert (root / ".ci" / "run").stat().st_mode & 0o111


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""
