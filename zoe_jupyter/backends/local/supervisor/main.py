"""Be the supervisor of one run folder."""

from __future__ import annotations

import contextlib
import json
import os
import signal

from .control import Control
from .files import LOCK_FILE, SETTINGS_FILE, SOCKET_FILE, plain
from .house import House
from .kernel import become_subreaper
from .lock import Lock
from .loop import READ, Loop
from .requests import Requests
from .verdict import SHUTDOWN

_LINGER_S = 0.2


def main(run_dir: str) -> int:
    """Go to the background, take the folder's lock, say ``ready`` or ``busy`` on stdout, and look after the execution until it is over."""
    if os.fork() > 0:
        os._exit(0)
    return be_in_charge(run_dir)


def be_in_charge(run_dir: str) -> int:
    """The same in this process."""
    umask = os.umask(0o077)
    run_dir = os.path.abspath(run_dir)
    os.chdir(run_dir)
    lock = Lock(os.path.join(run_dir, LOCK_FILE))
    if not lock.take():
        _say("busy")
        return 0
    _supervise(run_dir, umask, lock)
    return 0


def _supervise(run_dir: str, umask: int, lock: Lock) -> None:
    become_subreaper()
    with open(os.path.join(run_dir, SETTINGS_FILE), encoding="utf-8", opener=plain) as file:
        settings = json.load(file)
    loop = Loop()
    house = House(loop, run_dir, settings, umask=umask, lock=lock)
    _handle_signals(loop, house)
    os.makedirs(os.path.join(run_dir, "logs"), mode=0o700, exist_ok=True)
    house.take_over()
    control = Control(loop, os.path.join(run_dir, SOCKET_FILE), Requests(house).handle, on_gone=house.heard)
    house.on_change = lambda sequence: control.tell({"changed": sequence})
    house.on_look = control.listen_again
    house.on_empty = lambda: _end_when_closing(loop, house)
    house.begin()
    _say("ready")
    loop.run()
    with contextlib.suppress(OSError):
        house.save()
    control.close()


def _end_when_closing(loop: Loop, house: House) -> None:
    """Leave some time for what is still to be said."""
    if house.is_closing:
        loop.later(_LINGER_S, loop.stop)


def _handle_signals(loop: Loop, house: House) -> None:
    """Children that ended are reaped in the loop; SIGTERM ends everything; the others mean nothing to us."""
    wake, waker = os.pipe()
    for end in (wake, waker):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def woken(_: int) -> None:
        received = os.read(wake, 4096)
        if signal.SIGTERM in received:
            house.end_all(SHUTDOWN)
        house.reap()

    loop.watch(wake, READ, woken)


def _say(word: str) -> None:
    """Tell whoever started us, then let go of them."""
    with contextlib.suppress(OSError):
        os.write(1, f"{word}\n".encode())
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    os.close(null)
