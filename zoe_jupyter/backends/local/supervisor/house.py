"""The supervisor's household: its services, what is written down of them, who is waited for, and when all of it ends."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from . import cages, crowd
from .census import Census
from .files import STATE_FILE, plain, read_state
from .gpus import Gpus
from .lock import Lock
from .loop import Loop, Timer, complain, guarded
from .ports import Ports
from .processes import boot_id, start_of
from .service import Service
from .spawn import SpawnError
from .sweep import believed, sweep
from .verdict import EXPIRED, REMOVED, SHUTDOWN

PROTOCOL = 1
_WATCH_S, _TRACK_S = 0.5, 2.0
"""How often processes are counted: with a limit to be kept by watching, and without."""
_ENGINE_FIRST_S, _HEARD_S = 10.0, 30.0
"""A core that was heard from lately gets so long to end an execution itself, or to give it more time, once its time is found to be over."""
_RELEASE_AGAIN_S = 0.5


class House:
    def __init__(self, loop: Loop, run_dir: str, settings: Mapping[str, Any], *, umask: int, lock: Lock) -> None:
        self.loop = loop
        self.run_dir = run_dir
        self.umask = umask
        self.lock = lock
        self.deployment: str = settings["deployment"]
        self.execution: str = settings["execution"]
        self.log_limit_bytes = int(settings["log_limit_bytes"])
        self.log_files = int(settings["log_files"])
        self.places = [cages.Place(*each) for each in settings["places"]]
        has_shares = any(place.controller == "cpu" for place in self.places)
        self.niceness = 0 if has_shares else int(settings["niceness"])
        self.process_limit = int(settings["process_limit"])
        self.crowd_kind = crowd.kind()
        self.ports = Ports()
        self.gpus = Gpus()
        self.census = Census()
        self.services: dict[str, Service] = {}
        self.past: dict[str, dict[str, Any]] = {}
        """Records of services that an earlier supervisor ran."""
        self.reserved: dict[str, dict[str, Any]] = {}
        """``{service: {attempt, ports}}``, the newest attempt of each."""
        self.helpers: dict[int, str] = {}
        self.why_expired = ""
        self.is_closing = False
        self.on_change: Callable[[int], object] = lambda _: None
        self.on_empty: Callable[[], object] = lambda: None
        self.on_look: Callable[[], object] = lambda: None
        """Now and then, while the folder is ours."""
        self._bounds: dict[str, Any] = settings["bounds"]
        self._ends_at = _on_own_clock(self._bounds)
        self._over_at: float | None = None
        self._heard_at = time.monotonic()
        self._sequence = 0
        self.reaped_at = 0.0
        """When it was last seen which children have ended (monotonic clock)."""
        self._waited_for: dict[int, Callable[[int], object]] = {}
        self._identity = {"pid": os.getpid(), "start": start_of(os.getpid())}
        self._boot_id = boot_id()
        self._is_change_due = False
        self._is_unsaved = False
        self._written: tuple[int, ...] = ()
        """Which file its state was last written to, and how that was left."""
        self._bounds_timer: Timer | None = None

    # What is written down

    def take_over(self) -> None:
        """Read what an earlier supervisor left, end its orphans, and write down that this one is in charge. Blocks for up to some seconds."""
        state = read_state(self.run_dir)
        self.reserved = dict(state.get("reserved", {}))
        self._sequence = int(state.get("sequence", 0))
        if state or _has_entries(os.path.join(self.run_dir, "services")):
            left = believed(state, self.deployment, self.execution)
            sweep(self.run_dir, left)
            cages.remove(left["services"][""]["cages"])  # also of an attempt that was not written down any more
        for name, record in state.get("services", {}).items():
            if record["state"] != "exited":
                record.update(
                    lost(state, self._boot_id),
                    state="exited",
                    exit_code=None,
                    is_blameless=True,
                    exited_at=time.time(),
                    members=[],
                )
            record["cages"] = cages.remove(record.get("cages", ()))
            self.past[name] = record
        self._write()

    def begin(self) -> None:
        """Look after bounds and processes from now on."""
        self.check_bounds()
        self._watch()

    def snapshot(self) -> dict[str, Any]:
        records = {**self.past, **{name: service.record for name, service in self.services.items()}}
        return {
            "protocol": PROTOCOL, "deployment": self.deployment, "execution": self.execution, "boot_id": self._boot_id,
            "supervisor": self._identity, "sequence": self._sequence, "bounds": self._bounds, "why_expired": self.why_expired,
            "reserved": self.reserved, "services": records,
        }  # fmt: skip

    def changed(self) -> None:
        """Something changed: write it down and tell, once for all that changed in one go."""
        if not self._is_change_due:
            self._is_change_due = True
            self.loop.later(0.0, self._publish)

    def save(self) -> None:
        """Write it down now; raises OSError when that cannot be."""
        self._sequence += 1
        self._write()

    def intend(self, service: Service) -> None:
        """Write down that this attempt is about to be started; it takes the place of an earlier one."""
        self.past.pop(service.name, None)
        self.services[service.name] = service
        try:
            self.save()
        except OSError as error:
            hint = "; the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
            raise SpawnError(
                f"cannot write to {self.run_dir}: {os.strerror(error.errno or 0)}{hint}", is_final=False
            ) from None

    def forget(self, service: Service) -> None:
        """It was not started after all."""
        if self.services.get(service.name) is service:
            del self.services[service.name]
            self.changed()

    def log_path(self, service: str) -> str:
        return os.path.join(self.run_dir, "logs", f"{service}.log")

    def _publish(self) -> None:
        self._is_change_due = False
        try:
            self.save()
            self._is_unsaved = False
        except OSError:
            if not self._is_unsaved:
                complain()
            self._is_unsaved = True
        self.on_change(self._sequence)

    def _write(self) -> None:
        if not self.lock.is_held():
            raise OSError(errno.ESTALE, "somebody else is in charge of it, or it was removed")
        path = os.path.join(self.run_dir, STATE_FILE)
        with open(f"{path}.new", "w", encoding="utf-8", opener=plain) as file:
            json.dump(self.snapshot(), file)
        self._written = _identity_of(f"{path}.new")
        os.replace(f"{path}.new", path)

    # Processes

    def adopt(self, pid: int, on_exit: Callable[[int], object]) -> None:
        """Call back with its wait status when this child has ended."""
        self._waited_for[pid] = on_exit

    def reap(self) -> None:
        """Wait for every child that has ended, adopted orphans included; then say so to those who wait for them."""
        ended: list[tuple[Callable[[int], object], int]] = []
        with contextlib.suppress(ChildProcessError):
            while (child := os.waitpid(-1, os.WNOHANG))[0]:
                self.helpers.pop(child[0], None)
                if child[0] in self._waited_for:
                    ended.append((self._waited_for.pop(child[0]), child[1]))
        self.reaped_at = time.monotonic()
        for callback, status in ended:
            guarded(callback, status)

    def take_census(self, *, since: float | None = None) -> None:
        self.census.take(self.services, self.helpers, since=since)

    def living(self) -> list[Service]:
        return [service for service in self.services.values() if service.is_alive]

    def ended(self, service: Service) -> None:
        """Nothing of the service is left."""
        kept = self.reserved.get(service.name, {"attempt": 0, "ports": {}})
        for number in service.record["ports"].values():
            if kept["attempt"] <= service.record["attempt"] or number not in kept["ports"].values():
                self.ports.release(number)
        self.gpus.release(service.record["gpus"])
        self._release(service)
        self.changed()
        if not self.living():
            self.on_empty()

    def _release(self, service: Service) -> None:
        if service.release():
            self.loop.later(_RELEASE_AGAIN_S, lambda: self._release(service))

    def _watch(self) -> None:
        """Look after the members and the memory of all services, again and again."""
        least_s = _TRACK_S
        try:
            living = self.living()
            if living:
                before = {service.name: service.members for service in living}
                self.take_census(since=time.monotonic())
                for service in living:
                    service.note_oom_kills()
                    service.note_crowd()
                    if service.members != before[service.name]:
                        service.record["members"] = [list(member) for member in service.members.items()][:512]
                        self.changed()
                    if service.record["memory"] == "watched":
                        self._check_memory(service)
                    if {"watched", "rlimit"} & {service.record["memory"], service.record["processes"]}:
                        least_s = _WATCH_S
            if self._is_unsaved:
                self.changed()
            self._look_after_folder()
        finally:
            self.loop.later(self.census.pause_s(least_s), self._watch)

    def _look_after_folder(self) -> None:
        """Put back what somebody removed under us; end where nobody can reach us any more, or somebody else is in charge."""
        if self.is_closing:
            return
        if not self.lock.is_held():
            self.end_all(REMOVED)
            return
        if _identity_of(os.path.join(self.run_dir, STATE_FILE)) != self._written:
            self.changed()
        self.on_look()

    def _check_memory(self, service: Service) -> None:
        used = self.census.is_over(service)
        if used:
            service.use_too_much(used)

    # Ends

    @property
    def bounds(self) -> Mapping[str, Any]:
        return self._bounds

    def bound(self, bounds: Mapping[str, Any]) -> None:
        """Whoever speaks may be a service of ours: nothing is taken over of what cannot be counted with. Raises ValueError, TypeError."""
        ends_at, silence_s = _on_own_clock(bounds), float(bounds["silence_s"])
        if not math.isfinite(silence_s) or not math.isfinite(ends_at or 0.0):
            raise ValueError("bounds are finite")
        self._bounds = {"ends_at": bounds.get("ends_at"), "silence_s": silence_s}
        self._ends_at = ends_at
        self._over_at = None
        self.changed()
        self.check_bounds()

    def heard(self) -> None:
        """A core has spoken."""
        self._heard_at = time.monotonic()

    def check_bounds(self) -> None:
        """End everything when its time is over or no core has spoken for too long; else look again when that may be so."""
        silent_s = time.monotonic() - self._heard_at
        left_s = float(self._bounds["silence_s"]) - silent_s
        if left_s <= 0:
            self._expire(f"no core was heard from for {silent_s:.0f} s")
            return
        if self._ends_at is not None:
            left_s = min(left_s, self._lifetime_left_s(self._ends_at, silent_s))
            if left_s <= 0:
                self._expire("its lifetime is over")
                return
        if self._bounds_timer is not None:
            self._bounds_timer.cancel()
        self._bounds_timer = self.loop.later(min(30.0, max(0.05, left_s)), self.check_bounds)

    def _lifetime_left_s(self, ends_at: float, silent_s: float) -> float:
        """The core's turn is counted by the clock that stands while the machine sleeps: right after that the core has news of its own."""
        left_s = ends_at - running_s()
        if left_s > 0:
            return left_s
        now = time.monotonic()
        self._over_at = now if self._over_at is None else self._over_at
        return self._over_at - now + (_ENGINE_FIRST_S if silent_s < _HEARD_S else 0.0)

    def _expire(self, why: str) -> None:
        self.why_expired = why
        self.end_all(EXPIRED)

    def end_all(self, cause: str = SHUTDOWN, *, grace_s: float | None = None) -> None:
        """Bring everything to its end; then ``on_empty``."""
        self.is_closing = True
        self.changed()
        living = self.living()
        for service in living:
            service.end(cause, grace_s=float(service.order.get("grace_s") or 0.0) if grace_s is None else grace_s)
        if not living:
            self.on_empty()


def _has_entries(folder: str) -> bool:
    try:
        return bool(os.listdir(folder))
    except OSError:
        return False


def _identity_of(path: str) -> tuple[int, ...]:
    """Another one as soon as somebody replaces or changes the file; empty when there is none."""
    try:
        found = os.lstat(path)
    except OSError:
        return ()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def running_s() -> float:
    """Seconds since the machine was started, also those in which it slept; nobody can set this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def _on_own_clock(bounds: Mapping[str, Any]) -> float | None:
    """When all ends, by a clock that does not jump when somebody sets the machine's."""
    ends_at = bounds.get("ends_at")
    return None if ends_at is None else running_s() + float(ends_at) - time.time()


def lost(state: Mapping[str, Any], boot: str) -> dict[str, Any]:
    """The reason of a service whose supervisor has gone without a word."""
    why = (
        "the machine was restarted"
        if state.get("boot_id") != boot
        else "its supervisor was killed, and it with its supervisor"
    )
    return {"reason": {"code": "lost", "text": f"lost: {why}", "numbers": {}}}
