"""Make the checkout ready: a virtual environment, its packages, Node where there is none, and the labextension.

``python scripts/setup.py lab`` is for running Zoe, ``... test`` also for checking it. What is already as the files
ask is left alone, so that a second call takes no time. Standard library only: this runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import node

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
STAMPS = VENV / ".zoe"
OLDEST_PYTHON = (3, 10)
TELL_S = 15.0
LABEXTENSION = ROOT / "labextension"
BUILT = ROOT / "zoe_jupyter" / "labextension"
EXTRAS = {
    "lab": ("dask", "examples", "spark"),
    "test": ("dask", "docker", "examples", "hub", "kubernetes", "postgresql", "spark", "test"),
}


def main() -> None:
    """Set up for the purpose named on the command line."""
    purpose = sys.argv[1] if len(sys.argv) > 1 else "lab"
    if purpose not in EXTRAS:
        sys.exit(f"setup.py: {purpose!r} is not one of {', '.join(EXTRAS)}")
    make_venv()
    environment = node.environment(VENV, install=install)
    # Each waits for the network, or for the disk, most of its time.
    with ThreadPoolExecutor(1) as beside:
        modules = beside.submit(install_node_modules, environment)
        install_packages(purpose)
        modules.result()
    build_labextension(environment)


def make_venv() -> None:
    """Create .venv, or create it again when its Python is gone."""
    if sys.version_info < OLDEST_PYTHON:
        sys.exit(
            f"Zoe needs Python 3.10 or newer, not {sys.version.split()[0]}. Name another: make PYTHON=python3.12 lab"
        )
    python = BIN / "python"
    if python.exists() and subprocess.run([python, "-c", ""], check=False).returncode == 0:
        return
    say("creating .venv")
    try:
        venv.create(VENV, with_pip=True, clear=True)
    except subprocess.CalledProcessError:
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit("This Python cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv")


def install_packages(purpose: str) -> None:
    """Install the project, editable, with the extras of ``purpose``; nothing when pyproject.toml is as it was."""
    digest = digest_of([ROOT / "pyproject.toml", LABEXTENSION / "package.json"])
    if any(is_current(stamp, digest) for stamp in ("python-test", f"python-{purpose}")):
        return
    say(
        f"installing Zoe's Python packages for {purpose}; the first time this fetches Spark (430 MB) and takes 1.3 GB of disk"
    )
    BUILT.mkdir(parents=True, exist_ok=True)
    unlink_labextension()
    # The labextension is built below, with the Node that is found there.
    install("-e", f"{ROOT}[{','.join(EXTRAS[purpose])}]", SKIP_JUPYTER_BUILDER="1")
    link_labextension()
    mark(f"python-{purpose}", digest)


def install(*what: str, **variables: str) -> None:
    """Install into .venv: by uv, which builds Spark's wheel once and keeps it, else by pip."""
    uv = find_uv()
    command = [uv, "pip", "install", "--compile-bytecode"] if uv else [str(BIN / "pip"), "install"]
    environment = {**os.environ, "VIRTUAL_ENV": str(VENV), **(pip_index() if uv else {}), **variables}
    # In a terminal it shows by itself how far it is.
    if sys.stderr.isatty():
        run([*command, *what], environment)
    else:
        run([*command, "-q", *what], environment, doing="installing Python packages")


def find_uv() -> str | None:
    """Find uv on the path or in .venv, else fetch it from PyPI; None with ``ZOE_NO_UV`` or where it cannot be had."""
    if os.environ.get("ZOE_NO_UV"):
        return None
    mine = BIN / "uv"
    found = shutil.which("uv") or (str(mine) if mine.exists() else None)
    if found:
        return found
    subprocess.run([BIN / "pip", "install", "-q", "uv"], check=False)
    return str(mine) if mine.exists() else None


def pip_index() -> Mapping[str, str]:
    """Hand pip's index on to uv, which does not read pip's configuration."""
    if os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL"):
        return {}
    asked = subprocess.run(
        [BIN / "pip", "config", "get", "global.index-url"], check=False, capture_output=True, text=True
    )
    index = os.environ.get("PIP_INDEX_URL") or asked.stdout.strip()
    return {"UV_DEFAULT_INDEX": index} if index else {}


def install_node_modules(environment: Mapping[str, str]) -> None:
    """Install what package-lock.json says."""
    digest = digest_of([LABEXTENSION / "package.json", LABEXTENSION / "package-lock.json"])
    if is_current("node-modules", digest) and (LABEXTENSION / "node_modules").is_dir():
        return
    say("installing what builds the panel, of 500 MB")
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    run(command, environment, cwd=LABEXTENSION, doing="installing what builds the panel")
    mark("node-modules", digest)


def build_labextension(environment: Mapping[str, str]) -> None:
    """Build the labextension when its sources changed."""
    names = ("package.json", "package-lock.json", "tsconfig.json")
    folders = ("src", "style", "schema")
    sources = [LABEXTENSION / name for name in names]
    sources += [path for folder in folders for path in (LABEXTENSION / folder).rglob("*") if path.is_file()]
    digest = digest_of(sources)
    if is_current("labextension", digest) and (BUILT / "static" / "style.js").exists():
        return
    say("building the panel")
    shutil.rmtree(BUILT, ignore_errors=True)
    run(["npm", "run", "--silent", "build"], environment, cwd=LABEXTENSION, doing="building the panel")
    mark("labextension", digest)


def link_labextension() -> None:
    """Let .venv show the checkout's build, so that a build is seen at the next reload of the page."""
    unlink_labextension()
    installed_labextension().parent.mkdir(parents=True, exist_ok=True)
    installed_labextension().symlink_to(BUILT, target_is_directory=True)


def unlink_labextension() -> None:
    """Take the link away, else an installer would write and delete through it; one that did left its install.json."""
    (BUILT / "install.json").unlink(missing_ok=True)
    installed = installed_labextension()
    if installed.is_symlink():
        installed.unlink()
    shutil.rmtree(installed, ignore_errors=True)


def installed_labextension() -> Path:
    """Where JupyterLab looks for it."""
    return VENV / "share" / "jupyter" / "labextensions" / "zoe-jupyter"


def digest_of(paths: Iterable[Path]) -> str:
    """Hash names and contents, whatever the order."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def is_current(stamp: str, digest: str) -> bool:
    """Tell whether a step was done for exactly these files."""
    path = STAMPS / stamp
    return path.exists() and path.read_text() == digest


def mark(stamp: str, digest: str) -> None:
    """Note that a step is done."""
    STAMPS.mkdir(parents=True, exist_ok=True)
    (STAMPS / stamp).write_text(digest)


def run(command: list[str], environment: Mapping[str, str], *, cwd: Path = ROOT, doing: str = "") -> None:
    """Run a command, saying now and then what it is still ``doing``; end with what failed when it fails."""
    started = time.monotonic()
    with subprocess.Popen(command, env=dict(environment), cwd=cwd) as process:
        while (code := ended(process)) is None:
            if doing:
                say(f"  still {doing}, {time.monotonic() - started:.0f} s")
    if code:
        sys.exit(f"setup: failed with exit code {code}: {' '.join(command)}")
    say(f"  done{' ' + doing if doing else ''} in {time.monotonic() - started:.0f} s")


def ended(process: subprocess.Popen[bytes]) -> int | None:
    """Its exit code; None while it still runs after so long that silence looks like a hang."""
    try:
        return process.wait(TELL_S)
    except subprocess.TimeoutExpired:
        return None


def say(text: str) -> None:
    """Tell the user, at once."""
    print(text, flush=True)


if __name__ == "__main__":
    main()
