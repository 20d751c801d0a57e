"""Images of one engine: what is in them, and fetching those that are not there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from docker.errors import NotFound

from zoe_jupyter.backends.containers.images import Content, is_refusal, read_content
from zoe_jupyter.backends.docker.calls import SILENT, pull_progress
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.model.errors import Fatal, Retryable
from zoe_jupyter.model.execution import PULLING, Reason
from zoe_jupyter.model.images import OWN_PREFIX

logger = logging.getLogger(__name__)

_STEP = 0.1
_PULL_S = 3600.0


class Images:
    def __init__(self, engine: Engine, *, pulls: bool, on_progress: Callable[[], None]) -> None:
        self._engine = engine
        self._pulls = pulls
        self._on_progress = on_progress
        self._present: set[str] = set()
        self._pulling: dict[str, asyncio.Task[None]] = {}
        self._progress: dict[str, Reason] = {}
        self._digests: dict[str, str] = {}

    def digest(self, image_id: str) -> str:
        """By what its registry knows it too, where one does; else the id itself, which is the digest of what is in it."""
        return self._digests.get(image_id, image_id)

    def progress(self, image: str) -> Reason | None:
        """How far a pull is; None when there is none."""
        return self._progress.get(image)

    async def content(self, image: str) -> Content:
        """What an image that is there says of itself; nothing of one that is not."""
        try:
            body = await self._inspect(image)
        except NotFound:
            return Content()
        self._present.add(image)
        return read_content((body.get("Config") or {}).get("Labels"))

    async def ensure(self, image: str) -> None:
        """Have it, pulling when it is not there: once, for all who want it. Raises Fatal and Retryable with the registry's words."""
        if image in self._present:
            return
        try:
            await self._inspect(image)
        except NotFound:
            await self._pull_once(image)
            with suppress(NotFound):
                await self._inspect(image)
        self._present.add(image)

    def forget(self, image: str) -> None:
        """Somebody removed it."""
        self._present.discard(image)

    async def _inspect(self, image: str) -> Mapping[str, Any]:
        body: Mapping[str, Any] = await self._engine.calls.do(lambda client: client.inspect_image(image))
        self._digests[body["Id"]] = digest_of(body, image)
        return body

    async def _pull_once(self, image: str) -> None:
        if not self._pulls:
            raise _missing(image, "this site pulls none (`pull`)")
        task = self._pulling.get(image)
        if task is None:
            task = asyncio.create_task(self._pull(image), name=f"zoe pull {image}")
            self._pulling[image] = task
            task.add_done_callback(lambda _: self._pulling.pop(image, None))
        await asyncio.shield(task)

    async def _pull(self, image: str) -> None:
        self._tell(image, 0.0)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        asyncio.get_running_loop().run_in_executor(None, self._stream, image, loop, done)
        try:
            await asyncio.wait_for(done, _PULL_S)
        except asyncio.TimeoutError:
            raise Retryable(f"the image {image} could not be pulled within {_PULL_S:g} s") from None
        finally:
            self._progress.pop(image, None)
            self._on_progress()

    def _stream(self, image: str, loop: asyncio.AbstractEventLoop, done: asyncio.Future[None]) -> None:
        """In a thread: follow the pull to its end."""
        layers: dict[str, tuple[int, int]] = {}
        failures: list[str] = []
        told = [0.0]

        def take(item: dict[str, Any]) -> bool:
            if item.get("error"):
                failures.append(str(item["error"]))
            part = pull_progress(item, layers)
            if part - told[0] >= _STEP:
                told[0] = part
                loop.call_soon_threadsafe(self._tell, image, part)
            return not failures

        error: Exception | None = None
        try:
            self._engine.calls.stream(lambda client: _open(client, image), take)
        except NotFound as missing:
            error = _missing(image, str(missing.explanation or missing))
        except SILENT as silent:
            error = Retryable(f"the image {image} could not be pulled: {silent}")
        except Exception as refused:
            error = _refused(image, str(getattr(refused, "explanation", None) or refused))
        if failures:
            error = _refused(image, failures[0])
        loop.call_soon_threadsafe(_settle, done, error)

    def _tell(self, image: str, part: float) -> None:
        text = f"pulling the image {image}: {part:.0%}"
        self._progress[image] = Reason(PULLING, text, {"image": image, "part": round(part, 2)})
        self._on_progress()


def digest_of(body: Mapping[str, Any], image: str) -> str:
    """``repository@sha256:...`` as the engine says it of an image, rather of the repository that was asked for; its id where no registry knows it."""
    named = body.get("RepoDigests") or [body["Id"]]
    return str(next((each for each in named if each.partition("@")[0] == _repository(image)), named[0]))


def _repository(image: str) -> str:
    name, _, tag = image.partition("@")[0].rpartition(":")
    return f"{name}:{tag}" if name and "/" in tag else name or tag


def _open(client: Any, image: str) -> Any:
    name, _, tag = image.rpartition(":")
    if "@" in image or "/" in tag or not name:
        return client.pull(image, tag=None if "@" in image else "latest", stream=True, decode=True)
    return client.pull(name, tag=tag, stream=True, decode=True)


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)


def _refused(image: str, said: str) -> Fatal | Retryable:
    if is_refusal(said):
        return _missing(image, said)
    return Retryable(f"the image {image} could not be pulled: {said}", delay_s=5.0, reason="image_missing")


def _missing(image: str, said: str) -> Fatal:
    way = ""
    if image.startswith(OWN_PREFIX):
        name = image.removeprefix(OWN_PREFIX).partition(":")[0]
        way = f". Build it with `jupyter zoe image build {name}`, or set `image_prefix` to where it is"
    return Fatal(f"there is no image {image}: {said}{way}", details={"image": image}, reason="image_missing")
