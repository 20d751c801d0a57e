"""From an order to a container that runs: network, container, files, start. Each step finds what an earlier try left."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from docker.errors import NotFound

from zoe_jupyter.backends.base import ServiceOrder, Unreachable
from zoe_jupyter.backends.containers.images import resolve
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker import folders, translate
from zoe_jupyter.backends.docker.archive import folder_archive
from zoe_jupyter.backends.docker.calls import SLOW_S
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.images import Images
from zoe_jupyter.backends.docker.networks import Networks
from zoe_jupyter.backends.docker.settings import ContainerSettings
from zoe_jupyter.backends.docker.translate import Container
from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.model.errors import BackendError, Busy, Fatal, Retryable
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.units import format_duration

_NOT_FREE_S = 5.0
_RIVAL_S = 3.0
"""Between a start and the look after it lies less."""
_MAY_RUN = ["created", "running", "paused", "restarting"]
_MAKING_S, _MAKING_LOOKS = 0.5, 20
"""A create whose connection broke goes on; with much in the image's volumes it takes minutes."""
_NO_RUNTIME = ("transport:", "ttrpc:", "unavailable", "deadline exceeded")
"""Of an engine whose own parts do not reach each other."""
_NO_PROGRAM = ("executable file not found", "no such file or directory", "permission denied")
_LONG_S, _TRY_S = 30.0, 2.0
"""Under way for so long, with all tries, a user is told so; but not in the moment in which an engine that was silent answers again."""
_REMEMBERED_S = 86400.0
_NETWORK, _TURN = "has not made its network", "is making what comes before it and has GPUs, or the machine's ports, too"
_MAKE = "has not made its container: much in the image's VOLUME takes long"
_FILES, _BEGIN = "has not taken its files", "has not started it"


