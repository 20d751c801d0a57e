"""Start a process so that it cannot outlive the supervisor: own session, killed by the kernel when the supervisor dies."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence

from . import crowd
from .cages import Cage
from .kernel import die_with_parent
from .processes import start_of

_DISPOSABLE = 300
"""Least ``oom_score_adj`` of services: when the whole machine runs out of memory they go before Jupyter and the supervisors."""
_RETRY_ERRORS = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.ETXTBSY)


class SpawnError(Exception):
    """It could not be started; ``is_final`` when another try would fail in the same way."""

    def __init__(self, text: str, *, is_final: bool) -> None:
        super().__init__(text)
        self.is_final = is_final


def spawn(
    command: Sequence[str],
    *,
    cwd: str,
    environment: Mapping[str, str],
    output: int,
    umask: int,
    niceness: int = 0,
    cage: Cage | None = None,
    most_tasks: int = 0,
) -> tuple[int, int]:
    """Start it with both outputs going to ``output``; returns pid and start time. Raises SpawnError.

    ``most_tasks``: it may start others only while the user has less than so many processes and threads.
    """
    parent = os.getpid()

    def prepare() -> None:
        die_with_parent(parent)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        if cage is not None:
            cage.join()
        if most_tasks:
            crowd.allow(0, most_tasks)
        _settle(niceness)

    try:
        # One thread only, so that nothing can be held locked between fork and exec.
        child = subprocess.Popen(
            list(command), cwd=cwd, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            preexec_fn=prepare, start_new_session=True, umask=umask,  # noqa: PLW1509
        )  # fmt: skip
    except OSError as error:
        raise _explain(error, command, cwd=cwd, environment=environment) from None
    except (ValueError, subprocess.SubprocessError) as error:
        raise SpawnError(f"cannot start {command[0]!r}: {error}", is_final=True) from None
    child.returncode = 0  # reaped by us, never by subprocess, which could meet a successor of its pid
    return child.pid, start_of(child.pid)


def _settle(niceness: int) -> None:
    """Nothing in here is worth not starting for."""
    try:
        if niceness:
            os.nice(niceness)
        with open("/proc/self/oom_score_adj", "r+", encoding="utf-8") as file:
            if int(file.read()) < _DISPOSABLE:
                file.seek(0)
                file.write(str(_DISPOSABLE))
    except (OSError, ValueError):
        pass


def _explain(error: OSError, command: Sequence[str], *, cwd: str, environment: Mapping[str, str]) -> SpawnError:
    program = command[0]
    if not os.path.isdir(cwd):
        return SpawnError(f"cannot start {program!r}: its folder {cwd} does not exist", is_final=True)
    if error.errno == errno.ENOENT:
        place = f" on the path {environment.get('PATH', '')}" if "/" not in program else ""
        script = shutil.which(program, path=environment.get("PATH"))
        hint = (
            f"{script} exists, but the interpreter in its first line does not"
            if script
            else f"there is no such program{place}"
        )
        return SpawnError(f"cannot start {program!r}: {hint}", is_final=True)
    if error.errno == errno.E2BIG:
        return SpawnError(
            f"cannot start {program!r}: its arguments and environment are too long for the kernel", is_final=True
        )
    return SpawnError(
        f"cannot start {program!r}: {os.strerror(error.errno or 0)}", is_final=error.errno not in _RETRY_ERRORS
    )
