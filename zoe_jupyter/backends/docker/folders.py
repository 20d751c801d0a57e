"""Folders of an engine's machine that every service sees, because the admin's settings name them. Nobody else can have one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from zoe_jupyter.backends.containers.places import is_free
from zoe_jupyter.backends.containers.profiles import checked
from zoe_jupyter.backends.docker.settings import DockerProfile, FolderSettings
from zoe_jupyter.model.errors import Fatal, ZoeError

_MACHINE = ("/proc", "/sys", "/dev", "/run", "/var/lib/docker")
"""Whoever reads or writes there has the machine, or everybody's services; neither they nor what is in them, nor what they are in."""
_HOLDERS = ("/etc", "/root", "/boot")
"""These as a whole, neither."""


def known(folders: Iterable[FolderSettings], *, state: Path) -> Iterator[FolderSettings]:
    """Each with its place inside; raises ZoeError for one that would give away more than data. ``state`` is where Zoe keeps its own."""
    folders = tuple(folders)
    for each in folders:
        for trouble in (*_troubles(each, state.resolve()), *_twice(each, folders)):
            raise ZoeError(f"the setting Zoe.backend_options: the folder {each.path!r}: {trouble}")
        yield FolderSettings(each.path, each.at or each.path, is_writable=each.is_writable)


def known_profiles(
    profiles: Mapping[str, DockerProfile], *, state: Path, site: Sequence[FolderSettings]
) -> dict[str, DockerProfile]:
    """Raises ZoeError for one that is none, or with a folder of which every service is kept out, or at a place of one that all have."""
    return {
        name: replace(each, folders=tuple(known((*site, *each.folders), state=state))[len(site) :])
        for name, each in checked(profiles).items()
    }


def mounts(folders: Iterable[FolderSettings], *, is_here: bool, state: Path) -> list[dict[str, Any]]:
    """As ``POST /containers/create`` wants them. On this machine links are followed here, so that what is mounted is what was looked at.

    Raises Fatal for a folder that meanwhile leads where it may not, or is gone.
    """
    return [_mount(each, _source(each, state) if is_here else each.path) for each in folders]


def seen(cwd: str, folders: Iterable[FolderSettings], *, is_here: bool) -> str:
    """Where a service starts that wants to start there; empty for its own folder.

    The runtime makes what is not there, as root: so a place in a shared folder counts only on this machine, where it can be looked at.
    """
    path = PurePosixPath(cwd)
    for each in folders:
        at = each.at or each.path
        if path.is_relative_to(at):
            is_there = is_here and os.path.isdir(Path(each.path) / path.relative_to(at))
            return cwd if is_there else ""
    return cwd


def _mount(folder: FolderSettings, source: str) -> dict[str, Any]:
    """Without what is mounted inside it: engines keep only the folder itself from being written."""
    return {
        "Type": "bind",
        "Source": source,
        "Target": folder.at,
        "ReadOnly": not folder.is_writable,
        "BindOptions": {"NonRecursive": True},
    }


def _source(folder: FolderSettings, state: Path) -> str:
    try:
        found = Path(folder.path).resolve(strict=True)
    except OSError as error:
        raise Fatal(f"the site's folder {folder.path} cannot be had: {error.strerror}", reason="no_folder") from error
    if trouble := _gives_away(found, state.resolve()):
        raise Fatal(f"the site's folder {folder.path} is not given to services: {trouble}", reason="no_folder")
    return str(found)


def _troubles(folder: FolderSettings, state: Path) -> Iterator[str]:
    inside = folder.at or folder.path
    if not folder.path.startswith("/") or not inside.startswith("/"):
        yield "`path` and `at` begin with a slash"
    if not is_free(inside):
        yield f"services cannot have it at {inside}"
    for path in (Path(folder.path), Path(folder.path).resolve()):
        if trouble := _gives_away(path, state):
            yield trouble


def _twice(folder: FolderSettings, folders: Iterable[FolderSettings]) -> Iterator[str]:
    inside = PurePosixPath(folder.at or folder.path)
    if sum(PurePosixPath(each.at or each.path) == inside for each in folders) > 1:
        yield f"services have another one at {inside}, too"


def _gives_away(path: Path, state: Path) -> str:
    closed = [*map(Path, _MACHINE), state]
    if any(path.is_relative_to(each) or each.is_relative_to(path) for each in closed) or path in map(Path, _HOLDERS):
        return f"it is {path}, with which services would have the machine, or what is others'"
    return ""
