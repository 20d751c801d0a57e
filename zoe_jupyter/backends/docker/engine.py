"""One Docker Engine: what runs there, kept up by its events and looked at again from time to time."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from docker.errors import NotFound

from zoe_jupyter.backends.base import Address, Unreachable
from zoe_jupyter.backends.containers.names import slug
from zoe_jupyter.backends.docker import translate, wire
from zoe_jupyter.backends.docker.calls import LOOK_S, QUICK_S, SLOW_S, Calls
from zoe_jupyter.backends.docker.settings import LOOPBACK, EngineSettings
from zoe_jupyter.backends.docker.translate import LABEL, Container, Restart
from zoe_jupyter.backends.docker.tunnel import Tunnel
from zoe_jupyter.model.errors import BackendError
from zoe_jupyter.turns import Turns

logger = logging.getLogger(__name__)

LISTED_EVERY_S = 300.0
AGAIN_S = 1.0
_COMMANDS_AT_ONCE, _COMMANDS_OF_ONE, _COMMANDS_OF_OWNER = 256, 32, 96
"""Each is a connection; those of one execution are fewer, and those of one owner, so that what hangs there is in nobody else's way."""
_QUESTIONS_AT_ONCE, _QUESTIONS_OF_ONE, _QUESTIONS_OF_OWNER = 64, 8, 24
"""To logs; one that is much takes long."""
_COPIES_AT_ONCE, _FIGURES_AT_ONCE, _AGAIN_AT_ONCE = 12, 3, 3
_INSPECT_S = 1.0
_MADE = "create"
_UNWANTED = 1000
_NEWS = (_MADE, "start", "die", "oom", "destroy", "health_status", "pause", "unpause", "rename")


