"""A process of its own that ends what no Zoe looks after any more, as supervisors do on this machine: no engine does it by itself.

A core starts it while something runs; it outlives the core, and ends when nothing is left to watch. Whether a core lives it sees by the kernel's own
lock on a file, and it counts silence by itself: neither a full disk, nor a clock that is set, nor a machine that slept ends anything sooner.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO, Any

from docker.errors import DockerException

from zoe_jupyter.backends.base import Bounds, Unreachable
from zoe_jupyter.backends.containers.names import slug
from zoe_jupyter.backends.docker import claims
from zoe_jupyter.backends.docker.calls import QUICK_S, SILENT, Calls
from zoe_jupyter.backends.docker.notes import add_verdicts, read_bounds, why_over
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.backends.docker.translate import LABEL
from zoe_jupyter.backends.docker.tunnel import Tunnel
from zoe_jupyter.model.execution import Reason

NOTES = "notes.json"
_TOLD, _CORE, _WATCH = "watchman.json", "core.lock", "watchman.lock"
_LONGEST_STEP_S, _SHORTEST_STEP_S = 5.0, 0.2
_GRACE_S = 2
_AT_ONCE = 8
_START_S = 60.0
GIVE_UP_S = 86400.0
"""For so long an engine that is silent is asked to end what must not go on there; then the next core is left to do it."""


class Guard:
    """The core's side: has a watchman there while something runs."""

    def __init__(self, folder: Path, deployment: str, store: str, engines: Sequence[EngineSettings]) -> None:
        self._folder = folder
        told = {"deployment": deployment, "store": store, "engines": [asdict(each) for each in engines]}
        self._told = json.dumps(told)

    def see_to_it(self) -> None:
        """Start one unless there is one; blocks. One that was told otherwise ends by itself."""
        file = self._folder / _TOLD
        if _read(file) != self._told:
            file.touch(mode=0o600)
            file.write_text(self._told, encoding="utf-8")
        if self.is_watched():
            return
        subprocess.run(
            [sys.executable, "-m", __name__, str(self._folder)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, cwd="/", start_new_session=True, timeout=_START_S, check=False,
        )  # fmt: skip

    def is_watched(self) -> bool:
        """Whether there is one."""
        lock = _held(self._folder / _WATCH)
        if lock is not None:
            lock.close()
        return lock is None


def live(folder: Path) -> IO[bytes]:
    """Show that a core lives until the answer is closed, or the process dies; blocks while the watchman ends something."""
    lock = _opened(folder / _CORE)
    fcntl.flock(lock, fcntl.LOCK_SH)
    return lock


def over(bounds: Mapping[str, Bounds], silent_s: float, now: float) -> dict[str, str]:
    """Executions that must not go on, and why."""
    found = {execution_id: why_over(each, now - silent_s, now) for execution_id, each in bounds.items()}
    return {execution_id: why for execution_id, why in found.items() if why}


def watch(folder: Path, told: str) -> None:
    """Until nothing is left to watch, what is left is on engines that are gone, or it is told otherwise."""
    body: dict[str, Any] = json.loads(told)
    engines = [EngineSettings(**each) for each in body["engines"]]
    lines = [Calls(each, _tunnel(each, folder)) for each in engines]
    silent_since, done, tried_since = time.monotonic(), set[str](), dict[str, float]()
    while _read(folder / _TOLD) == told and (bounds := read_bounds(folder / NOTES)).keys() - done:
        if (lock := _held(folder / _CORE)) is None:
            silent_since, tried_since, done = time.monotonic(), {}, set()
        else:
            with lock:
                now, left = time.monotonic(), {key: each for key, each in bounds.items() if key not in done}
                found = over(left, now - silent_since, time.time())
                tried_since = {key: tried_since.get(key, now) for key in found}
                reached = [_end(folder, body["deployment"], body["store"], line, found) for line in lines if found]
                done |= found.keys() if all(reached) else given_up(tried_since, now)
        shortest_s = min(each.silence_s for each in bounds.values())
        time.sleep(max(_SHORTEST_STEP_S, min(_LONGEST_STEP_S, shortest_s / 4)))
    for line in lines:
        line.close()


def given_up(tried_since: Mapping[str, float], now: float) -> set[str]:
    """Executions that were tried to be ended everywhere for so long that nobody waits for that any more."""
    return {execution_id for execution_id, since in tried_since.items() if now - since >= GIVE_UP_S}


def _end(folder: Path, deployment: str, store: str, line: Calls, found: Mapping[str, str]) -> bool:
    """Stop what runs of them there, after writing down why; whether nothing of them runs there any more, or another core looks after them."""
    try:
        client = line.client(QUICK_S)
        if claims.is_anothers(client, deployment, store, claims.name_of(folder)):
            return True
        for execution_id, why in found.items():
            wanted = {"label": [f"{LABEL}deployment={deployment}", f"{LABEL}execution={execution_id}"]}
            ids = [each["Id"] for each in client.containers(filters=wanted)]
            with suppress(OSError):  # a full disk
                add_verdicts(folder / NOTES, dict.fromkeys(ids, Reason("expired", f"ended since {why}")))
            with ThreadPoolExecutor(_AT_ONCE) as threads:
                list(threads.map(partial(client.stop, timeout=_GRACE_S), ids))
    except (Unreachable, DockerException, *SILENT):
        return False
    return True


def _tunnel(engine: EngineSettings, folder: Path) -> Tunnel | None:
    """Of its own: the core's ends with the core."""
    is_tunnelled = engine.url.startswith("ssh:")
    return Tunnel(engine, folder / "watchman" / slug(engine.name)) if is_tunnelled else None


def _held(file: Path) -> IO[bytes] | None:
    """It, locked for whoever keeps it open; None where another has it."""
    for mode in ("rb", "r+b"):  # on a disk that cannot be written to the one will do, on a network's only the other
        lock = _opened(file, mode)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except OSError as error:
            lock.close()
            if error.errno != errno.EBADF:
                return None
    return None


def _opened(file: Path, mode: str = "rb") -> IO[bytes]:
    if not file.exists():
        file.touch(mode=0o600)
    return file.open(mode)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""


def main(folder: Path) -> None:
    """Go to the background once there is no other; the lock goes along."""
    told, lock = _read(folder / _TOLD), _held(folder / _WATCH)
    if lock is not None:
        with lock:
            if told and os.fork() == 0:
                os.umask(0o077)
                watch(folder, told)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
