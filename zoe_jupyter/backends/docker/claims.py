"""Who looks after what a deployment has on an engine, of several servers that have no folder in common: the engine is all that they share.

The label of a volume says it. Who was replaced keeps a watchman and notes that know nothing of what the others do, and must end nothing by these.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker.errors import APIError, NotFound

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers import small_files
from zoe_jupyter.backends.docker.translate import LABEL

if TYPE_CHECKING:
    from zoe_jupyter.backends.docker.site import Site

logger = logging.getLogger(__name__)


class Claims:
    """One core's, by its folder: whoever uses that after it goes on with its claim."""

    def __init__(self, folder: Path, deployment: str, site: Site) -> None:
        self._folder = folder
        self._deployment = deployment
        self._site = site

    async def believed(self, over: dict[str, str]) -> dict[str, str]:
        """What the folder's notes say is over; nothing of it where another core has looked after that since."""
        with suppress(Unreachable):
            await self._site.look()
        return {} if await self.take() else over

    async def take(self) -> bool:
        """Say so on all engines that answer; whether another was said to before."""
        who = await asyncio.to_thread(name_of, self._folder)
        return any(await self._each(partial(take, deployment=self._deployment, who=who)))

    async def release(self) -> None:
        """Nothing is there to be looked after."""
        who = await asyncio.to_thread(name_of, self._folder)
        await self._each(partial(_remove, known={who}))

    async def _each(self, work: Callable[[Any], bool]) -> list[bool]:
        asked = (engine.calls.do(work) for engine in self._site.answering())
        found = await asyncio.gather(*asked, return_exceptions=True)
        for error in (each for each in found if isinstance(each, Exception)):
            logger.info("an engine is not told which Zoe looks after what it has: %r", error)
        return [each for each in found if not isinstance(each, BaseException)]


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


def take(client: Any, deployment: str, who: str) -> bool:
    """Blocks; whether there was another's."""
    known = _known(client, deployment)
    if who not in known:
        client.create_volume(who, labels={f"{LABEL}claim": deployment})
    return _remove(client, known - {who})


def is_anothers(client: Any, deployment: str, who: str) -> bool:
    """Blocks. An engine that lets Zoe see no volumes has nothing of it."""
    try:
        return bool(_known(client, deployment) - {who})
    except APIError:
        return False


def _known(client: Any, deployment: str) -> set[str]:
    found = client.volumes(filters={"label": f"{LABEL}claim={deployment}"})["Volumes"] or ()
    return {each["Name"] for each in found}


def _remove(client: Any, known: set[str]) -> bool:
    for name in known:
        with suppress(NotFound):
            client.remove_volume(name)
    return bool(known)
