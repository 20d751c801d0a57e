"""What the core may ask of the supervisor: one function for each request, by name."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from typing import Any

from .control import Reply
from .house import House
from .ports import PortsTaken
from .processes import TICKS_PER_S, send
from .service import Service
from .spawn import SpawnError
from .verdict import STOP

TIMED_OUT = 124
"""Exit code of a command that was killed at its limit, as ``timeout`` gives it."""


class Refused(Exception):
    """The request cannot be met; ``kind`` is ``retryable`` or ``fatal``."""

    def __init__(self, text: str, *, kind: str = "retryable") -> None:
        super().__init__(text)
        self.kind = kind


class Requests:
    def __init__(self, house: House) -> None:
        self._house = house
        self._known: dict[str, Callable[[Mapping[str, Any], Reply], None]] = {
            "hello": self._observe,
            "subscribe": self._observe,
            "observe": self._observe,
            "ping": lambda _, reply: reply({"ok": {}}),
            "reserve": self._reserve,
            "launch": self._launch,
            "stop": self._stop,
            "run": self._run,
            "bound": self._bound,
            "usage": self._usage,
            "finish": self._finish,
        }

    def handle(self, request: Mapping[str, Any], reply: Reply) -> None:
        """Meet a request, or say why not."""
        self._house.heard()
        known = self._known.get(str(request.get("do")))
        try:
            if known is None:
                raise Refused(
                    f"this supervisor does not know {request.get('do')!r}; it is of an older Zoe", kind="fatal"
                )
            known(request, reply)
        except Refused as error:
            reply({"error": {"kind": error.kind, "text": str(error)}})

    def _observe(self, _: Mapping[str, Any], reply: Reply) -> None:
        reply({"ok": self._house.snapshot()})

    def _reserve(self, request: Mapping[str, Any], reply: Reply) -> None:
        """Hold port numbers for an attempt; those of the attempt before when they are still free and were not lost to others."""
        house, name, attempt = self._house, request["service"], int(request["attempt"])
        self._refuse_when_closing()
        before = house.reserved.get(name, {"attempt": 0, "ports": {}})
        if before["attempt"] > attempt:
            raise Refused(f"attempt {before['attempt']} of {name} came after attempt {attempt}", kind="fatal")
        wanted = list(request["ports"])
        if before["attempt"] != attempt or set(before["ports"]) != set(wanted):
            reusable = {} if self._was_taken(name) else before["ports"]
            house.reserved[name] = {"attempt": attempt, "ports": self._choose(wanted, reusable)}
            if wanted or before["ports"]:  # else the launch will write it down
                house.save()
        else:
            self._hold_again(before["ports"])
        reply({"ok": {"ports": house.reserved[name]["ports"]}})

    def _choose(self, wanted: list[str], before: Mapping[str, int]) -> dict[str, int]:
        ports = self._house.ports
        for port, number in before.items():
            if port not in wanted:
                ports.release(number)
        try:
            return {
                port: before[port] if port in before and ports.keep(before[port]) else ports.choose() for port in wanted
            }
        except PortsTaken as error:
            raise Refused(str(error)) from None

    def _hold_again(self, numbers: Mapping[str, int]) -> None:
        """After an earlier supervisor's death; when one was lost meanwhile, the attempt will find its port taken."""
        for number in numbers.values():
            self._house.ports.hold(number)

    def _was_taken(self, name: str) -> bool:
        record = self._record(name)
        return bool(record and record["reason"] and record["reason"]["code"] == "port_taken")

    def _launch(self, request: Mapping[str, Any], reply: Reply) -> None:
        order, house = request["order"], self._house
        name, attempt = order["service"], int(order["attempt"])
        record = self._record(name)
        if record is not None and record["attempt"] == attempt:
            reply({"ok": record})
            return
        self._refuse_when_closing()
        if record is not None and record["attempt"] > attempt:
            raise Refused(f"attempt {record['attempt']} of {name} came after attempt {attempt}", kind="fatal")
        before = house.services.get(name)
        if before is not None and before.is_alive:  # its launch came late, or nobody waited for its end
            before.stop(float(before.order.get("grace_s") or 0.0))
            raise Refused(f"attempt {before.record['attempt']} of {name} has to end first")
        house.bound(request["bounds"])
        self._hold_again(order["port_numbers"])
        service = Service(house, order)
        try:
            service.launch()
        except SpawnError as error:
            self._let_go(name, attempt)
            raise Refused(str(error), kind="fatal" if error.is_final else "retryable") from None
        house.changed()
        reply({"ok": service.record})

    def _stop(self, request: Mapping[str, Any], reply: Reply) -> None:
        name, attempt = request["service"], int(request["attempt"])
        service = self._house.services.get(name)
        if service is not None and service.record["attempt"] == attempt:
            service.stop(float(request["grace_s"]))
        elif service is None or not service.is_alive:
            self._let_go(name, attempt)
        reply({"ok": {}})

    def _let_go(self, name: str, attempt: int) -> None:
        """Its ports were reserved, and it will not come; held again when it comes after all."""
        kept = self._house.reserved.get(name)
        if kept is not None and kept["attempt"] == attempt:
            for number in kept["ports"].values():
                self._house.ports.release(number)

    def _run(self, request: Mapping[str, Any], reply: Reply) -> None:
        """Run a command beside a service; the answer comes when it has ended."""
        service = self._house.services.get(request["service"])
        if service is None or not service.is_alive or service.record["attempt"] != int(request["attempt"]):
            raise Refused(f"{request['service']} does not run")
        timed_out = [False]

        def ended(code: int) -> None:
            timer.cancel()
            reply({"ok": {"exit_code": TIMED_OUT if timed_out[0] else code}})

        try:
            pid, start = service.start_helper(request["command"], ended, extra=request["environment"])
        except (SpawnError, OSError) as error:
            raise Refused(str(error)) from None

        def kill() -> None:
            timed_out[0] = True
            _kill_group(pid, start)

        timer = self._house.loop.later(float(request["timeout_s"]), kill)

    def _bound(self, request: Mapping[str, Any], reply: Reply) -> None:
        self._house.bound(request["bounds"])
        reply({"ok": {}})

    def _usage(self, _: Mapping[str, Any], reply: Reply) -> None:
        house = self._house
        house.take_census(since=time.monotonic())
        samples = {}
        for service in house.living():
            cpu_s = house.census.cpu_ticks(service.members) / TICKS_PER_S
            memory = house.census.memory_bytes(service)
            samples[service.name] = {
                "attempt": service.record["attempt"], "age_s": time.time() - (service.record["started_at"] or time.time()),
                "cpu_s": cpu_s, "memory_bytes": memory, "processes": len(service.members),
            }  # fmt: skip
        reply({"ok": samples})

    def _finish(self, request: Mapping[str, Any], reply: Reply) -> None:
        """End everything, then the supervisor itself."""
        reply({"ok": {}})
        self._house.end_all(STOP, grace_s=float(request["grace_s"]))

    def _record(self, name: str) -> dict[str, Any] | None:
        service = self._house.services.get(name)
        return service.record if service is not None else self._house.past.get(name)

    def _refuse_when_closing(self) -> None:
        if self._house.is_closing:
            raise Refused("its supervisor is about to end")


def _kill_group(pid: int, start: int) -> None:
    if send(pid, start, signal.SIGKILL):
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
