"""Whether the cluster's network keeps others out. Every cluster takes NetworkPolicies; it is the network plug-in that obeys them, or not.

So it is tried: two executions of a deployment of its own, made by the same manifests as everybody's. Of one there is a listener, of the other a
listener and somebody who knocks at both. What a Zoe that was killed leaves of them is removed by the cluster.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoe_jupyter.backends.base import Bounds, ServiceOrder, Unreachable
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.containers.places import PYTHON, port_numbers
from zoe_jupyter.backends.kubernetes import names, translate
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer
from zoe_jupyter.backends.kubernetes.hints import Hints
from zoe_jupyter.backends.kubernetes.objects import Objects
from zoe_jupyter.backends.kubernetes.paths import Paths
from zoe_jupyter.backends.kubernetes.site import Isolation, Site
from zoe_jupyter.backends.kubernetes.translate import Pod
from zoe_jupyter.backends.kubernetes.watched import Watched
from zoe_jupyter.model.application import Port, Probe
from zoe_jupyter.model.errors import BackendError
from zoe_jupyter.model.images import OWN_PREFIX
from zoe_jupyter.model.resources import Resources

logger = logging.getLogger(__name__)

VALID_S, AGAIN_S = 86400.0, 600.0
LIMIT_S = 180.0
CLOSE_S = 5.0
"""Who goes takes away what was begun, as far as that is quick; the cluster does the rest."""
SHUT, OPEN = 10, 11
"""What it says who knocked, by exit codes that no shell uses: nobody else is let in; anybody is."""
ANSWERS: Mapping[int | None, Isolation] = {SHUT: Isolation.ENFORCED, OPEN: Isolation.DECLARED}
_SMALL = Resources(microcores=20_000, memory_bytes=64 << 20)
_PORTS = {"door": Port(is_published=False)}
_DOOR = port_numbers(_PORTS)["door"]
LISTEN = """
import socket, sys
server = socket.create_server(("", int(sys.argv[1])))
while True:
    server.accept()[0].close()
"""
KNOCK = f"""
import socket, sys, time
def is_open(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 2).close()
    except OSError:
        return False
    return True
friend, stranger = sys.argv[1:]
same, before, end = 0, None, time.monotonic() + 30
while same < 3 and time.monotonic() < end:
    found = is_open(friend), is_open(stranger)
    same, before = (same + 1 if found == before else 1), found
    time.sleep(float(found != (True, True)))