class Engine:
    """``look`` brings ``containers`` up to date; ``on_news`` is called on the loop when a look is worth while."""

    _answering: asyncio.Task[bool] | None = None

    def __init__(self, settings: EngineSettings, *, deployment: str, folder: Path, on_news: Callable[[], None]) -> None:
        self.settings = settings
        is_tunnelled = settings.url.startswith("ssh:")
        self._tunnel = Tunnel(settings, folder / slug(settings.name)) if is_tunnelled else None
        self.calls = Calls(settings, self._tunnel)
        self._commands = Turns(_COMMANDS_AT_ONCE, _COMMANDS_OF_ONE, _COMMANDS_OF_OWNER)
        self._questions = Turns(_QUESTIONS_AT_ONCE, _QUESTIONS_OF_ONE, _QUESTIONS_OF_OWNER)
        self._searches = Turns(1, 1, 1)
        """One after the other: executions of an owner, and owners, so that whoever has most to look through takes no more turns."""
        self.copies = asyncio.Semaphore(_COPIES_AT_ONCE)
        """Turns of those who write down a log."""
        self.figures = asyncio.Semaphore(_FIGURES_AT_ONCE)
        """Turns of those who ask what a container uses: of everything that runs at once, while looks use the same threads."""
        self.again = asyncio.Semaphore(_AGAIN_AT_ONCE)
        """Turns of looks at what was looked at in vain before, so that what hangs leaves threads to all others."""
        self.kills_again = asyncio.Semaphore(_AGAIN_AT_ONCE)
        """And of those who kill it, which no look holds up."""
        self._finds = asyncio.Semaphore(_AGAIN_AT_ONCE)
        """Turns of those who look for what may have been made, each of which waits long for one that hangs."""
        self.containers: dict[str, Container] = {}
        self.unseen: dict[str, str] = {}
        """Ids of containers that are listed, and how they are was not told yet: their executions."""
        self.networks: set[str] = set()
        """Executions that have a network here."""
        self.is_known = False
        """Whether it was listed once, so that there is something to go by while it is slow."""
        self.silent_since: float | None = None
        """Monotonic time of the first call in vain."""
        self.why_silent = ""
        self.info: dict[str, Any] = {}
        """As of the last listing where it was told: engines grow. Empty until it was told once, and asked for by each look."""
        self._began_at = self._silent_s = 0.0
        self._deployment = deployment
        self._on_news = on_news
        self._dirty: set[str] = set()
        self._asked: dict[str, asyncio.Task[Container | None]] = {}
        """Those that are looked at."""
        self._in_vain: set[str] = set()
        """Those that were, and there was no answer."""
        self._ending: set[str] = set()
        """Those that Zoe has asked to end: it is no question why they do."""
        self._unwanted: dict[str, None] = {}
        """Names of containers that were told to stop when there were none: one that is made all the same is looked at; the last so many."""
        self._quotas: dict[str, int] = {}
        """Of containers that were made to keep to another than the one they were made with."""
        self._is_subscribed = False
        self._listed_at: float | None = None
        self._looking = asyncio.Lock()
        self._listening: asyncio.Task[None] | None = None
        self._letting_go: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def cores(self) -> float:
        return float(self.info.get("NCPU", 1))

    @property
    def restart(self) -> Restart:
        """Its last start, when all that ran had ended."""
        began_at = 0.0 if self.info.get("LiveRestoreEnabled") else self._began_at
        return translate.last_start(began_at, self.containers.values(), silent_s=self._silent_s)

    @property
    def is_near(self) -> bool:
        """Whether this machine reaches containers by their addresses."""
        if self.settings.probes:
            return self.settings.probes == "direct"
        return self.is_here

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine, and its folders are those that are seen here: not by who is a container, or asks it through one."""
        return self.settings.url.startswith("unix:") and self.settings.probes != "exec"

    def start(self) -> None:
        """Subscribe to the engine's events; what is there is listed after that."""
        self._subscribe()

    def close(self) -> None:
        for task in (self._listening, self._letting_go, self._answering, *self._asked.values()):
            if task is not None:
                task.cancel()
        self.calls.close()

    def touch(self, container_id: str) -> None:
        """Look at this one again: something was done to it."""
        self._dirty.add(container_id)

    def expect_end(self, container_id: str) -> None:
        """Zoe asks it to end."""
        self._ending.add(container_id)

    def expect_none(self, name: str) -> None:
        """What has this name was told to stop, and is not there."""
        self._unwanted[name] = None
        while len(self._unwanted) > _UNWANTED:
            del self._unwanted[next(iter(self._unwanted))]

    async def answers(self) -> bool:
        """Whether it does; asked once for all who want to know at a time, for the turns are those of looks."""
        if self._answering is None or self._answering.done():
            self._answering = asyncio.get_running_loop().create_task(self._ping(), name=f"zoe ping {self.name}")
        return await asyncio.shield(self._answering)

    async def _ping(self) -> bool:
        try:
            await self.calls.do(lambda client: client.ping(), limit_s=LOOK_S)
        except (Unreachable, BackendError, NotFound):
            return False
        return True

    async def look(self) -> None:
        """Bring ``containers`` up to date; raises Unreachable, also where it, or somebody before it, has nothing but trouble to tell."""
        async with self._looking:
            try:
                await self._look()
            except Unreachable as error:
                self._fall_silent(str(error))
                raise
            except (BackendError, NotFound) as error:
                self._fall_silent(f"the engine {self.name} does not say what it runs: {error}")
                raise Unreachable(self.why_silent) from error
            if self.silent_since is not None:
                self._silent_s = time.monotonic() - self.silent_since
                self._subscribe()
            self.silent_since, self.why_silent = None, ""
            self._let_go()

    def _fall_silent(self, why: str) -> None:
        self.silent_since = time.monotonic() if self.silent_since is None else self.silent_since
        self.why_silent = why
        self._listed_at = None
        self.calls.renew()

    async def _look(self) -> None:
        is_fresh = self._listed_at is not None and time.monotonic() - self._listed_at < LISTED_EVERY_S
        if self._is_subscribed and is_fresh:
            await self.calls.do(lambda client: client.ping(), limit_s=LOOK_S)
        else:
            await self._list()
        if self.silent_since is not None:
            self._in_vain.clear()  # that was the engine's own silence
        await self._inspect_dirty()

    async def _list(self) -> None:
        listed_at, wanted = time.monotonic(), {"label": [f"{LABEL}deployment={self._deployment}", f"{LABEL}execution"]}
        before = set(self.containers)
        found, networks, info, began_at = await asyncio.gather(
            self.calls.do(lambda client: client.containers(all=True, filters=wanted), limit_s=LOOK_S),
            self.calls.do(lambda client: client.networks(filters=wanted), limit_s=LOOK_S),
            self._told(),
            self._begun(),
        )
        self._began_at, self.info = began_at, info
        self.networks = {network["Labels"][f"{LABEL}execution"] for network in networks}
        ids = {each["Id"] for each in found}
        self.containers = {key: each for key, each in self.containers.items() if key in ids or key not in before}
        self.unseen = {each["Id"]: each["Labels"][f"{LABEL}execution"] for each in found if self._is_unseen(each)}
        self._quotas = {key: quota_us for key, quota_us in self._quotas.items() if key in ids}
        self._ending &= ids
        self._in_vain &= ids
        self._dirty |= {each["Id"] for each in found if self._has_changed(each)}
        self.is_known = True
        if self._is_subscribed and info:
            self._listed_at = listed_at

    async def _told(self) -> dict[str, Any]:
        """What it says of itself; what it said last where that alone fails, for it is much that it looks up. Raises Unreachable."""
        try:
            info: dict[str, Any] = await self.calls.do(lambda client: client.info(), limit_s=LOOK_S)
        except (Unreachable, BackendError, NotFound) as error:
            await self.calls.do(lambda client: client.ping(), limit_s=LOOK_S)
            logger.info("the engine %s says nothing of itself now: %s", self.name, error)
            return self.info
        return info

    async def _begun(self) -> float:
        """As it tells, or told last: each start makes this network anew. Raises Unreachable.

        Over a new connection, which one that is being shut down takes from nobody.
        """
        try:
            found = await asyncio.wait_for(self._default_networks(), QUICK_S)
        except asyncio.TimeoutError as error:
            raise Unreachable(f"the engine {self.name} does not answer in time") from error
        except (BackendError, NotFound):
            return self._began_at
        return next((translate.moment(each["Created"]) for each in found if each["Name"] == "bridge"), 0.0)

    async def _default_networks(self) -> list[dict[str, Any]]:
        query = {"filters": json.dumps({"name": ["bridge"]})}
        async with self.calls.flow("GET", "/networks", query, threads=LOOK_S) as content:
            found: list[dict[str, Any]] = json.loads(b"".join([part async for part in content]))
        return found

    def _is_unseen(self, listed: dict[str, Any]) -> bool:
        return listed["Id"] not in self.containers and translate.is_own(listed["Labels"], self._deployment)

    def _has_changed(self, listed: dict[str, Any]) -> bool:
        known = self.containers.get(listed["Id"])
        return known is None or known.is_running != (listed["State"] in ("running", "paused")) or known.is_created

    async def _inspect_dirty(self) -> None:
        """One that the engine is busy with, starting it say, is not waited for: a look has the answer when it has come."""
        busy = {key for key, task in self._asked.items() if not task.done()}
        begun = []
        for key in self._dirty - busy:
            work = self._inspect_again(key) if key in self._in_vain else self._inspect(key)
            begun.append(asyncio.create_task(work, name=f"zoe docker looks at {key[:12]}"))
            self._asked[key] = begun[-1]
        self._dirty &= busy
        if begun:
            _, late = await asyncio.wait(begun, timeout=_INSPECT_S)
            for task in late:
                task.add_done_callback(self._has_come)
        await self._take_answers()

    def _has_come(self, task: asyncio.Task[Container | None]) -> None:
        if not task.cancelled():
            task.exception()
            self._on_news()

    async def _take_answers(self) -> None:
        """Raises Unreachable; then all are asked again."""
        answers = {key: task for key, task in self._asked.items() if task.done()}
        found = {key: _outcome(task) for key, task in answers.items()}
        try:
            await self._look_at_ends([seen for seen in found.values() if isinstance(seen, Container)])
        except Unreachable:
            self._dirty |= found.keys()
            raise
        for key, seen in found.items():
            if self._asked.get(key) is not answers[key]:
                continue  # somebody has looked at it since
            del self._asked[key]
            if isinstance(seen, BaseException):
                self._dirty.add(key)
                self._in_vain.add(key)
                continue
            self._in_vain.discard(key)
            self.unseen.pop(key, None)
            if seen is None:
                self.containers.pop(key, None)
            else:
                self.containers[key] = seen

    async def _inspect(self, container_id: str, *, limit_s: int = QUICK_S) -> Container | None:
        try:
            body = await self.calls.do(lambda client: client.inspect_container(container_id), limit_s=limit_s)
        except NotFound:
            return None
        if not translate.is_own(body["Config"]["Labels"], self._deployment):
            return None
        try:
            return translate.container(body)
        except (KeyError, ValueError, TypeError) as error:
            if translate.is_named_so(body):
                raise Unreachable(
                    f"the engine {self.name} tells of {body['Name']} what Zoe cannot read: {error!r}"
                ) from error
            logger.info("the container %s bears labels of Zoe's, and is not: %r", container_id, error)
            return None

    async def _inspect_again(self, container_id: str) -> Container | None:
        async with self.again:
            return await self._inspect(container_id)

    async def _look_at_ends(self, seen: Sequence[Container]) -> None:
        """Before any of them is known to have ended: perhaps the engine ends, too. Raises Unreachable."""
        known = (self.containers.get(each.id) for each in seen if not each.is_running and each.id not in self._ending)
        if any(each is not None and each.is_running for each in known):
            self._began_at = await self._begun()

    async def inspect(self, name: str) -> Container | None:
        """One container as it is now, by name or id; remembered. What has ended runs again only once a look has seen it."""
        found = await self._inspect(name, limit_s=SLOW_S)
        self._in_vain -= {name, found.id if found is not None else name}
        if found is None:
            self.unseen.pop(name, None)
        else:
            await self._look_at_ends([found])
            known = self.containers.get(found.id, found)
            is_older = _progress(found) < _progress(known)
            found = self.containers[found.id] = known if is_older else found
            self.unseen.pop(found.id, None)
            if (other := self._asked.pop(found.id, None)) is not None:
                other.cancel()
            if is_older or other is not None:
                self.touch(found.id)  # for that may have been asked after this
                self._on_news()
        return found

    async def find(self, execution_id: str) -> None:
        """Ask the engine itself for all that it has of an execution."""
        wanted = {"label": [f"{LABEL}deployment={self._deployment}", f"{LABEL}execution={execution_id}"]}
        for listed in await self.calls.do(lambda client: client.containers(all=True, filters=wanted)):
            if listed["Id"] not in self.containers:
                async with self._finds:
                    await self.inspect(listed["Id"])

    def command(self, found: Container) -> AbstractAsyncContextManager[None]:
        """For as long as a command runs in that container; waits for its turn."""
        return self._commands.of(found.attempt.execution_id, found.owner)

    def asking(self, found: Container) -> AbstractAsyncContextManager[None]:
        """For as long as something is looked for in the log of that container; waits for its turn."""
        return self._questions.of(found.attempt.execution_id, found.owner)

    def searching(self, found: Container) -> AbstractAsyncContextManager[None]:
        """For as long as a piece of its log is looked through; waits for its turn."""
        return self._searches.of(found.attempt.execution_id, found.owner)

    async def set_cores(self, found: Container, cores: float) -> None:
        """As ``docker update`` does it; one that has just gone is no error."""
        quota_us = translate.cpu_quota_us(min(cores, self.cores))
        if quota_us != self._quotas.get(found.id, found.cpu_quota_us):
            with suppress(NotFound):
                await self.calls.do(_update, found.id, quota_us)
            self._quotas[found.id] = quota_us

    async def outside(self, found: Container) -> Address:
        """Where its published ports are reached from this machine. Raises Unreachable, Retryable."""
        tunnel, ports = self._tunnel, dict(found.published)
        if self.settings.host or tunnel is None:
            return Address(self.settings.host or LOOPBACK, ports)
        for name, number in ports.items():
            ports[name] = await self.calls.off(partial(tunnel.bring, number))
        return Address(LOOPBACK, ports)

    def _let_go(self) -> None:
        """Of ports that were brought here and whose containers are gone; no look waits for that."""
        is_under_way = self._letting_go is not None and not self._letting_go.done()
        if self._tunnel is not None and not is_under_way and self._tunnel.brings_others_than(self._published()):
            work = self._keep_published(self._tunnel)
            self._letting_go = asyncio.create_task(work, name=f"zoe docker ports {self.name}")

    async def _keep_published(self, tunnel: Tunnel) -> None:
        try:
            await self.calls.off(partial(tunnel.keep, self._published))
        except (Unreachable, BackendError) as error:
            logger.info("ports of the engine %s are let go of later: %s", self.name, error)

    def _published(self) -> set[int]:
        """Also for threads."""
        return {number for each in list(self.containers.values()) for number in each.published.values()}

    def of(self, execution_id: str) -> Sequence[Container]:
        return [each for each in self.containers.values() if each.attempt.execution_id == execution_id]

    def _subscribe(self) -> None:
        """Anew: from a stream that was cut without a word nothing would come ever again."""
        if self._listening is not None:
            self._listening.cancel()
        self._is_subscribed = False
        self._listening = asyncio.get_running_loop().create_task(self._listen(), name=f"zoe docker events {self.name}")

    async def _listen(self) -> None:
        """Hear events until cancelled, subscribed again after each end. A gap means that all is listed again."""
        while True:
            try:
                await self._hear()
            except (Unreachable, BackendError, NotFound) as error:
                logger.info("events of the engine %s ended: %s", self.name, error)
            except Exception:
                logger.exception("events of the engine %s ended; a defect", self.name)
            self._is_subscribed, self._listed_at = False, None
            self._on_news()
            await asyncio.sleep(AGAIN_S)

    async def _hear(self) -> None:
        wanted = {"type": ["container"], "label": [f"{LABEL}deployment={self._deployment}"], "event": _NEWS}
        query = {"filters": json.dumps(wanted), "since": int(time.time()) - 1}
        async with self.calls.flow("GET", "/events", query, threads=LOOK_S) as content:
            self._is_subscribed, self._listed_at = True, None
            self._on_news()
            async for event in wire.lines(content):
                if self._is_of_a_launch(event):
                    continue
                if container_id := event.get("Actor", {}).get("ID"):
                    self.touch(container_id)
                self._on_news()

    def _is_of_a_launch(self, event: dict[str, Any]) -> bool:
        """Whether it tells of what was made and has somebody who looks at it."""
        name = event.get("Actor", {}).get("Attributes", {}).get("name")
        return event.get("Action") == _MADE and name not in self._unwanted


def _outcome(task: asyncio.Task[Container | None]) -> Container | BaseException | None:
    return asyncio.CancelledError() if task.cancelled() else task.exception() or task.result()


def _progress(found: Container) -> int:
    return 0 if found.is_created else 1 if found.is_running else 2


def _update(client: Any, container_id: str, quota_us: int) -> None:
    client.update_container(container_id, cpu_period=translate.CPU_PERIOD_US, cpu_quota=quota_us)
