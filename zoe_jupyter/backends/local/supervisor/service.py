"""One attempt of a service: from the intent to start it until nothing of it is left."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import cages, crowd, gpus
from .files import plain
from .logfile import LogFile
from .loop import READ, Loop, Timer
from .ports import is_occupied
from .probes import Probe, make_probe
from .processes import MARKER, send
from .pulse import Pulse
from .spawn import SpawnError, spawn
from .verdict import EXPIRED, NOT_READY, OUT_OF_MEMORY, PROCESS_LIMIT, STOP, UNHEALTHY, End, judge, refused_text

if TYPE_CHECKING:
    from .house import House

_CHUNK = 65536
_LAST_CHUNKS = 256
"""Read at most so many when it has ended: a pipe holds less, unless somebody else writes on."""
_LEFT_GRACE_S = 2.0
"""How long the children of a process that has ended by itself may take to end too."""
_LOOK_S = (0.01, 0.02, 0.05, 0.1)
_FREEZES = 20
"""How often at most to look for more before all are killed."""


class Service:
    """``record`` is what is written down and told; everything else dies with the supervisor, as the service's processes do."""

    def __init__(self, house: House, order: Mapping[str, Any]) -> None:
        self.house = house
        self.loop: Loop = house.loop
        self.name: str = order["service"]
        self.order = order
        self.log = LogFile(house.log_path(self.name), limit_bytes=house.log_limit_bytes, files=house.log_files)
        self.record: dict[str, Any] = {
            "attempt": order["attempt"], "state": "starting", "pid": 0, "start": 0, "ports": dict(order["port_numbers"]),
            "exit_code": None, "reason": None, "is_blameless": False, "is_stopping": False, "oom_kills": 0, "dropped_bytes": 0,
            "trouble": None, "memory": "none", "processes": "none", "cages": [], "members": [],
            "gpus": [], "intent_at": time.time(), "started_at": None, "ready_at": None, "exited_at": None,
        }  # fmt: skip
        self.members: dict[int, int] = {}
        """``{pid: start}`` of its living processes at the last look."""
        self._cage: cages.Cage | None = None
        self._pipe = -1
        self._probe: Probe | None = None
        self._probe_text = ""
        self._pulse = Pulse(self, order.get("health"), self._is_ill)
        self._timers: dict[str, Timer] = {}
        self._cause = ""
        self._exit_code: int | None = None
        self._kill_at = 0.0
        self._is_ending = False
        self._looks = 0
        self._used_bytes = 0
        self._oom_at = 0.0
        self._refused = 0
        self._refused_at = -1e9
        self._tasks = 0

    # Start

    @property
    def port_numbers(self) -> Mapping[str, int]:
        numbers: Mapping[str, int] = self.order["port_numbers"]
        return numbers

    @property
    def is_alive(self) -> bool:
        return bool(self.record["state"] != "exited")

    @property
    def memory_bytes(self) -> int:
        return int(self.order.get("memory_bytes") or 0)

    def launch(self) -> None:
        """Write the intent down, start the process, begin to look whether it is ready. Raises SpawnError; then nothing is left of it."""
        try:
            probe = make_probe(self.order.get("ready"), self, self._became_ready)
            self._write_files()
            self.record["gpus"] = self._take_gpus()
            self._cage = self._make_cage()
            self.record["cages"] = self._cage.folders
            self.house.intend(self)
            self._spawn()
        except (SpawnError, OSError) as error:
            self._take_back()
            raise error if isinstance(error, SpawnError) else SpawnError(str(error), is_final=False) from None
        self._cage.check(self.record["pid"])
        self.record.update(memory=self._memory_kind(), processes=self._processes_kind())
        self._begin(probe)

    def _write_files(self) -> None:
        folder = self.order["folder"]
        os.makedirs(folder, mode=0o700, exist_ok=True)
        for path, content in self.order.get("files", {}).items():
            place = os.path.normpath(os.path.join(folder, path))
            if not place.startswith(os.path.normpath(folder) + os.sep):
                raise SpawnError(f"the file {path!r} is not inside the service's folder", is_final=True)
            os.makedirs(os.path.dirname(place), mode=0o700, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{place}.new")
            with open(f"{place}.new", "w", encoding="utf-8", opener=plain) as file:
                file.write(content)
            os.replace(f"{place}.new", place)

    def _take_gpus(self) -> list[str]:
        try:
            return self.house.gpus.take(int(self.order.get("gpus") or 0), self.order.get("known_gpus") or ())
        except gpus.GpusTaken as error:
            raise SpawnError(str(error), is_final=False) from None

    def _make_cage(self) -> cages.Cage:
        name = f"zoe.{self.house.deployment}.{self.house.execution}.{self.name}.{self.record['attempt']}"
        microcores = int(self.order.get("microcores") or 0)
        wanted = {"memory_bytes": self.memory_bytes, "microcores": microcores, "tasks": self.house.process_limit}
        return cages.Cage(name, self.house.places, **wanted)

    def _memory_kind(self) -> str:
        if not self.memory_bytes:
            return "none"
        return "cgroup" if self._cage is not None and self._cage.limits_memory else "watched"

    def _processes_kind(self) -> str:
        if not self.house.process_limit:
            return "none"
        return "cgroup" if self._cage is not None and self._cage.limits_tasks else self.house.crowd_kind

    def _spawn(self) -> None:
        if self.record["attempt"] > 1:
            self.log.note(f"attempt {self.record['attempt']}")
        self._pipe, end = os.pipe()
        os.set_blocking(self._pipe, False)
        try:
            pid, start = spawn(
                self.order["command"], cwd=self.order["cwd"], environment=self._environment(), output=end,
                umask=self.house.umask, niceness=self.house.niceness, cage=self._cage, most_tasks=self._most_tasks(),
            )  # fmt: skip
        finally:
            os.close(end)
        self.record.update(pid=pid, start=start, started_at=time.time(), members=[[pid, start]])
        self.members = {pid: start}

    def _most_tasks(self) -> int:
        """Of this user, while this service may start more; 0 when the kernel does not keep its limit by counting the user's."""
        if self._processes_kind() != "rlimit":
            return 0
        self.house.take_census()
        return crowd.of_others(self.house.census.processes, self.members) + self.house.process_limit

    def _environment(self) -> dict[str, str]:
        marker = f"{self.house.deployment}/{self.house.execution}/{self.name}#{self.record['attempt']}"
        seen = gpus.visible(self.record["gpus"]) if self.order.get("known_gpus") else {}
        return {**self.order["environment"], **seen, MARKER: marker}

    def _take_back(self) -> None:
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        self.log.close()
        self.house.gpus.release(self.record["gpus"])
        self.house.forget(self)
        if self._cage is not None:
            cages.remove(self._cage.folders)

    def _begin(self, probe: Probe | None) -> None:
        self.house.adopt(self.record["pid"], self._main_exited)
        self.loop.watch(self._pipe, READ, self._readable)
        self._probe = probe
        if probe is None:
            self._became_ready()
            return
        timeout_s = float(self.order["ready"].get("timeout_s") or 60.0)
        self._timers["ready"] = self.loop.later(timeout_s, lambda: self._was_never_ready(timeout_s))
        probe.start()
        self.house.changed()

    # Life

    def member_pids(self) -> set[int]:
        self.house.take_census()
        return set(self.members)

    def start_helper(
        self, command: Sequence[str], on_exit: Callable[[int], object], *, extra: Mapping[str, str] | None = None
    ) -> tuple[int, int]:
        """Run a command in the service's own environment and folder; with ``extra`` variables it also speaks into its log."""
        output = os.open(os.devnull, os.O_WRONLY) if extra is None else self._ear()
        try:
            environment = {**self._environment(), **(extra or {})}
            pid, start = spawn(
                command, cwd=self.order["cwd"], environment=environment, output=output, umask=self.house.umask
            )
        finally:
            os.close(output)
        self.house.adopt(pid, lambda status: on_exit(exit_code_of(status)))
        self.house.helpers[pid] = self.name
        return pid, start

    def _ear(self) -> int:
        """Something to write to that ends up in the log."""
        source, end = os.pipe()
        os.set_blocking(source, False)

        def hear(_: int) -> None:
            data = os.read(source, _CHUNK)
            if data and self.is_alive:
                self.log.write(data)
            if not data:
                self.loop.unwatch(source)
                os.close(source)

        self.loop.watch(source, READ, hear)
        return end

    def note_oom_kills(self) -> None:
        """See whether the kernel killed one of its processes for want of memory."""
        kills = self._cage.oom_kills() if self._cage is not None else 0
        if self._cage is None or kills <= self.record["oom_kills"]:
            return
        self.record["oom_kills"] = kills
        self._oom_at = time.monotonic()
        self._used_bytes = max(self._cage.peak_bytes(), self.memory_bytes)
        self.log.note(f"the kernel killed a process of this service: out of memory ({kills} so far)")
        told = (self.record["trouble"] or {"numbers": {}})["numbers"].get("kills", 0)
        if kills >= 2 * told:  # not again and again, when it starts its children anew
            numbers = {"kills": kills, "used": self._used_bytes, "limit": self.memory_bytes}
            self.record["trouble"] = {"code": OUT_OF_MEMORY, "text": "", "numbers": numbers}
        self.house.changed()

    def note_crowd(self) -> None:
        """See whether it has as many processes as it may have: who keeps it from more says so; where nobody does, it is ended."""
        kind, limit, tasks = self.record["processes"], self.house.process_limit, self.house.census.tasks(self)
        if kind == "watched" and tasks > limit:
            self._tasks = tasks
            self.log.note(f"killed: too many processes, {tasks} and threads included, may have {limit}")
            self.end(PROCESS_LIMIT, grace_s=0.0)
        elif kind == "rlimit":
            most = crowd.of_others(self.house.census.processes, self.members) + limit
            for pid in self.members:
                crowd.allow(pid, most)
            self._note_refused(is_new=tasks >= limit)
        elif kind == "cgroup" and self._cage is not None:
            refused = self._cage.refused_tasks()
            self._note_refused(is_new=refused > self._refused)
            self._refused = refused

    def _note_refused(self, *, is_new: bool) -> None:
        if not is_new:
            return
        self._refused_at = time.monotonic()
        limit = self.house.process_limit
        trouble = {"code": PROCESS_LIMIT, "text": refused_text(limit), "numbers": {"limit": limit}}
        if self.record["trouble"] != trouble:
            self.record["trouble"] = trouble
            self.log.note(f"this service {refused_text(limit)}")
            self.house.changed()

    def use_too_much(self, used_bytes: int) -> None:
        """It is over its limit and has no control group that stops it: kill it."""
        self._used_bytes = used_bytes
        self.log.note(f"killed: out of memory, used {used_bytes} of {self.memory_bytes} bytes")
        self.end(OUT_OF_MEMORY, grace_s=0.0)

    def _became_ready(self) -> None:
        self._cancel("ready")
        if self.record["state"] == "starting" and not self._is_ending:
            self.record.update(state="ready", ready_at=time.time())
            self._probe = None
            self._pulse.start()
        self.house.changed()

    def _was_never_ready(self, timeout_s: float) -> None:
        self._stop_probing()
        self.log.note(f"not ready after {timeout_s:g} s: waited for {self._probe_text or 'it'}")
        self.end(NOT_READY, grace_s=min(2.0, float(self.order.get("grace_s") or 0.0)))

    def _is_ill(self, waited_for: str) -> None:
        self._probe_text = waited_for
        self.log.note(f"it works no more: waited for {waited_for}")
        self.end(UNHEALTHY, grace_s=min(2.0, float(self.order.get("grace_s") or 0.0)))

    def _stop_probing(self) -> None:
        """What it waited for until now is what is told: from here on it would meet the service's end."""
        self._pulse.close()
        if self._probe is not None:
            self._probe_text = self._probe.describe()
            self._probe.close()
            self._probe = None

    def _readable(self, _: int) -> None:
        if self._read_once() == 0:
            self._close_pipe()

    def _read_once(self) -> int | None:
        """Take a chunk of output; 0 at its end, None when there is nothing now."""
        try:
            data = os.read(self._pipe, _CHUNK)
        except BlockingIOError:
            return None
        except OSError:
            return 0
        if data:
            self.log.write(data)
            if self.log.dropped != self.record["dropped_bytes"]:
                self.record["dropped_bytes"] = self.log.dropped
            if self._probe is not None:
                self._probe.feed(data)
        return len(data)

    # End

    def stop(self, grace_s: float) -> None:
        """Ask it to end, kill it after the grace; again with a shorter grace moves the kill forward."""
        if self.is_alive:
            self.record["is_stopping"] = True
            self.end(STOP, grace_s=grace_s)
            self.house.changed()

    def end(self, cause: str, *, grace_s: float) -> None:
        """Bring it to its end, for the first cause that was given."""
        if not self.is_alive:
            return
        kill_at = time.monotonic() + max(0.0, grace_s)
        if self._is_ending:
            self._kill_at = min(self._kill_at, kill_at)
            self._look_again(0.0)
            return
        self._cause = cause
        self._is_ending = True
        self._pulse.close()
        self._kill_at = kill_at
        if grace_s > 0:
            self._ask_to_end()
        self._look_again(0.0 if grace_s <= 0 else _LOOK_S[0])

    def _ask_to_end(self) -> None:
        """SIGTERM to the process group, as long as its leader is ours for certain; else to each process."""
        if self._exit_code is None and self.record["pid"]:
            try:
                os.killpg(self.record["pid"], signal.SIGTERM)
                return
            except OSError:
                pass
        for pid, start in self.members.items():
            send(pid, start, signal.SIGTERM)

    def _main_exited(self, status: int) -> None:
        self._exit_code = exit_code_of(status)
        self.note_oom_kills()
        self.note_crowd()
        self._stop_probing()
        self._kill_at = (
            min(self._kill_at, time.monotonic() + _LEFT_GRACE_S)
            if self._is_ending
            else time.monotonic() + _LEFT_GRACE_S
        )
        self._is_ending = True
        self._cancel("ready")
        self.house.take_census(since=self.house.reaped_at)
        if self.members:
            self._ask_to_end()
        self._look_again(0.0)

    def _look_again(self, delay_s: float) -> None:
        self._cancel("look")
        self._timers["look"] = self.loop.later(delay_s, self._look)

    def _look(self) -> None:
        """See whether anything is left; kill it when its time is over. Those that look in one moment share a census."""
        self.house.take_census(since=self.loop.timers_began_at)
        if self._exit_code is not None and not self.members:
            self._finish()
            return
        if time.monotonic() >= self._kill_at:
            self._kill()
        self._look_again(_LOOK_S[min(self._looks, len(_LOOK_S) - 1)])
        self._looks += 1

    def _kill(self) -> None:
        """All at once: those that start others faster than they are killed are kept from that first."""
        if self._cage is not None and self._cage.limits_tasks:
            cages.seal(self.record["cages"])
        else:
            self._freeze()
        for pid, start in self.members.items():
            send(pid, start, signal.SIGKILL)

    def _freeze(self) -> None:
        frozen: dict[int, int] = {}
        for _ in range(_FREEZES):
            new = dict(self.members.items() - frozen.items())
            if not new:
                return
            for pid, start in new.items():
                send(pid, start, signal.SIGSTOP)
            frozen.update(new)
            self.house.take_census(since=time.monotonic())

    def _finish(self) -> None:
        self._close_pipe()
        for name in list(self._timers):
            self._cancel(name)
        self._stop_probing()
        reason, is_blameless = judge(self._describe_end())
        self.record.update(
            state="exited",
            exit_code=self._exit_code,
            reason=reason,
            is_blameless=is_blameless,
            trouble=None,
            exited_at=time.time(),
            members=[],
        )
        self.log.close()
        self.house.ended(self)

    def _describe_end(self) -> End:
        was_ready = self.record["ready_at"] is not None
        return End(
            exit_code=self._exit_code,
            cause=self._cause,
            was_ready=was_ready,
            oom_kills=self.record["oom_kills"],
            since_oom_s=time.monotonic() - self._oom_at,
            used_bytes=self._used_bytes,
            limit_bytes=self.memory_bytes,
            tasks=self._tasks,
            task_limit=self.house.process_limit,
            since_refused_s=time.monotonic() - self._refused_at,
            taken=[] if was_ready else [number for number in self.port_numbers.values() if is_occupied(number)],
            waited_for=self._probe_text,
            timeout_s=float((self.order.get("ready") or {}).get("timeout_s") or 0.0),
            failures=int((self.order.get("health") or {}).get("failures") or 0),
            why_expired=self.house.why_expired if self._cause == EXPIRED else "",
            log=self.log.tail(5),
        )

    def _close_pipe(self) -> None:
        if self._pipe < 0:
            return
        for _ in range(_LAST_CHUNKS):
            if not self._read_once():
                break
        self.loop.unwatch(self._pipe)
        os.close(self._pipe)
        self._pipe = -1

    def release(self) -> list[str]:
        """Give the control groups back; returns those that the kernel still holds."""
        folders = cages.remove(self.record["cages"])
        self.record["cages"] = folders
        return folders

    def _cancel(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()


def exit_code_of(status: int) -> int:
    """What ``waitpid`` told, as shells say it: 128 + signal when one killed it."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code
