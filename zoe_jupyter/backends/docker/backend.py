"""The Docker backend: the contract, carried out by one or several engines."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import SubprocessError
from typing import IO, Annotated, Any, Literal

from docker.errors import NotFound as Missing
from pydantic import Field

from zoe_jupyter.backends.base import (
    Address,
    Backend,
    Bounds,
    Capabilities,
    Environment,
    Observation,
    Reserved,
    Seen,
    SeenState,
    ServiceOrder,
    Unreachable,
    Usage,
)
from zoe_jupyter.backends.containers import names, places
from zoe_jupyter.backends.containers.images import environment_of, known_prefix, resolve
from zoe_jupyter.backends.containers.profiles import tell
from zoe_jupyter.backends.docker import logs, probing, translate, watchman
from zoe_jupyter.backends.docker.claims import Claims
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.folders import known, known_profiles
from zoe_jupyter.backends.docker.following import Followers
from zoe_jupyter.backends.docker.health import Watch
from zoe_jupyter.backends.docker.logs import Source
from zoe_jupyter.backends.docker.meter import Meter, figures
from zoe_jupyter.backends.docker.notes import Notes
from zoe_jupyter.backends.docker.probing import Prober
from zoe_jupyter.backends.docker.settings import (
    NUMBERS,
    ContainerSettings,
    DockerProfile,
    EngineSettings,
    FolderSettings,
)
from zoe_jupyter.backends.docker.site import Place, Site
from zoe_jupyter.backends.docker.stopping import Stopper, kill, remove
from zoe_jupyter.backends.docker.translate import Container
from zoe_jupyter.backends.options import Count, Factor, Files, Fraction, Seconds
from zoe_jupyter.model.application import Port, Requirement
from zoe_jupyter.model.errors import BackendError, NotFound, Retryable, Unavailable
from zoe_jupyter.model.execution import Client, Reason
from zoe_jupyter.model.resources import Node
from zoe_jupyter.turns import Turns

logger = logging.getLogger(__name__)

_HEAR_S = 0.2
_GUARD_S = 10.0
_RELEASE_S = 5.0
"""Most of what runs so briefly ends with its core."""
_LOOK_S = 0.5
_READ_AT_ONCE, _READ_OF_ONE, _READ_OF_OWNER = 128, 32, 64
"""Logs, by users, as long as they like: in all, of one execution, and of all that one owner has."""
_ENDED_GRACE_S = 2.0
"""For one that is ended by Zoe itself."""


class DockerBackend(Backend):
    """Services as containers of Docker Engines.

    Options: ``engines`` (each with ``name``, ``url``, ``tls_ca``, ``tls_cert``, ``tls_key``, ``ssh_config``, ``labels``, ``host``, ``publish_on``, ``probes``,
    ``gpus``; unset: this machine's), ``image_prefix`` (where images named ``zoe/...`` are), ``pull`` (``missing`` or ``never``),
    ``network_pool`` (from which executions get their networks), ``network_mtu``, ``folders`` (of the engine's machine, that every
    service sees: each with ``path``, ``at``, ``is_writable``), ``user`` (whose number services run under),
    ``capabilities`` (that containers keep; none), ``profiles`` (what services of some frameworks may do beyond that), ``process_limit``,
    ``shm_bytes``, ``limits_cpu`` (whether a service is held to the cores that it asked for), ``shares_cpu`` (whether it then also gets its part of
    those that nobody asked for), ``overcommit`` (how often each core is given away), ``memory_fraction`` (of an engine's memory, to give away),
    ``lost_after_s`` (so long an engine may be silent before its executions go on elsewhere), ``log_limit_bytes``, ``log_files``.
    """

    def __init__(
        self,
        *,
        deployment: str,
        data_dir: Path,
        shared_store: str = "",
        engines: Sequence[EngineSettings] = (EngineSettings(),),
        image_prefix: str = "zoe/",
        pull: Literal["missing", "never"] = "missing",
        network_pool: str = "10.213.0.0/16",
        network_mtu: Annotated[int, Field(ge=0, le=65535)] = 0,
        folders: Sequence[FolderSettings] = (),
        user: Annotated[str, Field(pattern=NUMBERS)] = f"{places.USER}:{places.USER}",
        capabilities: Sequence[str] = (),
        profiles: Mapping[str, DockerProfile] | None = None,
        process_limit: Count = 4096,
        shm_bytes: Count = 256 * 1024**2,
        limits_cpu: bool = False,
        shares_cpu: bool = True,
        overcommit: Factor = 2.0,
        memory_fraction: Fraction = 0.9,
        lost_after_s: Seconds = 60.0,
        log_limit_bytes: Count = 10_000_000,
        log_files: Files = 3,
    ) -> None:
        self._settings = ContainerSettings(
            deployment=deployment, image_prefix=known_prefix(image_prefix), user=user, process_limit=process_limit, shm_bytes=shm_bytes,
            log_limit_bytes=log_limit_bytes, log_files=log_files, limits_cpu=limits_cpu, shares_cpu=shares_cpu,
            capabilities=tuple(capabilities), pull=pull, mtu=network_mtu,
            folders=tuple(known(folders, state=data_dir)), data_dir=data_dir, profiles=known_profiles(profiles or {}, state=data_dir, site=folders),
        )  # fmt: skip
        self._folder, self._lost_after_s = data_dir / "docker", lost_after_s
        self._listeners: set[asyncio.Event] = set()
        self._notes = Notes(self._folder / watchman.NOTES)
        self._kept_logs = logs.KeptLogs(data_dir / "docker-logs", limit_bytes=log_limit_bytes * max(1, log_files))
        self._site = Site(
            engines, self._settings, folder=self._folder, pool=network_pool, overcommit=overcommit, memory_fraction=memory_fraction,
            on_news=self._hint,
        )  # fmt: skip
        self._claims = Claims(self._folder, deployment, shared_store, self._site)
        self._guard = watchman.Guard(self._folder, deployment, shared_store, self._site.engines())
        self._prober = Prober(on_ready=self._set_ready, on_late=self._end)
        self._watch, self._stopper, self._removals = Watch(on_ill=self._end), Stopper(), Followers("to go")
        self._meter, self._reading = Meter(), Turns(_READ_AT_ONCE, _READ_OF_ONE, _READ_OF_OWNER)
        self._hearing: asyncio.Task[None] | None = None
        self._life: IO[bytes] | None = None
        self._unguarded = ""
        """Why nobody watches."""
        self._anew = set[names.Attempt]()
        """What this core has started, and so does not end by the bounds that an earlier one left."""

    def capabilities(self) -> Capabilities:
        limits = {
            "memory": "cgroup",
            "cpu": "quota" if self._settings.limits_cpu else "shares",
            "processes": "cgroup",
            "strays": "cgroup",
        }
        changes_cores = self._settings.limits_cpu and self._settings.shares_cpu
        return Capabilities(
            "docker", isolation="container", limits=limits, has_gpus=self._site.has_gpus, changes_cores=changes_cores,
            shared=tuple(folder.at or folder.path for folder in self._settings.folders),
        )  # fmt: skip

    async def start(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._life = self._life or await asyncio.to_thread(watchman.live, self._folder)
            is_watched = await asyncio.to_thread(self._guard.is_watched)
        except OSError as error:
            raise Unavailable(f"the folder {self._folder} cannot be used: {error.strerror}; Zoe needs it") from error
        over = dict(self._notes.read(watched_s=watchman.GIVE_UP_S if is_watched else 0.0))
        self._site.start()
        tell(self._settings.profiles)
        await self._claims.open(over)
        with suppress(Unreachable):
            await self.observe()
            if not self._site.silent():
                self._notes.keep(self._site.executions(), self._site.containers())
        self._hearing = asyncio.create_task(self._hear(), name="zoe docker heard")

    async def close(self) -> None:
        if self._hearing is not None:
            self._hearing.cancel()
            await self._guarded()
        if self._life is not None:
            self._life.close()
        self._prober.close()
        self._watch.close()
        self._stopper.close()
        self._removals.close()
        if self._hearing is not None and not self._notes.has_bounds:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._claims.release(), _RELEASE_S)
        self._site.close()
        self._hint()

    async def nodes(self) -> Sequence[Node]:
        """As ``observe`` saw them last: to ask busy engines again would hold up what it has just seen."""
        return self._site.nodes()

    async def inspect(self, requires: Requirement, client: Client, *, images: Sequence[str] = ()) -> Environment:
        contents = await self._site.contents(resolve(image, self._settings.image_prefix) for image in images)
        return environment_of(contents, requires)

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
        return places.reserved(names.host(self._settings.deployment, execution_id, service), ports, framework_folder)

    async def prepare(self, execution_id: str, service: str, attempt: int, *, image: str, node: str) -> None:
        wanted = names.Attempt(self._settings.deployment, execution_id, service, attempt)
        await self._site.place(node).launcher.prepare(wanted, image)

    async def launch(self, order: ServiceOrder, node: str) -> Mapping[str, Any]:
        place = self._site.place(node)
        self._notes.set_bounds(order.execution_id, order.bounds, engine=node)
        known = [each for _, each in self._site.attempts(order.execution_id, order.service)]
        self._stopper.begin(translate.attempt_of(order), known)
        if order.execution_id in self._claims.left:
            self._anew.add(translate.attempt_of(order))
        found = await place.launcher.launch(order)
        if found.is_running and found.probe is not None and not self._notes.is_ready(found.id):
            self._prober.begin(place.engine, found)
        self._hint()
        self._drop_earlier(place.engine, found)
        return translate.handle(found, node)

    async def stop(self, execution_id: str, service: str, attempt: int, *, grace_s: float) -> None:
        wanted = names.Attempt(self._settings.deployment, execution_id, service, attempt)
        if not self._site.of(wanted):  # the answer to its launch may have been lost
            await self._find(execution_id)
        found = self._site.of(wanted)
        self._stopper.expect(wanted)
        if not found:
            self._site.expect_none(wanted)
        for engine, each in found:
            await self._stopper.stop(engine, each, grace_s=grace_s)
        unknown = [engine.why_silent for engine in self._site.silent()]
        unknown += filter(None, [self._site.unseen().get(execution_id)])
        if not found and unknown:
            raise Unreachable(f"whether {service} runs is unknown: {'; '.join(unknown)}")
        self._hint()

    async def set_cores(self, execution_id: str, service: str, attempt: int, *, microcores: int) -> None:
        for engine, found in self._site.attempts(execution_id, service):
            if found.attempt.attempt == attempt and found.is_running:
                await engine.set_cores(found, microcores / 1_000_000)

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
        engine, found = self._site.running(execution_id, service, attempt)
        try:
            running = probing.run(engine, found, tuple(command), limit_s=timeout_s, environment=dict(environment))
            code, _ = await asyncio.wait_for(running, timeout_s)
        except asyncio.TimeoutError:
            raise Retryable(f"the command beside {service} did not end within {timeout_s:g} s") from None
        except (Missing, Unreachable) as error:
            raise Retryable(f"the command beside {service} could not be run: {error}") from error
        return code

    async def observe(self) -> Observation:
        await self._site.look()
        await self._expire()
        self._begin_probes()
        self._remove_unwanted()
        silent = self._site.silent()
        now = time.monotonic()
        lost = {
            engine.name: f"the engine has been silent for {now - since:.0f} s: {engine.why_silent}"
            for engine, since in silent.items()
            if now - since >= self._lost_after_s
        }
        services = [seen for engine in self._site.answering() for seen in self._seen(engine)]
        unknown = {**self._site.unseen(), **{engine.name: engine.why_silent for engine in silent}}
        return Observation(services, unknown, self._site.executions(), lost)

    async def changes(self) -> AsyncIterator[None]:
        with self._listening() as news:
            while True:
                await news.wait()
                news.clear()
                yield None

    async def bound(self, execution_id: str, bounds: Bounds) -> None:
        self._notes.set_bounds(execution_id, bounds)

    async def clean(self, execution_id: str, *, keep_logs: bool) -> None:
        places = [place for place in self._site.places.values() if self._may_have(place.engine, execution_id)]
        await asyncio.gather(*(self._clean(place, execution_id, keep_logs=keep_logs) for place in places))
        self._notes.forget(execution_id)
        self._stopper.forget(execution_id)
        if not keep_logs:
            self._kept_logs.forget(execution_id)
        self._hint()

    async def usage(self) -> Sequence[Usage]:
        running = [
            (engine, each)
            for engine in self._site.answering()
            for each in engine.containers.values()
            if each.is_running
        ]
        found = await asyncio.gather(*(figures(engine, each.id) for engine, each in running), return_exceptions=True)
        counts = {each.attempt: body for (_, each), body in zip(running, found, strict=True)}
        return self._meter.measure({key: body for key, body in counts.items() if isinstance(body, dict)})

    async def reach(self, execution_id: str, service: str, attempt: int, inside: Address) -> Address:
        engine, found = self._site.running(execution_id, service, attempt)
        try:
            return await engine.outside(found)
        except Unreachable as error:
            raise Retryable(str(error)) from error

    async def logs(self, execution_id: str, service: str, *, tail: int | None, follow: bool) -> AsyncIterator[bytes]:
        sources = self._sources(execution_id, service)
        if not sources:
            raise NotFound(f"there is no log of {service!r} in execution {execution_id}")
        owner = [each.owner for _, each in self._site.attempts(execution_id, service)][:1]  # what is only kept has none
        async with self._reading.taken("logs that are read", execution_id, *owner):
            parts = [(source, None) for source in sources] if tail is None else await logs.start_of_tail(sources, tail)
            while parts:
                last = parts[-1][0]
                for source, count in parts:
                    async for chunk in logs.read(source, tail=count, is_following=follow and source is last):
                        yield chunk
                parts = [(source, None) for source in await self._later(last)] if follow else []

    def _sources(self, execution_id: str, service: str) -> list[Source]:
        """Oldest attempt first."""
        found = self._kept_logs.sources(self._settings.deployment, execution_id, service)
        for engine, each in self._site.attempts(execution_id, service):
            found[each.attempt.attempt] = Source(each.attempt, self._kept_logs.file(each.attempt), engine, each.id)
        return [found[number] for number in sorted(found)]

    async def _later(self, last: Source) -> list[Source]:
        """The next attempts, once there are some; none when the last one has ended for good. Raises Retryable where its engine is silent."""
        attempt = last.attempt
        if last.engine is not None:
            try:
                await last.engine.inspect(last.container_id)
            except Unreachable as error:
                raise Retryable(str(error)) from error
        with self._listening() as news:
            while True:
                later = [
                    each
                    for each in self._sources(attempt.execution_id, attempt.service)
                    if each.attempt.attempt > attempt.attempt
                ]
                if later:
                    return later
                there = [each for _, each in self._site.attempts(attempt.execution_id, attempt.service)]
                if not there or there[-1].is_running or self._stopper.was_stopped(attempt):
                    return []
                news.clear()
                await _wait(news)

    @contextmanager
    def _listening(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever a look is worth while."""
        listener = asyncio.Event()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)

    def _hint(self) -> None:
        for listener in self._listeners:
            listener.set()

    def _seen(self, engine: Engine) -> Iterator[Seen]:
        """Every container that runs, and of each service the newest that ended; and who waits for an image."""
        newest: dict[tuple[str, str], int] = {}
        place = self._site.place(engine.name)
        found, restart = [each for each in engine.containers.values() if not each.is_created], engine.restart
        for each in found:
            key = each.attempt.execution_id, each.attempt.service
            newest[key] = max(newest.get(key, 0), each.attempt.attempt)
        for each in found:
            if each.is_running or newest[each.attempt.execution_id, each.attempt.service] == each.attempt.attempt:
                verdict, image = self._notes.verdict(each.id), place.images.digest(each.image_id)
                yield translate.seen(
                    each, engine.name, is_ready=self._is_ready(each), verdict=verdict, image=image, restart=restart
                )  # fmt: skip
        for attempt, reason in place.launcher.waiting():
            yield Seen(attempt.execution_id, attempt.service, attempt.attempt, SeenState.STARTING, reason=reason)

    def _is_ready(self, found: Container) -> bool:
        """As its description says: what the image's own check says is told, and nobody waits for it."""
        return found.probe is None or self._notes.is_ready(found.id)

    def _begin_probes(self) -> None:
        for engine in self._site.answering():
            for found in engine.containers.values():
                if not found.is_running:
                    continue
                if self._is_ready(found):
                    self._watch.begin(engine, found)
                elif found.probe is not None:
                    self._prober.begin(engine, found)

    async def _find(self, execution_id: str) -> None:
        """Ask for what is there of it where it was launched."""
        for engine in self._site.answering():
            if self._notes.may_be_on(engine.name, execution_id):
                await engine.find(execution_id)

    def _remove_unwanted(self) -> None:
        """What an engine made after it was told to stop, for a launch whose answer was lost: it would keep its GPUs."""
        for engine in self._site.answering():
            for found in engine.containers.values():
                is_unwanted = found.is_created and self._stopper.was_stopped(found.attempt)
                if is_unwanted and found not in self._removals:
                    self._removals.begin(found, remove(engine, found))

    def _set_ready(self, found: Container) -> None:
        self._notes.set_ready(found.id)
        self._hint()

    async def _end(self, engine: Engine, found: Container, reason: Reason) -> None:
        """End it for a reason that its exit does not show."""
        self._notes.set_verdict(found.id, reason)
        await self._stopper.stop(engine, found, grace_s=_ENDED_GRACE_S)
        self._hint()

    async def _expire(self) -> None:
        """What an earlier core left and whose bounds are over is ended wherever it is found."""
        for engine in self._site.answering():
            for execution_id, why in self._claims.over(engine).items():
                for found in engine.of(execution_id):
                    if found.is_running and found.attempt not in self._anew and not self._stopper.is_ending(found):
                        with suppress(Unreachable, BackendError):  # it is killed all the same
                            await self._end(engine, found, Reason("expired", f"ended since {why}"))

    def _drop_earlier(self, engine: Engine, found: Container) -> None:
        """Earlier attempts of the service, beside all else: their words are kept, their containers are not. What fails is done in cleaning."""
        for each in engine.of(found.attempt.execution_id):
            is_earlier = each.attempt.service == found.attempt.service and each.attempt.attempt < found.attempt.attempt
            if is_earlier and not each.is_running and each not in self._removals:
                self._removals.begin(each, self._drop(engine, each))

    async def _drop(self, engine: Engine, found: Container) -> None:
        await self._remove(engine, found, keep_log=True)
        self._notes.drop([found.id])

    async def _clean(self, place: Place, execution_id: str, *, keep_logs: bool) -> None:
        engine = place.engine
        await engine.find(execution_id)
        found = engine.of(execution_id)
        await asyncio.gather(*(self._remove(engine, each, keep_log=keep_logs) for each in found))
        await place.networks.remove(execution_id)
        self._notes.drop(each.id for each in found)

    def _may_have(self, engine: Engine, execution_id: str) -> bool:
        """Whether it is to be asked, which one that is silent is only where something of it is known to be there."""
        is_known = execution_id in (*engine.networks, *engine.unseen.values()) or bool(engine.of(execution_id))
        return engine.silent_since is None or is_known or self._notes.may_be_on(engine.name, execution_id)

    async def _remove(self, engine: Engine, found: Container, *, keep_log: bool) -> None:
        if keep_log:
            if found.is_running:
                await kill(engine, found)
            await self._kept_logs.keep(engine, found)
        await remove(engine, found)

    async def _hear(self) -> None:
        """Show later cores and the watchman that this one lives, and see to it that there is one."""
        looked_at = time.monotonic()
        while True:
            self._notes.hear()
            if time.monotonic() - looked_at >= _GUARD_S:
                if self._notes.has_bounds or self._claims.left:
                    await self._claims.take()
                await self._guarded()
                looked_at = time.monotonic()
            await asyncio.sleep(_HEAR_S)

    async def _guarded(self) -> None:
        """Have a watchman there while something runs that must not go on for ever."""
        try:
            if self._notes.has_bounds:
                await asyncio.to_thread(self._guard.see_to_it)
            self._unguarded = ""
        except (OSError, SubprocessError) as error:
            if str(error) != self._unguarded:
                logger.warning("nobody will end what runs on Docker when no Zoe does: %s", error)
            self._unguarded = str(error)


async def _wait(news: asyncio.Event) -> None:
    """For news, or a moment: hints may be lost."""
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(news.wait(), _LOOK_S)
