"""Lending the notebook's side of Zoe to kernels whose environment lacks it.

Kernels of this server get a folder at the end of their ``PYTHONPATH``. In it is a package ``zoe_jupyter`` of a few lines: it hands over to an
installed one where there is one, else to a zip beside it. Nothing is imported, and nothing is read, until a kernel says ``import zoe_jupyter``.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
LENT = ("__init__.py", "_version.py", "plugins.py", "model", "client", "attach", "magics")
KEPT_ZIPS = 2
FIRST_DATE = (1980, 1, 1, 0, 0, 0)
SHIM = '''"""Zoe for Jupyter, lent by the Jupyter server: hands over to an installed zoe_jupyter, else to the copy beside this folder."""


def _hand_over():
    import glob
    import importlib.machinery
    import importlib.util
    import os
    import sys
    import time

    if sys.version_info < (3, 10):
        raise ImportError("Zoe needs Python 3.10 or newer in the kernel; this one has %d.%d" % sys.version_info[:2])
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    others = [part for part in sys.path if os.path.realpath(part or ".") != os.path.realpath(here)]
    spec = importlib.machinery.PathFinder.find_spec("zoe_jupyter", others)
    deadline = time.monotonic() + 10
    while spec is None or spec.loader is None:
        lent = sorted(glob.glob(os.path.join(here, "*.zip")), key=os.path.getmtime)
        if lent:
            spec = importlib.machinery.PathFinder.find_spec("zoe_jupyter", lent[-1:])
            sys.path.append(lent[-1])
        elif time.monotonic() > deadline:
            raise ImportError("the Jupyter server did not prepare its copy of Zoe; install zoe-jupyter in this environment")
        else:
            time.sleep(0.05)
    module = importlib.util.module_from_spec(spec)
    sys.modules["zoe_jupyter"] = module
    spec.loader.exec_module(module)


_hand_over()
'''


def lend_folder(state: Path, version: str) -> Path:
    """Have the folder that kernels get on their path, with its few lines; the copy comes later (``build``)."""
    key = hashlib.sha256(f"{version} {PACKAGE}".encode()).hexdigest()[:12]
    folder = state / "lent" / key
    package = folder / "zoe_jupyter"
    shim = package / "__init__.py"
    if not shim.exists() or shim.read_text() != SHIM:
        package.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(shim, SHIM.encode())
    return folder


def build(folder: Path) -> Path:
    """Have the zip of today's code in the folder; older ones stay a while for kernels that use them."""
    files = list(_files())
    digest = hashlib.sha256()
    for name, content in files:
        digest.update(f"{name} {len(content)} ".encode() + content)
    target = folder / f"{digest.hexdigest()[:16]}.zip"
    if target.exists():
        os.utime(target)
    else:
        _write(target, _zipped(files))
    for old in sorted(folder.glob("*.zip"), key=lambda file: file.stat().st_mtime)[:-KEPT_ZIPS]:
        with suppress(OSError):
            old.unlink()
    return target


def lend(folder: Path) -> None:
    """Put the folder last on the path of what this process starts."""
    parts = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != str(folder)]
    os.environ["PYTHONPATH"] = os.pathsep.join([*parts, str(folder)])


def take_back(folder: Path) -> None:
    """Undo ``lend``."""
    parts = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part != str(folder)]
    if parts:
        os.environ["PYTHONPATH"] = os.pathsep.join(parts)
    else:
        os.environ.pop("PYTHONPATH", None)


def _files() -> Iterator[tuple[str, bytes]]:
    for name in LENT:
        path = PACKAGE / name
        found = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in found:
            if file.is_file() and "__pycache__" not in file.parts:
                yield f"zoe_jupyter/{file.relative_to(PACKAGE).as_posix()}", file.read_bytes()
    yield from _metadata()


def _metadata() -> Iterator[tuple[str, bytes]]:
    """Name, version and entry points: attach kinds are found by them."""
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        found = distribution("zoe-jupyter")
    except PackageNotFoundError:
        return
    for name in ("METADATA", "entry_points.txt"):
        text = found.read_text(name)
        if text:
            yield f"zoe_jupyter-{found.version}.dist-info/{name}", text.encode()


def _zipped(files: list[tuple[str, bytes]]) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name, FIRST_DATE), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _write(file: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".")
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(content)
    os.replace(name, file)