sys.exit({{(True, False): {SHUT}, (True, True): {OPEN}}}.get(found, 1))
"""
"""Three times the same answer: policies take a moment to arrive everywhere. Who does not even reach its own has found out nothing."""


class Prober:
    """``answer`` is ``declared`` until the network was seen to keep somebody out; what was found is kept in ``file`` for a day."""

    def __init__(self, site: Site, *, wanted: Isolation, file: Path) -> None:
        self._site = replace(site, deployment=f"{site.deployment}/isolation")
        self._file, self._has_warned = file, False
        self._images: dict[Attempt, tuple[str, str]] = {}
        """Whose, and which."""
        self._task: asyncio.Task[None] | None = None
        self.answer: Isolation = Isolation.DECLARED if wanted is Isolation.AUTO else wanted
        self._due_at = self._recalled() if wanted is Isolation.AUTO else math.inf

    def remember(self, attempt: Attempt, owner: str, image: str) -> None:
        """Once it runs, its image is on the nodes, and can be tried with where it is one of the site's: others say what those like who made them."""
        if image.startswith(OWN_PREFIX) and time.time() >= self._due_at:
            self._images[attempt] = owner, image

    def notice(self, server: ApiServer, attempt: Attempt, pod: Pod) -> None:
        """It has changed; when one is ready it is tried, for nobody waits for anything then."""
        if attempt not in self._images or not translate.is_ready(pod):
            return
        owner, image = self._images.pop(attempt)
        if time.time() >= self._due_at:
            self._due_at = time.time() + AGAIN_S
            self._images.clear()
            trial = Trial(server, self._site.of(owner), image)
            self._task = asyncio.get_running_loop().create_task(self._find_out(trial), name="zoe isolation")

    def warn_when_shut_out(self) -> None:
        """Once: nothing else would tell why no connection is made."""
        if self.answer is Isolation.ENFORCED and not self._site.callers and not self._has_warned:
            self._has_warned = True
            logger.warning(
                "the cluster's network lets nobody in but pods of the same execution: what is outside reaches none of them by its address. "
                "Name Zoe's own pod, or network, in `callers` of Zoe.backend_options, or set `reach` to `forward`"
            )

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=CLOSE_S)

    def _recalled(self) -> float:
        """Take up what was found before; when it is to be tried again."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(self._file.read_text(encoding="utf-8"))
            if found["namespace"] == self._site.namespace:
                self.answer = Isolation(found["answer"])
                return float(found["at"]) + VALID_S
        return 0.0

    async def _find_out(self, trial: Trial) -> None:
        try:
            code = await asyncio.wait_for(trial.code(), LIMIT_S)
        except (asyncio.TimeoutError, ApiError, BackendError, Unreachable) as error:
            logger.info("whether NetworkPolicies are enforced could not be found out: %s", error or "not in time")
            return
        answer = ANSWERS.get(code)
        if answer is None:
            logger.info("whether NetworkPolicies are enforced could not be found out: the trial exited with %s", code)
            return
        self.answer, now = answer, time.time()
        self._due_at = now + VALID_S
        self._file.parent.mkdir(parents=True, exist_ok=True)
        body = {"namespace": self._site.namespace, "answer": answer.value, "at": now}
        self._file.write_text(json.dumps(body), encoding="utf-8")


class Trial:
    """One try, of which nothing remains."""

    def __init__(self, server: ApiServer, site: Site, image: str) -> None:
        self._site = site
        self._image = image
        self._hints = Hints()
        paths, selector = Paths(site.namespace), names.selector(site.deployment)
        jobs = Watched(server, paths.jobs, selector=selector, keep=dict, on_change=self._on_change)
        self._pods = Watched(server, paths.pods, selector=selector, keep=translate.slim, on_change=self._on_change)
        self._objects = Objects(server, site, jobs=jobs)
        self._own, self._other = (f"{uuid.uuid4().hex[:8]}-{part}" for part in ("own", "other"))

    async def code(self) -> int | None:
        """With what who knocked has exited. Raises BackendError, Unreachable, ApiError."""
        watching = asyncio.get_running_loop().create_task(self._pods.follow(), name="zoe isolation's pods")
        try:
            return await self._tried()
        finally:
            watching.cancel()
            for execution_id in (self._own, self._other):
                await self._objects.remove(execution_id)

    async def _tried(self) -> int | None:
        listen = (PYTHON, "-c", LISTEN, str(_DOOR))
        listeners = [await self._launch(each, "listener", listen) for each in (self._own, self._other)]
        doors = [await self._until(who, _door) for who in listeners]
        knocker = await self._launch(self._own, "knocker", (PYTHON, "-c", KNOCK, *doors))
        ended = await self._until(knocker, lambda pod: translate.state_of(pod).get("terminated"))
        code: int | None = ended.get("exitCode")
        return code

    async def _launch(self, execution_id: str, service: str, command: tuple[str, ...]) -> str:
        """Its pod's name."""
        listens = service == "listener"
        order = ServiceOrder(
            self._site.deployment, execution_id, "", service, 1, command, image=self._image, resources=_SMALL,
            ports=_PORTS, port_numbers={"door": _DOOR},
            ready=Probe(tcp="door") if listens else None, grace_s=1.0,
        )  # fmt: skip
        owners = await self._objects.ensure(execution_id, order.owner, Bounds(silence_s=LIMIT_S))
        return str((await self._objects.launch(order, "", owners))["metadata"]["name"])

    async def _until(self, name: str, found: Callable[[Pod], Any]) -> Any:
        """What ``found`` finds in that pod, once it finds something."""
        while not (name in self._pods.items and (value := found(self._pods.items[name]))):
            await self._hints.next(1.0)
        return value

    def _on_change(self, name: str, item: object) -> None:
        self._hints.give()


def _door(pod: Pod) -> str:
    """Where it listens, once it does."""
    return f"{pod['status']['podIP']}:{_DOOR}" if translate.is_ready(pod) else ""
