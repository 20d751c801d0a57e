"""Who looks after what a deployment has on an engine, of several servers that have no folder in common: the engine is all that they share.

The label of a volume says it. Who was replaced keeps a watchman and notes that know nothing of what the others do, and must end nothing by these.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docker.errors import NotFound

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.docker.translate import LABEL
from zoe_jupyter.model.errors import BackendError

if TYPE_CHECKING:
    from zoe_jupyter.backends.docker.site import Site

_FILE = "claim"


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
        return any(await self._each(lambda client: take(client, self._deployment, who)))

    async def release(self) -> None:
        """Nothing is there to be looked after."""
        who = await asyncio.to_thread(name_of, self._folder)
        await self._each(lambda client: _remove(client, {who}))

    async def _each(self, work: Any) -> list[Any]:
        asked = (engine.calls.do(work) for engine in self._site.answering())
        found = await asyncio.gather(*asked, return_exceptions=True)
        for each in found:
            if isinstance(each, BaseException) and not isinstance(each, (Unreachable, BackendError, NotFound)):
                raise each
        return [each for each in found if not isinstance(each, BaseException)]


def name_of(folder: Path) -> str:
    """By which that folder's core is known to the others; made when it is asked for the first time."""
    file = folder / _FILE
    if not file.exists():
        with suppress(OSError):  # a full disk: another name the next time is no worse than none
            file.write_text(f"zoe-claim-{secrets.token_hex(8)}", encoding="ascii")
    return file.read_text(encoding="ascii") if file.exists() else "zoe-claim-nobody"


def take(client: Any, deployment: str, who: str) -> bool:
    """Blocks; whether there was another's."""
    known = _known(client, deployment)
    if who not in known:
        client.create_volume(who, labels={f"{LABEL}claim": deployment})
    _remove(client, known - {who})
    return bool(known - {who})


def is_anothers(client: Any, deployment: str, who: str) -> bool:
    """Blocks."""
    return bool(_known(client, deployment) - {who})


def _known(client: Any, deployment: str) -> set[str]:
    found = client.volumes(filters={"label": f"{LABEL}claim={deployment}"})["Volumes"] or ()
    return {each["Name"] for each in found}


def _remove(client: Any, known: set[str]) -> None:
    for name in known:
        with suppress(NotFound):
            client.remove_volume(name)
