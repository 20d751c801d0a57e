"""Archives and streams as Docker wants and gives them. Pure."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Mapping
from pathlib import PurePosixPath

from zoe_jupyter.backends.containers.places import FOLDER
from zoe_jupyter.backends.containers.variables import exports
from zoe_jupyter.backends.docker import entering


def folder_archive(files: Mapping[str, str], user: str, *, variables: Mapping[str, str] | None = None) -> bytes:
    """The service's folder with its files, of its user alone, and the file with its variables; to be unpacked at ``/``. Raises Fatal."""
    owner = _numbers(user)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        root = PurePosixPath(FOLDER.lstrip("/"))
        parents = {parent for name in files for parent in PurePosixPath(name).parents if parent != PurePosixPath(".")}
        for parent in [PurePosixPath("."), *sorted(parents)]:
            archive.addfile(_entry(str(root / parent), owner, is_folder=True))
        for name, content in files.items():
            data = content.encode()
            archive.addfile(_entry(str(root / name), owner, size=len(data)), io.BytesIO(data))
        if variables:
            _add_variables(archive, exports(variables).encode(), owner)
    return buffer.getvalue()


def _add_variables(archive: tarfile.TarFile, data: bytes, owner: tuple[int, int]) -> None:
    folder = _entry(entering.FOLDER.lstrip("/"), (0, 0), is_folder=True)
    file = _entry(f"{folder.name}/{entering.FILE}", owner, size=len(data))
    folder.mode, file.mode = 0o755, 0o400
    archive.addfile(folder)
    archive.addfile(file, io.BytesIO(data))


def _entry(name: str, owner: tuple[int, int], *, size: int = 0, is_folder: bool = False) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = tarfile.DIRTYPE if is_folder else tarfile.REGTYPE
    entry.mode = 0o700 if is_folder else 0o600
    entry.uid, entry.gid = owner
    entry.size = size
    entry.mtime = int(time.time())
    return entry


def _numbers(user: str) -> tuple[int, int]:
    uid, _, gid = user.partition(":")
    return int(uid or 0), int(gid or uid or 0)
