"""Versions of what is installed beside this kernel, found without importing it."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from shutil import which
from typing import Any

RESTART = ", then restart the kernel"


def installed(*distributions: str) -> str:
    """The version of the first of these distributions that is installed; empty when none is."""
    return next((found for name in distributions if (found := _version(name))), "")


def missing(distributions: Iterable[str]) -> list[str]:
    return [name for name in distributions if not installed(name)]


def install_line(packages: str) -> str:
    """What is typed into a cell to install packages beside this kernel; environments that uv made have no pip, so that ``%pip`` fails in them."""
    if find_spec("pip") is not None:
        return f"`%pip install {packages}`"
    python = shlex.quote(sys.executable)
    if which("uv"):
        return f"`!uv pip install --python {python} {packages}`"
    return f"`!{python} -m ensurepip` and then `%pip install {packages}`"


def loaded(module: str) -> str:
    """The version of a module that this process has already imported; empty when it has not."""
    return str(getattr(sys.modules.get(module), "__version__", ""))


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def release(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: ``4.3.0.dev1`` is (4, 3, 0)."""
    match = re.match(r"\d+(?:\.\d+)*", text.strip())
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def series(text: str) -> str:
    """``4.3.0`` is of the series ``4.3``."""
    return ".".join(str(part) for part in release(text)[:2])


def of_cluster(environment: Mapping[str, Any], *distributions: str) -> str:
    """The version that the cluster runs; empty when it is not known."""
    packages = {
        re.sub(r"[-_.]+", "-", name).lower(): str(value) for name, value in (environment.get("packages") or {}).items()
    }
    return next((packages[name] for name in distributions if packages.get(name)), "")


def python_warning(environment: Mapping[str, Any], *, what: str) -> tuple[str, ...]:
    """A warning when the cluster runs another minor version of Python than this kernel."""
    there, here = (
        series(str(environment.get("python_version") or "")),
        f"{sys.version_info.major}.{sys.version_info.minor}",
    )
    if not there or there == here:
        return ()
    return (f"this kernel runs Python {here}, the cluster Python {there}: {what} may fail",)


def restart_problem(module: str, now: str) -> tuple[str, ...]:
    """A problem when this kernel has imported another version than is installed now."""
    before = loaded(module)
    if not before or not now or release(before) == release(now):
        return ()
    return (f"this kernel has loaded {module} {before}, but {now} is installed now: restart the kernel",)
