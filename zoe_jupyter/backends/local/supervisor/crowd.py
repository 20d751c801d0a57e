"""How many processes and threads a service may have, where no control group counts them. Shared with the backend.

The kernel's own limit counts everything that a user runs on the machine, also what cannot be seen from within a container, and does not count
for root. It is used where it can be set to mean this service alone; else the supervisor watches, and ends who has too many.
"""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterable, Mapping

from .processes import Process, owner_of

_FIRST_NAMESPACES = {"pid": 4026531836, "user": 4026531837}
"""Numbers that the kernel gave to the namespaces of the machine itself."""


def kind() -> str:
    """``rlimit`` where the kernel can keep the limit for this user, else ``watched``."""
    return "rlimit" if os.getuid() != 0 and all(map(_is_first, _FIRST_NAMESPACES)) else "watched"


def _is_first(name: str) -> bool:
    try:
        return os.stat(f"/proc/self/ns/{name}").st_ino == _FIRST_NAMESPACES[name]
    except OSError:
        return False


def of_others(processes: Mapping[int, Process], own: Iterable[int]) -> int:
    """How many processes and threads this user has besides those."""
    uid, without = os.getuid(), set(own)
    return sum(process.threads for pid, process in processes.items() if pid not in without and owner_of(pid) == uid)


def allow(pid: int, tasks: int) -> None:
    """Let the process start another one only while the user has less than so many; 0 is this process."""
    with contextlib.suppress(OSError, ValueError):
        _, most = resource.prlimit(pid, resource.RLIMIT_NPROC)
        wanted = tasks if most == resource.RLIM_INFINITY else min(tasks, most)
        resource.prlimit(pid, resource.RLIMIT_NPROC, (wanted, most))
