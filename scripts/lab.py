"""Open JupyterLab on the first notebook; without a screen, say so and leave the address in the terminal."""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
import webbrowser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "docs" / "users" / "first-notebook.ipynb"
WORK = ROOT / "notebooks"
"""The user's own, and all that JupyterLab shows; git ignores it, so that nobody's work lands among the sources."""


def main() -> None:
    """Become JupyterLab."""
    arguments = [
        str(Path(sys.executable).with_name("jupyter-lab")),
        *options(),
        *shlex.split(os.environ.get("ZOE_LAB_ARGS", "")),
    ]
    # Terminals and kernels opened in JupyterLab find `jupyter zoe`.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    os.chdir(ROOT)
    os.execve(arguments[0], arguments, {**os.environ, "PATH": path})


def options() -> list[str]:
    """What this machine asks for."""
    page = f"/lab/tree/{own_copy(NOTEBOOK, WORK).name}"
    # A login shell, which JupyterLab takes where it has no terminal itself, would forget where `jupyter` is.
    shell = os.environ.get("SHELL") or "/bin/sh"
    chosen = [
        f"--ServerApp.root_dir={WORK}",
        f"--LabApp.default_url={page}",
        f"--ServerApp.terminado_settings=shell_command={shell}",
    ]
    if not has_screen():
        print("No screen here, so no browser is opened: open the address that JupyterLab prints below.", flush=True)
        chosen.append("--no-browser")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        print("Running as root: JupyterLab is told to allow it.", flush=True)
        chosen.append("--allow-root")
    return chosen


def own_copy(notebook: Path, folder: Path) -> Path:
    """The user's copy of a notebook, for this Python: opening it changes nothing. What is there already is kept as it is."""
    folder.mkdir(exist_ok=True)
    copy = folder / notebook.name
    if not copy.exists():
        content = json.loads(notebook.read_text())
        content["metadata"]["language_info"]["version"] = platform.python_version()
        copy.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return copy


def has_screen() -> bool:
    """Tell whether a browser can be shown."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True


if __name__ == "__main__":
    main()
