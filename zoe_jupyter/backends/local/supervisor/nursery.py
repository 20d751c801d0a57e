"""One process that has loaded everything, and forks a supervisor whenever the core wants one: in a millisecond or two instead of a tenth of a second,
and with most of its memory shared among them.

It keeps nothing: when the core goes, or does not ask for long, it goes too, and the supervisors stay.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import signal
import socket
import sys
from typing import NoReturn

from .files import COMPLAINTS_FILE, NURSERY, SUPERVISOR_MARK, UNMARKED, plain
from .main import be_in_charge
from .processes import is_supervisor

IDLE_S = 600.0
_REQUEST_BYTES = 4096


def main() -> int:
    """Take requests ``{"run_dir", "mark"}`` from standard input, a socket; each brings the descriptor on which its supervisor says ``ready``."""
    door = socket.socket(fileno=0)
    door.settimeout(IDLE_S)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody needs to wait for them
    gc.freeze()
    while True:
        try:
            request, descriptors, _, _ = socket.recv_fds(door, _REQUEST_BYTES, 1)
        except TimeoutError:
            return 0
        if not request:
            return 0
        if not os.fork():
            door.detach()
            _become_supervisor(json.loads(request), descriptors[0])
        for descriptor in descriptors:
            os.close(descriptor)


def _become_supervisor(request: dict[str, str], answer: int) -> NoReturn:
    """As if it had been started with that folder and that variable, and with its own outputs."""
    os.setsid()
    log = plain(os.path.join(request["run_dir"], COMPLAINTS_FILE), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    null = os.open(os.devnull, os.O_RDWR)
    for source, target in ((log, 2), (answer, 1), (null, 0)):
        os.dup2(source, target)
        os.close(source)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _show(request["run_dir"], request["mark"])
    if not is_supervisor(os.getpid(), request["mark"]):
        os.write(1, UNMARKED + b"\n")
        sys.exit(1)
    sys.exit(be_in_charge(request["run_dir"]))


def _show(run_dir: str, mark: str) -> None:
    """Write both over the argument and the variable that were reserved for them, where ``ps`` and ``/proc`` show them."""
    with open("/proc/self/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    arguments, arguments_end, variables, variables_end = map(int, fields[45:49])
    _write_over(arguments, arguments_end, NURSERY, run_dir)
    _write_over(variables, variables_end, f"{SUPERVISOR_MARK}={NURSERY}", f"{SUPERVISOR_MARK}={mark}")


def _write_over(start: int, end: int, old: str, new: str) -> None:
    offset = ctypes.string_at(start, end - start).find(old.encode())
    if offset >= 0:
        ctypes.memmove(start + offset, os.fsencode(new).ljust(len(old), b"\0"), len(old))
