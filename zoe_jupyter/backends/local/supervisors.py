"""The supervisors of all executions: start one, find it again, keep a link to each."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from zoe_jupyter.backends.local.environment import inherited
from zoe_jupyter.backends.local.link import Gone, Link, Silent
from zoe_jupyter.backends.local.nursery import PROGRAM, Nursery, first_line
from zoe_jupyter.backends.local.places import Places, clear_places
from zoe_jupyter.backends.local.supervisor.files import (
    COMPLAINTS_FILE,
    SETTINGS_FILE,
    SUPERVISOR_MARK,
    plain,
    read_state,
)
from zoe_jupyter.backends.local.supervisor.processes import boot_id, is_alive, is_supervisor
from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.model.errors import Retryable

START_LIMIT_S = 15.0
ANSWER_LIMIT_S, IMPATIENT_S = 3.0, 0.3


@dataclass(frozen=True, slots=True)
class Written:
    """What a run folder says."""

    state: Mapping[str, Any]
    is_same_boot: bool
    is_supervised: bool
    """Whether the supervisor that wrote it still lives."""


def read(run_dir: Path) -> Written:
    """Look into a run folder; touches no process."""
    state = read_state(str(run_dir))
    is_same_boot = state.get("boot_id") == boot_id()
    supervisor = state.get("supervisor", {})
    pid, start = int(supervisor.get("pid", 0)), int(supervisor.get("start", 0))
    lives = is_same_boot and is_alive(pid, start) and is_supervisor(pid, f"{state.get('deployment')}/{run_dir.name}")
    return Written(state, is_same_boot, lives)


def deployment_of(run_dir: Path) -> str:
    """Whose run folder it is; empty when nobody has written that down yet."""
    try:
        with open(run_dir / SETTINGS_FILE, encoding="utf-8", opener=plain) as file:
            settings = json.load(file)
        return str(settings["deployment"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


class Supervisors:
    def __init__(
        self,
        places: Places,
        executor: Executor,
        *,
        settings: Mapping[str, Any],
        on_change: Callable[[], object],
    ) -> None:
        self._places = places
        self._executor = executor
        self._settings = settings
        self._on_change = on_change
        self._links: dict[str, Link] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._silent: set[str] = set()
        self._nursery = Nursery()

    async def existing(self, execution_id: str) -> Link | None:
        """The link to its supervisor, None when it has none; raises Silent when it does not answer."""
        async with self._lock(execution_id):
            return await self._existing(execution_id)

    async def ensured(self, execution_id: str) -> Link:
        """The link to its supervisor, which is started when there is none. Two cores never start two. Raises Silent or Retryable."""
        async with self._lock(execution_id):
            end = time.monotonic() + START_LIMIT_S
            while time.monotonic() < end:
                link = await self._existing(execution_id)
                if link is not None:
                    return link
                await self._off(self._start, execution_id)
            raise Retryable(
                f"the supervisor of {execution_id} did not come up within {START_LIMIT_S:g} s; {self._complaint(execution_id)}"
            )

    async def forget(self, execution_id: str) -> None:
        """Close the link of an execution that is gone."""
        link = self._links.pop(execution_id, None)
        self._locks.pop(execution_id, None)
        self._silent.discard(execution_id)
        if link is not None:
            await link.close()

    async def close(self) -> None:
        links = list(self._links.values())
        self._links.clear()
        for link in links:
            await link.close()
        await asyncio.to_thread(self._nursery.close)

    def patience_s(self, execution_id: str) -> float:
        """How long to wait for its answer: not long again for one that is known to be silent."""
        return IMPATIENT_S if execution_id in self._silent else ANSWER_LIMIT_S

    def known(self, execution_id: str) -> Mapping[str, Any] | None:
        """What its supervisor last said of its state, as long as nothing speaks against it."""
        link = self._links.get(execution_id)
        return None if link is None else link.known()

    async def observe(self, execution_id: str) -> Mapping[str, Any] | None:
        """Ask for its state; None when it has no supervisor. Raises Gone or Silent."""
        return await self._look(execution_id, Link.observe)

    async def usage(self, execution_id: str) -> Mapping[str, Any] | None:
        """Ask what its services use; None when it has no supervisor. Raises Gone or Silent."""
        return await self._look(execution_id, partial(Link.ask, do="usage"))

    async def _look(
        self, execution_id: str, ask: Callable[..., Awaitable[Mapping[str, Any]]]
    ) -> Mapping[str, Any] | None:
        link = await self.existing(execution_id)
        if link is None:
            return None
        try:
            answer = await ask(link, limit_s=self.patience_s(execution_id))
        except Silent:
            self._silent.add(execution_id)
            raise
        self._silent.discard(execution_id)
        return answer

    def _lock(self, execution_id: str) -> asyncio.Lock:
        return self._locks.setdefault(execution_id, asyncio.Lock())

    async def _existing(self, execution_id: str) -> Link | None:
        link = self._links.get(execution_id)
        if link is not None and link.is_open:
            return link
        patience_s = self.patience_s(execution_id)
        end = time.monotonic() + patience_s
        while pid := await self._off(self._kept_by, execution_id):
            link = await self._opened(execution_id, pid, patience_s)
            if link is not None:
                self._links[execution_id] = link
                return link
            if time.monotonic() > end:
                self._silent.add(execution_id)
                raise Silent(f"the supervisor of {execution_id} lives and does not listen")
            await asyncio.sleep(0.02)
        return None

    async def _opened(self, execution_id: str, pid: int, patience_s: float) -> Link | None:
        """None when it does not listen: it is about to, or about to end."""
        run_dir = self._places.run_dir(execution_id)
        try:
            link = await Link.open(run_dir, pid, on_change=self._on_change, timeout_s=patience_s)
        except Gone:
            return None
        except Silent:
            self._silent.add(execution_id)
            raise
        self._silent.discard(execution_id)
        return link

    def _kept_by(self, execution_id: str) -> int:
        """Process id of the living supervisor of this deployment that has it; 0 when none has."""
        written = read(self._places.run_dir(execution_id))
        is_kept = written.is_supervised and written.state.get("deployment") == self._settings["deployment"]
        return int(written.state["supervisor"]["pid"]) if is_kept else 0

    def _start(self, execution_id: str) -> None:
        """Start one and wait until it listens, or has found another in its place. Raises Retryable."""
        run_dir = self._places.prepare(execution_id)
        clear_places(run_dir)
        failpoint("supervisor.before")
        _write_settings(run_dir, {**self._settings, "execution": execution_id})
        mark = f"{self._settings['deployment']}/{execution_id}"
        answer = self._nursery.start(run_dir, mark, limit_s=START_LIMIT_S) or _start_alone(run_dir, mark)
        failpoint("supervisor.after")
        if answer == b"busy":
            time.sleep(0.05)
        elif answer != b"ready":
            raise Retryable(f"the supervisor of {execution_id} could not start; {self._complaint(execution_id)}")

    def _complaint(self, execution_id: str) -> str:
        """The last thing that it said."""
        path = self._places.run_dir(execution_id) / COMPLAINTS_FILE
        try:
            with open(path, errors="replace", opener=plain) as file:
                lines = file.read().strip().splitlines()
        except OSError:
            lines = []
        return f"it said: {lines[-1][:300]}" if lines else f"it said nothing in {path}"

    async def _off(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)


def _write_settings(run_dir: Path, settings: Mapping[str, Any]) -> None:
    path = run_dir / SETTINGS_FILE
    with open(f"{path}.{os.getpid()}.{threading.get_ident()}", "w", encoding="utf-8", opener=plain) as file:
        json.dump(settings, file)
    os.replace(file.name, path)


def _start_alone(run_dir: Path, mark: str) -> bytes:
    """As a program of its own; what it said first."""
    with open(run_dir / COMPLAINTS_FILE, "ab", opener=plain) as complaints:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(PROGRAM), str(run_dir)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, start_new_session=True,
            env={**inherited(os.environ), SUPERVISOR_MARK: mark},
        )  # fmt: skip
    failpoint("supervisor.started")
    assert process.stdout is not None
    answer = b""
    with process.stdout, suppress(TimeoutError):
        answer = first_line(process.stdout.fileno(), START_LIMIT_S)
    process.wait()
    return answer