class Launcher:
    """Of one engine."""

    def __init__(self, engine: Engine, images: Images, networks: Networks, settings: ContainerSettings) -> None:
        self._engine = engine
        self._images = images
        self._networks = networks
        self._settings = settings
        self._turns: dict[str, asyncio.Lock] = {}
        self._turn_to_choose = asyncio.Lock()
        self._waiting: dict[Attempt, str] = {}
        """Those whose image is not known to be there, and which one that is."""
        self._launching: dict[Attempt, float] = {}
        """Since when: by tries that go on, and those that could not wait longer, which the next goes on with."""
        self._asked_to_start: set[Attempt] = set()
        """Those under way that may run by now."""
        self._under_way: dict[Attempt, float] = {}
        """Since when the present try goes on."""
        self._steps: dict[Attempt, str] = {}
        """What each of them waits for."""

    async def prepare(self, attempt: Attempt, image: str) -> None:
        """Have its image there, unless its container is there already. Raises Retryable, Fatal, Unreachable."""
        if any(each.attempt == attempt for each in self._engine.containers.values()):
            return
        self._waiting[attempt] = resolve(image, self._settings.image_prefix)
        try:
            await self._images.ensure(self._waiting[attempt], image)
        finally:
            self._waiting.pop(attempt, None)

    def waiting(self) -> Iterator[tuple[Attempt, Reason]]:
        """For whom an image is being pulled, or a container made for long."""
        for attempt, image in self._waiting.items():
            if (reason := self._images.progress(image)) is not None:
                yield attempt, reason
        there = {each.attempt for each in self._engine.containers.values() if not each.is_created}
        now = time.monotonic()
        for attempt, tried_at in self._under_way.items():
            waited_s = now - self._launching[attempt]
            if attempt not in there and waited_s >= _LONG_S and now - tried_at >= _TRY_S:
                yield attempt, self._not_made(waited_s, self._steps.get(attempt, _MAKE))

    def _not_made(self, waited_s: float, step: str) -> Reason:
        """In words that change less and less often."""
        long_s = _LONG_S * 2 ** int(math.log2(waited_s / _LONG_S))
        engine = self._engine.name
        text = f"its launch takes more than {format_duration(long_s)}: the engine {engine} {step}; "
        return Reason(
            "not_made",
            f"{text}if nothing changes, the engine hangs (`docker ps --all` there shows more)",
            {"engine": engine},
        )

    async def launch(self, order: ServiceOrder) -> Container:
        """The attempt's container, started once. Raises Retryable, Fatal, Unreachable."""
        name, settings = translate.attempt_of(order).name, self._settings.under(order)
        turn = self._turns.setdefault(name, asyncio.Lock())
        try:
            async with turn:
                with self._timed(translate.attempt_of(order)):
                    return await self._launch(order, name, settings)
        finally:
            if not turn.locked():
                self._turns.pop(name, None)

    @contextmanager
    def _timed(self, attempt: Attempt) -> Iterator[None]:
        """One try; the time of tries that did not wait for the engine any longer counts as well."""
        now = time.monotonic()
        recent = {key: at for key, at in self._launching.items() if key in self._under_way or now - at < _REMEMBERED_S}
        self._asked_to_start &= recent.keys()
        self._launching, self._under_way[attempt] = {attempt: now, **recent}, now
        is_over = True
        try:
            yield
        except Unreachable:
            is_over = False
            raise
        finally:
            del self._under_way[attempt]
            self._steps.pop(attempt, None)
            if is_over:
                del self._launching[attempt]
                self._asked_to_start.discard(attempt)

    async def _launch(self, order: ServiceOrder, name: str, settings: ContainerSettings) -> Container:
        attempt = translate.attempt_of(order)
        has_rivals = bool(order.resources.gpus or _host_ports(order, settings))
        with self._as_unknown(attempt):
            found = await self._engine.inspect(name)
        if found is None:
            self._steps[attempt] = _NETWORK
            await self._networks.ensure(order.execution_id, order.siblings)
            failpoint("docker.network")
            self._steps[attempt] = _TURN if has_rivals else _MAKE
            create = self._create_in_turn if has_rivals else self._create
            found = await create(order, name, settings)
            failpoint("docker.created")
        if not found.is_created:
            if has_rivals and attempt in self._asked_to_start:  # by a try that could not look any more
                with self._as_unknown(attempt):
                    await self._keep(found)
            return found
        self._steps[attempt] = _FILES
        if has_rivals:
            await self._keep(found)
        await self._engine.calls.do(_fill, found.id, order, settings.user, limit_s=SLOW_S)
        failpoint("docker.filled")
        self._asked_to_start.add(attempt)
        self._steps[attempt] = _BEGIN
        await self._start(found, order)
        failpoint("docker.started")
        with self._as_unknown(attempt):
            if has_rivals:
                await self._keep(found)
            started = await self._engine.inspect(found.id)
        if started is None:
            raise Retryable(f"the container of {order.service} was removed while it was started")
        if translate.has_not_begun(started):
            await self._discard(started)
            raise Fatal(translate.why_ended(started).text, reason="command_not_found")
        return started

    @contextmanager
    def _as_unknown(self, attempt: Attempt) -> Iterator[None]:
        """Raises Unreachable where an engine in trouble does not tell of one that may run: another attempt would run it twice."""
        try:
            yield
        except (Busy, Fatal) as error:
            if attempt in self._asked_to_start:
                raise Unreachable(f"whether {attempt} runs is not told: {error}") from error
            raise

    async def _create_in_turn(self, order: ServiceOrder, name: str, settings: ContainerSettings) -> Container:
        """One after the other, so that no two get the same GPU or port. Raises Retryable where too few are free."""
        wanted, ports = order.resources.gpus, _host_ports(order, settings)
        async with self._turn_to_choose:
            holders = await self._engine.calls.do(_holders, limit_s=SLOW_S)
            free = translate.free_gpus(holders, self._engine.settings.gpus)
            if len(free) < wanted:
                raise self._no_gpu(f"{wanted} wanted, {len(free)} free")
            if taken := ports & frozenset[int]().union(*(each.ports for each in holders)):
                raise self._no_port(taken)
            self._steps[translate.attempt_of(order)] = _MAKE
            return await self._create(order, name, settings, gpus=free[:wanted])

    async def _keep(self, found: Container) -> None:
        """Looks before it is started and after: another deployment on this engine may have chosen the same. Raises Retryable then, for one of both.

        Who was made later and runs looks once more, and gives way if it sees this one: that is waited for.
        """
        for pause_s in (_RIVAL_S, 0.0):
            holders = {each.id: each for each in await self._engine.calls.do(_holders, limit_s=SLOW_S)}
            own = holders.get(found.id)
            rivals = [each for each in holders.values() if own is not None and each.comes_before(own)]
            if not rivals:
                return
            if own is not None and any(each.is_older(own) for each in rivals):
                break
            await asyncio.sleep(pause_s)
        await self._discard(found)
        if own is not None and (ports := frozenset[int]().union(*(own.ports & each.ports for each in rivals))):
            raise self._no_port(ports)
        raise self._no_gpu("they were just taken")

    def _no_gpu(self, why: str) -> Retryable:
        """No failure of the service: it waits for what others have, another Zoe say."""
        text = f"others have GPUs of the engine {self._engine.name}: {why}; it waits until they are free"
        return Retryable(text, delay_s=_NOT_FREE_S, reason="no_gpu", is_blameless=True)

    def _no_port(self, taken: Iterable[int]) -> Retryable:
        """What listens there would be taken for it."""
        numbers = ", ".join(map(str, sorted(taken)))
        text = f"another service on the network of the machine of the engine {self._engine.name} has the port {numbers}; it waits until that ends"
        return Retryable(text, delay_s=_NOT_FREE_S, reason="no_port", is_blameless=True)

    async def _create(
        self, order: ServiceOrder, name: str, settings: ContainerSettings, *, gpus: Sequence[str] = ()
    ) -> Container:
        engine = self._engine
        mounts = folders.mounts(settings.folders, is_here=engine.is_here, state=settings.data_dir)
        cwd = folders.seen(order.cwd, settings.folders, is_here=engine.is_here)
        image = await self._images.config(resolve(order.image, settings.image_prefix)) if order.environment else None
        config = translate.container_config(
            replace(order, cwd=cwd),
            settings,
            engine.settings,
            cores=engine.cores,
            gpus=gpus,
            mounts=mounts,
            image=image,
        )
        try:
            made = await self._engine.calls.do(_create, config, name, limit_s=SLOW_S)
        except NotFound as error:
            self._images.forget(config["Image"])
            raise Retryable(f"the image {config['Image']} has just gone: {error.explanation}") from error
        except Fatal as error:
            if "is already in use" not in error.message:
                raise
            made = await self._earlier(name, translate.attempt_of(order))
        found = await self._engine.inspect(made)
        if found is None:
            raise Retryable(f"the container of {order.service} was removed while it was made")
        return found

    async def _earlier(self, name: str, attempt: Attempt) -> str:
        """The id of what an earlier try made, which the engine may still be making: it knows the name first.

        Raises Unreachable where that takes longer: the next try is to wait for it, too, and not to make another. Raises Fatal for somebody else's.
        """
        for _ in range(_MAKING_LOOKS):
            with suppress(NotFound):
                body = await self._engine.calls.do(lambda client: client.inspect_container(name), limit_s=SLOW_S)
                if not translate.is_own(body["Config"]["Labels"], attempt.deployment):
                    raise Fatal(f"another's container has the name {name}")
                return str(body["Id"])
            await asyncio.sleep(_MAKING_S)
        raise Unreachable(f"the engine {self._engine.name} is still making the container of {attempt}")

    async def _start(self, found: Container, order: ServiceOrder) -> None:
        try:
            await self._engine.calls.do(_begin, found.id, limit_s=SLOW_S)
        except NotFound as error:  # its network, say, which somebody removed: the next try makes both anew
            await self._discard(found)
            self._engine.networks.discard(order.execution_id)
            raise Retryable(f"the engine could not start {order.service}: {error.explanation}") from error
        except BackendError as error:
            with self._as_unknown(found.attempt):
                current = await self._engine.inspect(found.id)
            if current is not None and not current.is_created:
                return  # it was started all the same: a proxy has answered for the engine, say
            await self._discard(found)
            said = error.message.lower()
            if any(words in said for words in _NO_PROGRAM):
                raise Fatal(error.message, reason="command_not_found") from error
            if isinstance(error, Busy) and not any(words in said for words in _NO_RUNTIME):
                raise Retryable(error.message) from error  # what it says of this one container it may say for ever
            raise

    async def _discard(self, found: Container) -> None:
        """What could not be started leaves nothing."""
        with suppress(NotFound):
            await self._engine.calls.do(lambda client: client.remove_container(found.id, force=True, v=True))
        self._engine.containers.pop(found.id, None)


def _host_ports(order: ServiceOrder, settings: ContainerSettings) -> frozenset[int]:
    """Of the engine's machine itself; each but one on it would be refused, or answered for by another."""
    return frozenset(order.port_numbers.values()) if settings.has_host_network else frozenset()


def _create(client: Any, config: dict[str, Any], name: str) -> str:
    return str(client.create_container_from_config(config, name)["Id"])


def _begin(client: Any, container_id: str) -> None:
    client.start(container_id)


def _holders(client: Any) -> list[translate.Holder]:
    """What has GPUs, or the machine's own ports, there, of all deployments."""
    found = []
    for listed in client.containers(all=True, filters={"label": f"{translate.LABEL}deployment", "status": _MAY_RUN}):
        if translate.may_hold(listed):
            with suppress(NotFound):
                found.append(translate.holder(client.inspect_container(listed["Id"])))
    return [each for each in found if each is not None]


def _fill(client: Any, container_id: str, order: ServiceOrder, user: str) -> None:
    client.put_archive(container_id, "/", folder_archive(order.files, user, variables=order.environment))
