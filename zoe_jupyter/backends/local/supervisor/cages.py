"""Control groups: limits for the whole process tree of a service, where this user may make them. Probed, never assumed. Shared with the backend.

Version 1 wants one group per controller, below our own; version 2 wants one group, beside our own (a group with processes cannot have limited
children). What cannot be made is left out, and the supervisor watches instead. Threads count as processes do.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable
from typing import NamedTuple

CONTROLLERS = ("memory", "cpu", "pids")
_KNOBS = {
    "memory": ("memory.limit_in_bytes", "memory.max"),
    "cpu": ("cpu.shares", "cpu.weight"),
    "pids": ("pids.max", "pids.max"),
}
"""``{controller: name of the limit in version 1, in version 2}``"""
_CPU_SHARES_OF_A_CORE = 1024
_CPU_WEIGHT_OF_A_CORE = 100


class Place(NamedTuple):
    """Where groups of one controller may be made."""

    controller: str
    version: int
    parent: str


def places(own: str = "/proc/self/cgroup", mounts: str = "/proc/self/mountinfo") -> tuple[Place, ...]:
    """Where this process may make groups with limits, one place for each controller that works; makes and removes one to see."""
    try:
        groups, points = _own_groups(own), _mount_points(mounts)
    except OSError:
        return ()
    found: list[Place] = []
    for controller in CONTROLLERS:
        candidates = [each for each in _candidates(controller, groups, points) if _goes_with(each, found)]
        working = next(filter(_works, candidates), None)
        found += [working] if working else []
    return tuple(found)


def own_group(own: str = "/proc/self/cgroup", mounts: str = "/proc/self/mountinfo") -> str:
    """The list of processes of a group that this one is in and may write to; empty when there is none."""
    try:
        groups, points = _own_groups(own), _mount_points(mounts)
    except OSError:
        return ""
    folders = (_folder(group, *points[name]) for name, group in groups.items() if name in points)
    lists = (os.path.join(folder, "cgroup.procs") for folder in folders)
    return next((each for each in lists if str(os.getpid()) in _read(each).split() and os.access(each, os.W_OK)), "")


def membership(own: str = "/proc/self/cgroup") -> str:
    """In which groups this process is now, as the kernel says it; empty where it has none."""
    return _read(own)


def rouse(own: str) -> None:
    """Have the kernel get ready for moves between groups, by one that changes nothing: this process to the group that it is in.

    The first move after a pause of about 15 ms waits as long for all processors to take notice (``cgroup_threadgroup_rwsem``); those after it do not.
    """
    with contextlib.suppress(OSError):
        _write(own, os.getpid())


def _goes_with(place: Place, found: list[Place]) -> bool:
    """A process can be in one group of version 2 only."""
    return all(each.parent == place.parent for each in found if each.version == place.version == 2)


def _own_groups(path: str) -> dict[str, str]:
    """``{controller: path of our group}``; version 2 has the empty name."""
    groups = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            _, names, group = line.rstrip("\n").split(":", 2)
            for name in names.split(","):
                groups[name] = group
    return groups


def _mount_points(path: str) -> dict[str, tuple[str, str]]:
    """``{controller: (mount point, the group that is mounted there)}``."""
    points = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            fields, kind = before.split(), after.split()
            if kind[0] == "cgroup2":
                points[""] = (fields[4], fields[3])
            elif kind[0] == "cgroup":
                for name in kind[2].split(","):
                    points[name] = (fields[4], fields[3])
    return points


def _candidates(controller: str, groups: dict[str, str], points: dict[str, tuple[str, str]]) -> list[Place]:
    if controller in points and controller in groups:
        return [Place(controller, 1, _folder(groups[controller], *points[controller]))]
    if "" in points and "" in groups:
        own, top = _folder(groups[""], *points[""]), points[""][0]
        return [Place(controller, 2, parent) for parent in _above(own, top)]
    return []


def _folder(group: str, point: str, root: str) -> str:
    """Where a group is seen; the mount point itself when it is outside of what is mounted."""
    relative = os.path.relpath(group, root) if root != "/" else group.lstrip("/")
    folder = os.path.normpath(os.path.join(point, relative))
    return folder if not relative.startswith("..") and os.path.isdir(folder) else point


def _above(own: str, top: str) -> list[str]:
    """The groups above our own, nearest first."""
    parents = []
    while own != top and len(own) > len(top):
        own = os.path.dirname(own)
        parents.append(own)
    return parents


def _works(place: Place) -> bool:
    folder = os.path.join(place.parent, f"zoe.probe.{os.getpid()}")
    try:
        if place.version == 2 and not _hands_down(place):
            return False
        os.mkdir(folder)
    except OSError:
        return False
    try:
        return all(os.access(os.path.join(folder, name), os.W_OK) for name in (_knob(place), "cgroup.procs"))
    finally:
        remove((folder,))


def _hands_down(place: Place) -> bool:
    """Whether groups below get the controller (asks for it where that is allowed), and whether we may move a process there."""
    control = os.path.join(place.parent, "cgroup.subtree_control")
    if place.controller not in _read(control).split():
        _write(control, f"+{place.controller}")
    return place.controller in _read(control).split() and os.access(os.path.join(place.parent, "cgroup.procs"), os.W_OK)


def _knob(place: Place) -> str:
    old, new = _KNOBS[place.controller]
    return old if place.version == 1 else new


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, value: str | int) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(str(value))


class Cage:
    """The groups of one service. ``folders`` is written down before anything runs in them."""

    def __init__(self, name: str, where: Iterable[Place], *, memory_bytes: int, microcores: int, tasks: int) -> None:
        self.folders: list[str] = []
        self._kept: dict[str, tuple[Place, str]] = {}
        """``{controller: (its place, the group)}`` of the limits that are kept here."""
        wanted = {"memory": memory_bytes, "cpu": microcores, "pids": tasks}
        for place in where:
            folder = os.path.join(place.parent, _plain(name))
            if self._made(place, folder, wanted[place.controller]) and folder not in self.folders:
                self.folders.append(folder)

    @property
    def limits_memory(self) -> bool:
        return "memory" in self._kept

    @property
    def limits_tasks(self) -> bool:
        return "pids" in self._kept

    def _made(self, place: Place, folder: str, wanted: int) -> bool:
        """Make the group, unless nothing is asked for or the kernel does not let us."""
        if not wanted:
            return False
        try:
            if not os.path.isdir(folder):
                os.mkdir(folder)
            _limit(place, folder, wanted)
        except OSError:
            if folder not in self.folders:
                remove((folder,))
            return False
        self._kept[place.controller] = place, folder
        return True

    def join(self) -> None:
        """Put the calling process into the groups; called between fork and exec."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                _write(os.path.join(folder, "cgroup.procs"), 0)

    def check(self, pid: int) -> None:
        """See whether the process is really inside; what it is not inside of limits nothing."""
        self._kept = {name: kept for name, kept in self._kept.items() if pid in pids_in((kept[1],))}

    def oom_kills(self) -> int:
        """How many processes the kernel killed for want of memory."""
        return self._counted("memory", ("memory.oom_control", "memory.events"), "oom_kill")

    def refused_tasks(self) -> int:
        """How many processes and threads the kernel did not start, as there were too many."""
        return self._counted("pids", ("pids.events", "pids.events"), "max")

    def peak_bytes(self) -> int:
        """The most memory that was in use; 0 when the kernel does not tell."""
        return int(self._told("memory", ("memory.max_usage_in_bytes", "memory.peak")).strip() or 0)

    def _counted(self, controller: str, names: tuple[str, str], event: str) -> int:
        for line in self._told(controller, names).splitlines():
            if line.startswith(f"{event} "):
                return int(line.split()[1])
        return 0

    def _told(self, controller: str, names: tuple[str, str]) -> str:
        """What the file says, by its name in version 1 and in version 2; empty when this is not limited here."""
        if controller not in self._kept:
            return ""
        place, folder = self._kept[controller]
        return _read(os.path.join(folder, names[place.version - 1]))


