"""Who looks after what a store's executions have on an engine, of several servers on one store that have no folder in common.

The labels of a volume on the engine say it. Who was replaced keeps a watchman and notes that know nothing of what the others do, and must end
nothing by these. A store in the folder itself needs no claims; cores with other stores do not look after each other's executions.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, DockerException, NotFound

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers import small_files
from zoe_jupyter.backends.docker.calls import SILENT
from zoe_jupyter.backends.docker.translate import LABEL
from zoe_jupyter.model.errors import Fatal

if TYPE_CHECKING:
    from zoe_jupyter.backends.docker.engine import Engine
    from zoe_jupyter.backends.docker.site import Site

logger = logging.getLogger(__name__)


class Claims:
    """One core's, by its folder: whoever uses that after it goes on with its claim. ``store`` is empty where nobody else may use it."""

    def __init__(self, folder: Path, deployment: str, store: str, site: Site) -> None:
        self._folder = folder
        self._deployment = deployment
        self._store = store
        self._site = site
        self.left: Mapping[str, str] = {}
        """Executions that an earlier core left here and that must not go on, and why."""
        self._taken = set[str]()
        """Names of engines that know of this core."""

    async def open(self, over: Mapping[str, str]) -> None:
        """``over`` is what the folder's notes say is."""
        self.left = over
        with suppress(Unreachable):
            await self._site.look()
        await self.take()

    def over(self, engine: Engine) -> Mapping[str, str]:
        """What is to be ended there; nothing where another core has looked after all that since, or may have."""
        return self.left if not self._store or engine.name in self._taken else {}

    async def take(self) -> None:
        """Say so on all engines that answer."""
        found = await self._each(partial(take, deployment=self._deployment, store=self._store))
        if any(found.values()):
            self.left = {}
        self._taken |= found.keys()

    async def release(self) -> None:
        """Nothing is there to be looked after."""
        await self._each(lambda client, who: _remove(client, {who}))

    async def _each(self, work: Callable[..., bool | None]) -> dict[str, bool]:
        """What it finds on each engine that answers it; where volumes may not be seen there are no claims."""
        if not self._store:
            return {}
        who, engines = await asyncio.to_thread(name_of, self._folder), self._site.answering()
        asked = (engine.calls.do(work, who=who) for engine in engines)
        found = dict(zip(engines, await asyncio.gather(*asked, return_exceptions=True), strict=True))
        for error in (each for each in found.values() if isinstance(each, Exception)):
            logger.info("an engine is not told which Zoe looks after what it has: %r", error)
        told = {engine.name: each for engine, each in found.items() if isinstance(each, bool | Fatal | NotFound)}
        return {name: each is True for name, each in told.items()}


def name_of(folder: Path) -> str:
    """By which that folder's core is known to the others; made when it is asked for the first time."""
    file = folder / "claim.json"
    found = small_files.read(file).get("name")
    if not isinstance(found, str):
        found = f"zoe-claim-{secrets.token_hex(8)}"
        try:
            small_files.replace(file, {"name": found})
        except OSError:  # a full disk: the same for all who have none is as if nobody claimed anything
            return "zoe-claim-nobody"
    return found


def take(client: Any, deployment: str, store: str, who: str) -> bool:
    """Blocks; whether there was another's, also where more than that is refused."""
    known = _known(client, deployment, store)
    with _unless_in_trouble():
        if who not in known:
            _remove(client, {who})  # one that is there keeps its labels, which are those of earlier settings
            client.create_volume(who, labels={f"{LABEL}claim": deployment, f"{LABEL}store": store})
    with suppress(*SILENT):  # it is asked again, and they may then be gone
        for other in known - {who}:
            with suppress(DockerException):
                client.remove_volume(other)
    return bool(known - {who})


def is_anothers(client: Any, deployment: str, store: str, who: str) -> bool:
    """Blocks. An engine that lets Zoe see no volumes has nothing of it; raises APIError where it has trouble."""
    others = set[str]()
    with _unless_in_trouble():
        others = _known(client, deployment, store) - {who} if store else others
    return bool(others)


@contextmanager
def _unless_in_trouble() -> Iterator[None]:
    """What is refused is left out, but not what the engine could not do just now."""
    try:
        yield
    except APIError as error:
        if error.is_server_error():
            raise


def _known(client: Any, deployment: str, store: str) -> set[str]:
    found = client.volumes(filters={"label": [f"{LABEL}claim={deployment}", f"{LABEL}store={store}"]})["Volumes"] or ()
    return {each["Name"] for each in found}


def _remove(client: Any, known: set[str]) -> None:
    for name in known:
        with suppress(NotFound):
            client.remove_volume(name)
