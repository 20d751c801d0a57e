"""Without privileges: no control groups, and the same promises."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import packaging
import pytest

import zoe_jupyter
from tests.backends.local.conftest import LocalWorld
from zoe_jupyter.backends.local.supervisor import crowd

NOBODY = 65534
STORY = Path(__file__).with_name("user_story.py")


@pytest.fixture
def common() -> Iterator[Path]:
    """A folder that everybody may read, with all that the story needs; pytest's own are private."""
    folder = Path(tempfile.mkdtemp(prefix="zoe-user-"))
    folder.chmod(0o755)
    ignored = shutil.ignore_patterns("labextension", "__pycache__", "frameworks")
    shutil.copytree(Path(zoe_jupyter.__file__).parent, folder / "lib" / "zoe_jupyter", ignore=ignored)
    shutil.copytree(Path(packaging.__file__).parent, folder / "lib" / "packaging", ignore=ignored)
    shutil.copy(STORY, folder)
    home = folder / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def interpreter() -> str | None:
    """A Python that everybody may run."""
    common = os.pathsep.join(["/usr/local/bin", os.defpath])
    found = [
        shutil.which(name, path=common) for name in ("python3", *(f"python3.{minor}" for minor in range(14, 9, -1)))
    ]
    return next(filter(is_usable, filter(None, [sys.executable, *found])), None)


def is_usable(python: str) -> bool:
    command = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 10))"]
    try:
        return subprocess.run(command, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/").returncode == 0
    except OSError:
        return False


def kept_crowd() -> str:
    """How the number of an ordinary user's processes is kept here."""
    return "rlimit" if crowd._is_first("pid") and crowd._is_first("user") else "watched"


def told_crowd() -> str:
    """Why the fork bomb ended: at our wish where it could do no harm, else for what it did."""
    return "killed" if kept_crowd() == "rlimit" else "process_limit"


@pytest.mark.skipif(os.getuid() != 0, reason="this user has no privileges anyway: the whole suite is that test")
def test_an_ordinary_user_starts_stops_limits_and_adopts(world: LocalWorld, common: Path) -> None:
    python = interpreter()
    if python is None:
        pytest.skip("no Python that everybody may run")
    environment = {
        "PATH": os.defpath,
        "HOME": str(common / "home"),
        "PYTHONPATH": str(common / "lib"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    result = subprocess.run(
        [python, str(common / STORY.name), str(common / "home" / "zoe"), world.deployment],
        user=NOBODY, group=NOBODY, extra_groups=[], cwd=common / "home", env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {
        "uid": NOBODY,
        "web": {"exit_code": None, "reason": None, "memory": "none"},
        "deaf": {"exit_code": 137, "reason": "killed", "memory": "none"},
        "greedy": {"exit_code": 137, "reason": "out_of_memory", "memory": "watched"},
        "again": {"exit_code": None, "reason": None, "memory": "none"},
        "left": 0,
        "crowd": {"exit_code": 137, "reason": told_crowd(), "memory": "none"},
        "limits": {"memory": "watched", "cpu": "nice", "processes": kept_crowd(), "strays": "traced"},
    }
