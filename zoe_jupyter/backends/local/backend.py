"""The local backend: the contract, carried out by supervisors."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from zoe_jupyter.backends.base import (
    Backend,
    Bounds,
    Capabilities,
    Environment,
    Observation,
    Reserved,
    Seen,
    ServiceOrder,
    Unreachable,
    Usage,
)
from zoe_jupyter.backends.local.ending import clear, identity, wait_for_end
from zoe_jupyter.backends.local.inspection import Inspector
from zoe_jupyter.backends.local.link import Gone, Link, Refused, Silent
from zoe_jupyter.backends.local.logs import LogReader
from zoe_jupyter.backends.local.looks import Look, Looks
from zoe_jupyter.backends.local.machine import gpus, local_node
from zoe_jupyter.backends.local.meter import Meter
from zoe_jupyter.backends.local.places import Places
from zoe_jupyter.backends.local.rousing import Rouser
from zoe_jupyter.backends.local.supervisor import cages, crowd
from zoe_jupyter.backends.local.supervisor.shape import is_usage
from zoe_jupyter.backends.local.supervisor.sweep import believed, sweep
from zoe_jupyter.backends.local.supervisors import ANSWER_LIMIT_S, Supervisors, deployment_of, read
from zoe_jupyter.backends.local.translate import HOST, handle, seen_services, wire_bounds, wire_order
from zoe_jupyter.backends.options import Factor, Fraction
from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.model.application import Port, Requirement
from zoe_jupyter.model.errors import Fatal, NotFound, Retryable
from zoe_jupyter.model.execution import Client
from zoe_jupyter.model.resources import Node

logger = logging.getLogger(__name__)
_T = TypeVar("_T")
_THREADS = 8
_NEWS_S, _CALM_S = 0.1, 1.0
_LAUNCH_LIMIT_S = 30.0
_ROOM_S = 5.0
"""Until it is seen again whether there is room on the disk."""
_CLEAN_GRACE_S, _CLEAN_LIMIT_S = 2.0, 8.0
_FOLLOW_S = (0.05, 0.1, 0.2, 0.4)


class LocalBackend(Backend):
    """Services as processes of this machine.

    Options: ``overcommit`` (how often each core is given away), ``memory_fraction`` (of the memory, at most, to give away),
    ``log_limit_bytes`` and ``log_files`` (size of a service's log files, and how many), ``niceness`` (of services, where control groups cannot
    share the CPU out), ``process_limit`` (processes and threads that a service may have; 0 is no limit), ``is_caged`` (use control groups where
    permitted), ``environment`` (names of more variables that services inherit),
    ``folder`` (where run folders and logs are, unless set the state folder; servers that share one database must share it).
    """

    def __init__(
        self,
        *,
        deployment: str,
        data_dir: Path,
        overcommit: Factor = 4.0,
        memory_fraction: Fraction = 1.0,
        log_limit_bytes: int = 10_000_000,
        log_files: int = 3,
        niceness: int = 5,
        process_limit: int = 4096,
        is_caged: bool = True,
        environment: Sequence[str] = (),
        folder: str = "",
    ) -> None:
        self._deployment = deployment
        self._places = Places(Path(os.path.abspath(folder or data_dir)))
        self._overcommit = overcommit
        self._memory_fraction = memory_fraction
        self._is_caged = is_caged
        self._process_limit = process_limit
        self._extra_variables = frozenset(environment)
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="zoe-local")
        self._inspector = Inspector()
        self._meter = Meter()
        self._listeners: set[asyncio.Event] = set()
        self._has_news = False
        """Whether a hint was given, or something was ordered, since the last look began."""
        self._is_open = self._has_met_all = False
        self._controllers: frozenset[str] = frozenset()
        self._rouser = Rouser(self._executor.submit)
        self._settings: dict[str, Any] = {
            "deployment": deployment, "log_limit_bytes": log_limit_bytes, "log_files": max(1, log_files), "niceness": niceness,
            "process_limit": process_limit, "places": [], "bounds": wire_bounds(Bounds()),
        }  # fmt: skip
        self._looks = Looks(self._look, on_answer=self._hint)
        self._supervisors = Supervisors(self._places, self._executor, settings=self._settings, on_change=self._hint)

    def capabilities(self) -> Capabilities:
        processes = self._processes_kind()
        limits = {
            "memory": "cgroup" if "memory" in self._controllers else "watched",
            "cpu": "shares" if "cpu" in self._controllers else "nice",
            "processes": processes,
            "strays": "cgroup" if processes == "cgroup" else "traced",
        }
        return Capabilities(
            "local", isolation="process", limits=limits, has_gpus=bool(gpus(os.environ)), choices=("python", "cwd")
        )

    def _processes_kind(self) -> str:
        if not self._process_limit:
            return "none"
        return "cgroup" if "pids" in self._controllers else crowd.kind()

    async def start(self) -> None:
        self._places.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._is_caged:
            found = await self._off(cages.places)
            self._settings["places"] = found
            self._controllers = frozenset(place.controller for place in found)
            if found:
                await self._off(self._rouser.find)
        await self.observe()
        self._is_open = True

    async def close(self) -> None:
        await self._looks.close()
        await self._supervisors.close()
        self._executor.shutdown(wait=False, cancel_futures=True)
        self._hint()

    async def nodes(self) -> Sequence[Node]:
        return (await self._off(local_node, overcommit=self._overcommit, memory_fraction=self._memory_fraction),)

    async def inspect(self, requires: Requirement, client: Client, *, images: Sequence[str] = ()) -> Environment:
        self._rouser.rouse()
        seen = self._inspector.just_seen(requires, client.python)
        if seen is None:
            return await self._off(self._inspect, requires, client.python)
        self._places.refuse_without_room()
        return seen

    def _inspect(self, requires: Requirement, python: str) -> Environment:
        self._places.refuse_without_room()
        return self._inspector.inspect(requires, python)

    async def reserve(
        self,
        *,
        execution_id: str,
        owner: str,
        service: str,
        attempt: int,
        node: str,
        ports: Mapping[str, Port],
        framework_folder: str,
    ) -> Reserved:
        folder = self._places.service_dir(execution_id, service)
        with self._waiting_for_room():
            link = await self._ensured(execution_id)
            answer = await self._order(link, "reserve", service=service, attempt=attempt, ports=list(ports))
        return Reserved(
            host=HOST,
            ports=answer["ports"],
            folder=str(folder),
            framework_folder=framework_folder,
            cwd=str(self._places.work_dir(execution_id)),
        )

    async def launch(self, order: ServiceOrder, node: str) -> Mapping[str, Any]:
        python = order.client.python or sys.executable
        if order.client.python and not os.access(python, os.X_OK):
            raise Fatal(f"the interpreter {python} does not exist or may not be executed")
        wire = wire_order(
            order,
            folder=str(self._places.service_dir(order.execution_id, order.service)),
            work_dir=str(self._places.work_dir(order.execution_id)),
            python=python,
            environment=os.environ,
            extra=self._extra_variables,
            known_gpus=gpus(os.environ),
        )
        with self._waiting_for_room():
            link = await self._ensured(order.execution_id)
            link.keep_alive_for(order.bounds.silence_s)
            record = await self._order(
                link, "launch", limit_s=_LAUNCH_LIMIT_S, order=wire, bounds=wire_bounds(order.bounds)
            )
        return handle(link.hello, record)

    async def stop(self, execution_id: str, service: str, attempt: int, *, grace_s: float) -> None:
        link = await self._existing(execution_id)
        if link is not None:
            await self._ask(link, "stop", service=service, attempt=attempt, grace_s=grace_s)
            return
        run_dir = self._places.run_dir(execution_id)
        written = await self._off(read, run_dir)
        record = written.state.get("services", {}).get(service)
        if record is not None and record["attempt"] == attempt:
            await self._off(sweep, str(run_dir), self._believed(execution_id, written.state), service=service)

    async def force(self, execution_id: str) -> None:
        """A supervisor that does not answer is killed, its services with it, and what they leave is swept."""
        if await self._is_silent(execution_id) and await self._is_silent(execution_id):
            logger.warning("%s is to end and its supervisor does not answer, so that it is killed", execution_id)
            await self._kill(execution_id)

    async def _is_silent(self, execution_id: str) -> bool:
        """To be asked twice: an answer that came while we stood still ourselves may count as none."""
        try:
            link = await self._supervisors.existing(execution_id)
            if link is not None:
                await link.ask("ping", limit_s=ANSWER_LIMIT_S)
        except (Gone, Refused):
            return False
        except Silent:
            return True
        return False

    async def _kill(self, execution_id: str) -> None:
        run_dir = self._places.run_dir(execution_id)
        written = await self._off(read, run_dir)
        if written.is_supervised and self._is_own(written.state):
            await self._off(wait_for_end, *identity(written), 0.0)
        failpoint("force.killed")
        await self._supervisors.forget(execution_id)
        is_over = await self._off(sweep, str(run_dir), self._believed(execution_id, written.state))
        self._has_news = True
        self._hint()
        if not is_over:
            raise Retryable(f"something of {execution_id} still lives and cannot be killed", delay_s=5.0)

    async def run(
        self,
        execution_id: str,
        service: str,
        attempt: int,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        timeout_s: float,
    ) -> int:
        link = await self._existing(execution_id)
        if link is None:
            raise Retryable(f"{service} of {execution_id} does not run: its supervisor is gone")
        answer = await self._ask(
            link, "run", limit_s=timeout_s + ANSWER_LIMIT_S, service=service, attempt=attempt, command=list(command),
            environment=dict(environment), timeout_s=timeout_s,
        )  # fmt: skip
        return int(answer["exit_code"])

    async def observe(self) -> Observation:
        """A look that follows news asks those who have some, and whose answer is too old; one without, such as now and then, asks all.

        The first one waits for all; later ones tell soon what those say who answer soon.
        """
        has_news, self._has_news = self._has_news, False
        names = await self._off(self._places.executions)
        known = {name: state for name in names if has_news and (state := self._supervisors.known(name)) is not None}
        asked = [name for name in names if name not in known]
        looks = await self._looks.at(asked, within_s=self._patience_s(has_news))
        self._has_met_all = self._is_open
        services = [seen for state in known.values() for seen in self._own(state)]
        services += [seen for found, _ in looks.values() for seen in found]
        unknown = {name: why for name, (_, why) in looks.items() if why}
        kept = await self._off(self._kept, asked)
        return Observation(services, unknown, kept.union(name for name in known if self._is_own(known[name])))

    def _patience_s(self, has_news: bool) -> float | None:
        if not self._has_met_all:
            return None
        return _NEWS_S if has_news else _CALM_S

    def _kept(self, names: Sequence[str]) -> frozenset[str]:
        """Those whose folder this deployment made; one that says nothing yet is ours, as nobody else works here."""
        deployments = {name: deployment_of(self._places.run_dir(name)) for name in names}
        return frozenset(name for name, deployment in deployments.items() if deployment in ("", self._deployment))

    async def changes(self) -> AsyncIterator[None]:
        listener = asyncio.Event()
        self._listeners.add(listener)
        try:
            while True:
                await listener.wait()
                listener.clear()
                self._has_news = True
                yield None
        finally:
            self._listeners.discard(listener)

    async def bound(self, execution_id: str, bounds: Bounds) -> None:
        link = await self._existing(execution_id)
        if link is not None:
            link.keep_alive_for(bounds.silence_s)
            await self._ask(link, "bound", bounds=wire_bounds(bounds))

    async def clean(self, execution_id: str, *, keep_logs: bool) -> None:
        run_dir = self._places.run_dir(execution_id)
        await self._finish(execution_id)
        failpoint("clean.finished")
        await self._supervisors.forget(execution_id)
        if not await self._off(clear, run_dir, self._deployment):
            raise Retryable(f"something of {execution_id} still lives and cannot be killed", delay_s=5.0)
        try:
            await self._off(self._places.remove, execution_id, keep_logs=keep_logs)
        except OSError as error:
            raise Retryable(f"what is left of {execution_id} cannot be removed: {error}", delay_s=5.0) from None
        self._has_news = True
        self._hint()

    async def usage(self) -> Sequence[Usage]:
        names = await self._off(self._places.executions)
        samples = await asyncio.gather(*(self._sample(name) for name in names))
        return self._meter.measure(
            {name: sample for name, sample in zip(names, samples, strict=True) if sample}, time.monotonic()
        )

    async def logs(self, execution_id: str, service: str, *, tail: int | None, follow: bool) -> AsyncIterator[bytes]:
        reader = LogReader((self._places.live_logs(execution_id), self._places.kept_logs(execution_id)), service)
        opening = asyncio.ensure_future(self._off(reader.open))
        try:
            if not await asyncio.shield(opening):
                raise NotFound(f"there is no log of {service!r} in execution {execution_id}")
            if tail is not None:
                await self._off(reader.seek_tail, tail)
            async for chunk in self._read(reader, execution_id, service, follow=follow):
                yield chunk
        finally:
            await asyncio.shield(self._close(reader, opening))

    async def _close(self, reader: LogReader, opening: asyncio.Future[bool]) -> None:
        """Also when whoever reads went away while it was opened, and when Zoe is being closed."""
        await asyncio.wait({opening})
        try:
            await self._off(reader.close)
        except Unreachable:
            reader.close()

    async def _read(self, reader: LogReader, execution_id: str, service: str, *, follow: bool) -> AsyncIterator[bytes]:
        pauses = 0
        while True:
            has_ended = follow and pauses > 0 and await self._off(self._has_ended, execution_id, service)
            while chunk := await self._off(reader.read):
                pauses = 0
                yield chunk
            if not follow or has_ended:
                return
            await asyncio.sleep(_FOLLOW_S[min(pauses, len(_FOLLOW_S) - 1)])
            pauses += 1

    def _has_ended(self, execution_id: str, service: str) -> bool:
        """Whether nothing more will be said: it was stopped on purpose, or its execution is cleaned. Else another attempt may follow."""
        run_dir = self._places.run_dir(execution_id)
        if not run_dir.is_dir():
            return True
        record = read(run_dir).state.get("services", {}).get(service)
        return record is not None and record["state"] == "exited" and record["is_stopping"]

    async def _look(self, execution_id: str) -> Look:
        run_dir = self._places.run_dir(execution_id)
        try:
            state = await self._supervisors.observe(execution_id)
            if state is not None:
                return self._own(state), ""
        except Gone:
            self._hint()
        except Silent as error:
            return [], str(error)
        written = await self._off(read, run_dir)
        if written.is_supervised and self._is_own(written.state):
            return [], f"the supervisor of {execution_id} has just closed the connection"
        return self._own(written.state, is_supervised=False, is_same_boot=written.is_same_boot), ""

    def _believed(self, execution_id: str, state: Mapping[str, Any]) -> Mapping[str, Any]:
        return believed(state, self._deployment, execution_id)

    def _own(self, state: Mapping[str, Any], *, is_supervised: bool = True, is_same_boot: bool = True) -> list[Seen]:
        if not self._is_own(state):
            return []
        return seen_services(state, is_supervised=is_supervised, is_same_boot=is_same_boot)

    def _is_own(self, state: Mapping[str, Any]) -> bool:
        return bool(state.get("deployment") == self._deployment)

    async def _sample(self, execution_id: str) -> Mapping[str, Any]:
        try:
            samples = await self._supervisors.usage(execution_id)
        except (Gone, Silent, Refused):
            return {}
        return samples if samples and is_usage(samples) else {}

    async def _finish(self, execution_id: str) -> None:
        """Have the supervisor end everything and itself; one that does not is killed, and its services with it."""
        written = await self._off(read, self._places.run_dir(execution_id))
        if not written.is_supervised:
            return
        limit_s = _CLEAN_LIMIT_S
        try:
            link = await self._supervisors.existing(execution_id)
            if link is not None:
                await link.ask("finish", limit_s=ANSWER_LIMIT_S, grace_s=_CLEAN_GRACE_S)
        except Silent:
            limit_s = 0.0
        except (Gone, Refused):
            pass
        await self._off(wait_for_end, *identity(written), limit_s)

    async def _existing(self, execution_id: str) -> Link | None:
        try:
            return await self._supervisors.existing(execution_id)
        except Silent as error:
            raise Retryable(str(error)) from None

    @contextmanager
    def _waiting_for_room(self) -> Iterator[None]:
        """What fails while the disk has no room, or cannot be written to, is tried until it has, and that costs no try."""
        try:
            yield
        except Retryable as error:
            trouble = self._places.trouble()
            if trouble is None:
                raise
            raise Retryable(
                trouble.message, delay_s=_ROOM_S, details=trouble.details, reason=trouble.reason, is_blameless=True
            ) from error

    async def _ensured(self, execution_id: str) -> Link:
        try:
            return await self._supervisors.ensured(execution_id)
        except Silent as error:
            raise Unreachable(str(error)) from None
        except OSError as error:
            is_of_disk = error.errno in (errno.EROFS, errno.EIO, errno.ENOSPC, errno.EDQUOT)
            raise Retryable(f"cannot prepare {execution_id}: {error}", is_blameless=is_of_disk) from None

    async def _ask(self, link: Link, do: str, *, limit_s: float = ANSWER_LIMIT_S, **fields: Any) -> dict[str, Any]:
        """Ask, with the supervisor's refusals and silences as errors of the contract."""
        try:
            return await self._order(link, do, limit_s=limit_s, **fields)
        except Unreachable as error:
            raise Retryable(str(error)) from None

    async def _order(self, link: Link, do: str, *, limit_s: float = ANSWER_LIMIT_S, **fields: Any) -> dict[str, Any]:
        """Ask for what another attempt must not do again: after a silence nobody knows whether it was done."""
        try:
            return await link.ask(do, limit_s=limit_s, **fields)
        except Refused as error:
            raise (Fatal(str(error)) if error.kind == "fatal" else Retryable(str(error), delay_s=1.0)) from None
        except Gone as error:
            raise Retryable(str(error)) from None
        except Silent as error:
            raise Unreachable(str(error)) from None
        finally:
            self._has_news = True

    async def _off(self, work: Callable[..., _T], *arguments: Any, **options: Any) -> _T:
        """Do blocking work in one of the bounded threads. Raises Unreachable when they were closed meanwhile, as for who follows a log."""
        try:
            doing = asyncio.get_running_loop().run_in_executor(self._executor, lambda: work(*arguments, **options))
        except RuntimeError:
            raise Unreachable("Zoe is being closed") from None
        return await doing

    def _hint(self) -> None:
        for listener in self._listeners:
            listener.set()
