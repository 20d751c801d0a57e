"""What a later core must know and the engines cannot tell: bounds, who was ready, why Zoe ended somebody. A small file, lost without harm."""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from zoe_jupyter.backends.base import Bounds
from zoe_jupyter.backends.containers import small_files
from zoe_jupyter.model.execution import Reason

logger = logging.getLogger(__name__)

_HEARD_S = 30.0
_ENDED_WITHIN_S = 60.0
"""By whoever watches, once it is over."""


class Notes:
    """Written at once after each change, or as soon as that is possible again; ``hear`` from time to time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._ready: set[str] = set()
        self._verdicts: dict[str, Reason] = {}
        self._bounds: dict[str, Bounds] = {}
        self._engines: dict[str, list[str]] = {}
        """Where each execution was launched."""
        self._heard_at = time.time()
        self._written_at = 0.0

    def read(self, *, watched_s: float = 0.0) -> Mapping[str, str]:
        """Take in what an earlier core left; executions whose bounds are over, and why.

        ``watched_s``: for so long there is somebody who would have ended them, so that a core has lived since, and could not write it down.
        """
        body = _body(self._file)
        if not body:
            return {}
        self._ready = set(body.get("ready", ()))
        self._verdicts = {key: Reason(**reason) for key, reason in body.get("verdicts", {}).items()}
        self._bounds = _bounds(body)
        self._engines = dict(body.get("engines", {}))
        heard_at = body["heard_at"]
        over = {}
        for execution_id, bounds in self._bounds.items():
            silent_s = time.time() - heard_at - bounds.silence_s
            is_alive = _ENDED_WITHIN_S < silent_s < watched_s
            known = replace(bounds, silence_s=math.inf) if is_alive else bounds
            if why := why_over(known, heard_at, time.time()):
                over[execution_id] = why
        return over

    def is_ready(self, container_id: str) -> bool:
        return container_id in self._ready

    def set_ready(self, container_id: str) -> None:
        self._ready.add(container_id)
        self._write()

    def verdict(self, container_id: str) -> Reason | None:
        return self._verdicts.get(container_id)

    def set_verdict(self, container_id: str, reason: Reason) -> None:
        """Before it is ended, so that the end is never taken for another."""
        self._verdicts.setdefault(container_id, reason)
        self._write()

    def set_bounds(self, execution_id: str, bounds: Bounds, *, engine: str = "") -> None:
        """``engine``: where it is launched."""
        is_new_there = bool(engine) and engine not in self._engines.get(execution_id, ())
        if self._bounds.get(execution_id) != bounds or is_new_there:
            self._bounds[execution_id] = bounds
            if is_new_there:
                self._engines.setdefault(execution_id, []).append(engine)
            self._write()

    @property
    def has_bounds(self) -> bool:
        """Whether anything is there that must not go on for ever."""
        return bool(self._bounds)

    def may_be_on(self, engine: str, execution_id: str) -> bool:
        """Whether it was launched there, and is not forgotten yet; also where an earlier version of Zoe did not write down where."""
        return execution_id in self._bounds and engine in self._engines.get(execution_id, [engine])

    def keep(self, execution_ids: Collection[str], container_ids: Collection[str]) -> None:
        """Forget all others: nothing is left of them."""
        self.drop((self._ready | self._verdicts.keys()) - set(container_ids))
        if self._bounds.keys() - execution_ids:
            self._bounds = {key: bounds for key, bounds in self._bounds.items() if key in execution_ids}
            self._engines = {key: names for key, names in self._engines.items() if key in execution_ids}
            self._write()

    def shortest_silence_s(self) -> float:
        return min((bounds.silence_s for bounds in self._bounds.values()), default=_HEARD_S)

    def hear(self) -> None:
        """A core lives: write it down, often enough for the shortest silence that was promised."""
        if time.time() - self._written_at >= min(_HEARD_S, self.shortest_silence_s() / 4):
            self._write()

    def forget(self, execution_id: str) -> None:
        """Nothing of it is left."""
        self._engines.pop(execution_id, None)
        if self._bounds.pop(execution_id, None) is not None:
            self._write()

    def drop(self, container_ids: Iterable[str]) -> None:
        """They are gone."""
        gone = (self._ready | self._verdicts.keys()) & set(container_ids)
        if gone:
            self._ready -= gone
            self._verdicts = {key: reason for key, reason in self._verdicts.items() if key not in gone}
            self._write()

    def _write(self) -> None:
        """On a full disk nothing fails for it: ``hear`` tries again, and the file's time says that this core lives."""
        now = time.time()
        body = {
            "heard_at": now,
            "ready": sorted(self._ready),
            "verdicts": {key: asdict(reason) for key, reason in self._verdicts.items()},
            "bounds": {key: asdict(bounds) for key, bounds in self._bounds.items()},
            "engines": self._engines,
        }
        try:
            _replace(self._file, body)
        except OSError as error:
            if self._written_at:
                logger.warning("what a later Zoe should know of Docker cannot be written down now: %s", error)
            with suppress(OSError):
                os.utime(self._file)
            now = 0.0
        self._written_at = now


def read_bounds(file: Path) -> Mapping[str, Bounds]:
    """Of all that a core left, or has."""
    return _bounds(_body(file))


def add_verdicts(file: Path, verdicts: Mapping[str, Reason]) -> None:
    """For the next core, by somebody who is none."""
    body = _body(file)
    body["verdicts"] = {**{key: asdict(reason) for key, reason in verdicts.items()}, **body.get("verdicts", {})}
    _replace(file, body)


def _body(file: Path) -> dict[str, Any]:
    """Empty where there is none that can be read. A core was heard of when it wrote, or touched it since."""
    body = small_files.read(file)
    try:
        touched_at = file.stat().st_mtime
    except OSError:
        return {}
    return body and {**body, "heard_at": max(float(body.get("heard_at", 0.0)), touched_at)}


def _bounds(body: Mapping[str, Any]) -> dict[str, Bounds]:
    return {key: Bounds(**bounds) for key, bounds in body.get("bounds", {}).items()}


def _replace(file: Path, body: Mapping[str, Any]) -> None:
    small_files.replace(file, body, touched_at=body.get("heard_at", time.time()))


def why_over(bounds: Bounds, heard_at: float, now: float) -> str:
    """Why an execution must not go on; empty while it may."""
    if now - heard_at > bounds.silence_s:
        return f"no Zoe was heard from for {now - heard_at:.0f} s"
    if bounds.ends_at is not None and now > bounds.ends_at:
        return "its time was over while no Zoe was there"
    return ""
