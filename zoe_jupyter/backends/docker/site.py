"""All engines of a deployment, and for each what launches there."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers.images import Content
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker import ways
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.backends.docker.images import Images
from zoe_jupyter.backends.docker.launching import Launcher
from zoe_jupyter.backends.docker.networks import Networks
from zoe_jupyter.backends.docker.settings import ContainerSettings, EngineSettings
from zoe_jupyter.backends.docker.translate import Container
from zoe_jupyter.model.errors import Fatal, Retryable, ZoeError
from zoe_jupyter.model.resources import Node, Resources

logger = logging.getLogger(__name__)

_PATIENCE_S = 2.0
"""More than a look takes that waits for some answers."""


@dataclass(frozen=True, slots=True)
class Place:
    """One engine with its own images, networks and launches."""

    engine: Engine
    images: Images
    networks: Networks
    launcher: Launcher


class Site:
    """Raises ZoeError when two engines have one name, or one cannot be used as its settings say."""

    def __init__(
        self,
        engines: Sequence[EngineSettings],
        settings: ContainerSettings,
        *,
        folder: Path,
        pool: str,
        overcommit: float,
        memory_fraction: float,
        on_news: Callable[[], None],
    ) -> None:
        self._overcommit = overcommit
        self._memory_fraction = memory_fraction
        self._on_news = on_news
        self._looks: dict[str, asyncio.Task[None]] = {}
        """Those under way, by engine."""
        self._nodes: dict[str, Node] = {}
        self.places: dict[str, Place] = {}
        for each in ways.known(engines, os.environ):
            if each.name in self.places:
                raise ZoeError(
                    f"the setting Zoe.backend_options: two engines are named {each.name!r}: give each a `name` of its own"
                )
            self.places[each.name] = _place(each, settings, folder, pool, on_news)
        if not self.places:
            raise ZoeError(
                "the setting Zoe.backend_options: engines=[]: name one at least, or leave it out for this machine's"
            )

    @property
    def has_gpus(self) -> bool:
        return any(place.engine.settings.gpus for place in self.places.values())

    def engines(self) -> list[EngineSettings]:
        """With all that their settings leave open."""
        return [place.engine.settings for place in self.places.values()]

    def start(self) -> None:
        for place in self.places.values():
            place.engine.start()

    def close(self) -> None:
        for task in self._looks.values():
            task.cancel()
        for place in self.places.values():
            place.engine.close()

    def place(self, node: str) -> Place:
        """Raises Fatal for an engine that the settings no longer name."""
        try:
            return self.places[node]
        except KeyError:
            raise Fatal(
                f"there is no engine {node!r} in the settings any more; there is {', '.join(self.places)}"
            ) from None

    async def look(self) -> None:
        """Bring all up to date; raises Unreachable when none answers.

        One that is silent already is asked again without waiting for it, and one that is slow not waited for long: what is known of it stays.
        """
        for engine in self.silent():
            if engine.name not in self._looks:
                self._begin_look(engine)
        await asyncio.gather(*(self._wait_for(engine) for engine in self.answering()))
        if not self.answering():
            raise Unreachable("; ".join(engine.why_silent for engine in self.silent()))

    async def _wait_for(self, engine: Engine) -> None:
        """Until it is looked at; however long that takes while nothing is known of it."""
        try:
            await asyncio.wait_for(self._look_now(engine), _PATIENCE_S if engine.is_known else None)
        except asyncio.TimeoutError:
            if (late := self._looks.get(engine.name)) is not None:
                late.remove_done_callback(self._has_come)
                late.add_done_callback(self._has_come)

    async def _look_now(self, engine: Engine) -> None:
        """By a look that begins now: one that is under way may have passed by what is to be seen."""
        if (under_way := self._looks.get(engine.name)) is not None:
            await asyncio.wait([under_way])
        look = self._looks.get(engine.name) or self._begin_look(engine)
        await asyncio.wait([look])
        if not look.cancelled():
            look.result()

    def _begin_look(self, engine: Engine) -> asyncio.Task[None]:
        look = asyncio.create_task(self._look(engine), name=f"zoe docker looks at {engine.name}")
        self._looks[engine.name] = look
        return look

    async def _look(self, engine: Engine) -> None:
        """A silence is noted by the engine itself."""
        was_silent = engine.silent_since is not None
        try:
            with suppress(Unreachable):
                await engine.look()
        finally:
            del self._looks[engine.name]
        if was_silent and engine.silent_since is None:
            self._on_news()

    def _has_come(self, look: asyncio.Task[None]) -> None:
        if look.cancelled():
            return
        if (error := look.exception()) is not None:
            logger.error("a look at an engine failed; a defect", exc_info=error)
        self._on_news()

    def answering(self) -> list[Engine]:
        return [place.engine for place in self.places.values() if place.engine.silent_since is None]

    def silent(self) -> Mapping[Engine, float]:
        """Those that do not answer, and since when."""
        engines = (place.engine for place in self.places.values())
        return {engine: engine.silent_since for engine in engines if engine.silent_since is not None}

    def attempts(self, execution_id: str, service: str) -> list[tuple[Engine, Container]]:
        """The containers of a service, oldest attempt first."""
        found = [
            (place.engine, each)
            for place in self.places.values()
            for each in place.engine.of(execution_id)
            if each.attempt.service == service
        ]
        return sorted(found, key=lambda pair: pair[1].attempt.attempt)

    def expect_none(self, wanted: Attempt) -> None:
        """It was told to stop, and is nowhere: what is made of it all the same is looked at."""
        for place in self.places.values():
            place.engine.expect_none(wanted.name)

    def of(self, attempt: Attempt) -> list[tuple[Engine, Container]]:
        """That one's containers."""
        found = self.attempts(attempt.execution_id, attempt.service)
        return [pair for pair in found if pair[1].attempt == attempt]

    def running(self, execution_id: str, service: str, attempt: int) -> tuple[Engine, Container]:
        """Raises Retryable when it does not run."""
        for engine, found in self.attempts(execution_id, service):
            if found.attempt.attempt == attempt and found.is_running:
                return engine, found
        raise Retryable(f"{service} of {execution_id} does not run")

    def executions(self) -> frozenset[str]:
        """Of which anything is on an engine that answers."""
        engines = self.answering()
        of_containers = (each.attempt.execution_id for engine in engines for each in engine.containers.values())
        return frozenset(of_containers).union(self.unseen(), *(engine.networks for engine in engines))

    def unseen(self) -> Mapping[str, str]:
        """Executions with containers of which an engine that answers has not said yet how they are, and why nothing is known of them."""
        why = "the engine {} has not said yet how its containers are"
        return {each: why.format(engine.name) for engine in self.answering() for each in engine.unseen.values()}

    def containers(self) -> frozenset[str]:
        """Ids of all that is on an engine that answers."""
        return frozenset[str]().union(*(engine.containers.keys() | engine.unseen.keys() for engine in self.answering()))

    async def contents(self, images: Iterable[str]) -> dict[str, Content]:
        """What images say of themselves, where an engine has them."""
        found: dict[str, Content] = {}
        for image in images:
            for place in self.places.values():
                if found.get(image, Content()) == Content() and place.engine.silent_since is None:
                    found[image] = await place.images.content(image)
        return found

    def nodes(self) -> list[Node]:
        """Engines that answered once; nothing new is started on those that do not answer now."""
        for place in self.places.values():
            engine = place.engine
            if engine.info:
                self._nodes[engine.name] = self._node(engine)
        return list(self._nodes.values())

    def _node(self, engine: Engine) -> Node:
        info, settings = engine.info, engine.settings
        capacity = Resources(
            microcores=int(engine.cores * self._overcommit * 1_000_000),
            memory_bytes=int(info["MemTotal"] * self._memory_fraction),
            gpus=settings.gpus,
        )
        labels = {"hostname": str(info.get("Name", "")), "arch": str(info.get("Architecture", "")), **settings.labels}
        return Node(
            engine.name, capacity, labels, is_enabled=engine.silent_since is None, microcores=int(engine.cores * 1e6)
        )


def _place(
    each: EngineSettings, settings: ContainerSettings, folder: Path, pool: str, on_news: Callable[[], None]
) -> Place:
    engine = Engine(each, deployment=settings.deployment, folder=folder / "tunnels", on_news=on_news)
    images = Images(engine, pulls=settings.pull == "missing", on_progress=on_news, prefix=settings.image_prefix)
    networks = Networks(engine, deployment=settings.deployment, pool=pool, mtu=settings.mtu)
    return Place(engine, images, networks, Launcher(engine, images, networks, settings))