def _limit(place: Place, folder: str, amount: int) -> None:
    value = _shares(place.version, amount) if place.controller == "cpu" else amount
    _write(os.path.join(folder, _knob(place)), value)
    if place.controller == "memory":
        _limit_swap(place.version, folder, amount)


def _limit_swap(version: int, folder: str, memory_bytes: int) -> None:
    swap = os.path.join(folder, "memory.memsw.limit_in_bytes" if version == 1 else "memory.swap.max")
    if os.path.exists(swap):
        _write(swap, memory_bytes if version == 1 else 0)


def _shares(version: int, microcores: int) -> int:
    """As of its cores, at least one: less than any program outside (of a session of its own) has would starve what others wait for."""
    of_a_core, highest = (_CPU_SHARES_OF_A_CORE, 262144) if version == 1 else (_CPU_WEIGHT_OF_A_CORE, 10000)
    return min(highest, max(of_a_core, microcores * of_a_core // 1_000_000))


def named(prefix: str) -> list[str]:
    """The groups whose names begin so, wherever this process could have made some."""
    try:
        groups, points = _own_groups("/proc/self/cgroup"), _mount_points("/proc/self/mountinfo")
    except OSError:
        return []
    parents = {place.parent for controller in CONTROLLERS for place in _candidates(controller, groups, points)}
    wanted = _plain(prefix)
    return sorted(
        os.path.join(parent, name) for parent in parents for name in _names_in(parent) if name.startswith(wanted)
    )


def _plain(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name)[:200]


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _own(folders: Iterable[str]) -> list[str]:
    """Those that we named ourselves: what is written down may be somebody else's word."""
    return [folder for folder in folders if os.path.basename(folder).startswith("zoe.")]


def pids_in(folders: Iterable[str]) -> set[int]:
    """All processes in these groups."""
    return {int(pid) for folder in _own(folders) for pid in _read(os.path.join(folder, "cgroup.procs")).split()}


def seal(folders: Iterable[str]) -> None:
    """Let nothing more be started in these groups, so that killing what is in them comes to an end."""
    for limit in (os.path.join(folder, "pids.max") for folder in _own(folders)):
        if os.path.exists(limit):
            with contextlib.suppress(OSError):
                _write(limit, 0)


def remove(folders: Iterable[str], *, limit_s: float = 0.05) -> list[str]:
    """Remove empty groups; returns those that the kernel still holds. Only what we named ourselves is touched."""
    left = _own(folders)
    end = time.monotonic() + limit_s
    while True:
        left = [folder for folder in left if not _removed(folder)]
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.005)


def _removed(folder: str) -> bool:
    try:
        os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True
