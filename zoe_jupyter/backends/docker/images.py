"""Images of one engine: what is in them, and fetching those that are not there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from docker import auth
from docker.errors import DockerException, NotFound
from docker.utils import parse_repository_tag

from zoe_jupyter.backends.containers.images import Content, is_refusal, read_content, way_out
from zoe_jupyter.backends.docker import wire
from zoe_jupyter.backends.docker.calls import pull_progress
from zoe_jupyter.backends.docker.engine import Engine
from zoe_jupyter.model.errors import BackendError, Fatal, Retryable
from zoe_jupyter.model.execution import PULLING, Reason
from zoe_jupyter.model.images import OWN_PREFIX

logger = logging.getLogger(__name__)

_STEP = 0.1
_PULL_S = 3600.0


@dataclass
class _Pull:
    """One for all who want the image; given up when nobody does any more."""

    task: asyncio.Task[None]
    told: Reason
    waiting: int = 0


class Images:
    """``prefix``: what stands for the shop's own in names."""

    def __init__(
        self, engine: Engine, *, pulls: bool, on_progress: Callable[[], None], prefix: str = OWN_PREFIX
    ) -> None:
        self._engine = engine
        self._prefix = prefix
        self._called: dict[str, str] = {}
        self._pulls = pulls
        self._on_progress = on_progress
        self._present: set[str] = set()
        self._pulling: dict[str, _Pull] = {}
        self._digests: dict[str, str] = {}

    def digest(self, image_id: str) -> str:
        """By what its registry knows it too, where one does; else the id itself, which is the digest of what is in it."""
        return self._digests.get(image_id, image_id)

    def progress(self, image: str) -> Reason | None:
        """How far a pull is; None when there is none."""
        pull = self._pulling.get(image)
        return pull.told if pull is not None else None

    async def content(self, image: str) -> Content:
        """What an image that is there says of itself; nothing of one that is not."""
        try:
            body = await self._inspect(image)
        except NotFound:
            return Content()
        self._present.add(image)
        return read_content((body.get("Config") or {}).get("Labels"))

    async def config(self, image: str) -> Mapping[str, Any] | None:
        """How containers of an image begin, as it is now; None where that is not told."""
        try:
            config: Mapping[str, Any] | None = (await self._inspect(image)).get("Config")
        except NotFound:
            return None
        return config

    async def ensure(self, image: str, called: str = "") -> None:
        """Have it, pulling when it is not there: once, for all who want it; ``called``: by the shop.

        Raises Fatal and Retryable with the registry's words.
        """
        self._called[image] = called or image
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
            raise _missing(image, "this site pulls none (`pull`)", self._way_out(image))
        pull = self._pulling.get(image) or self._begin(image)
        pull.waiting += 1
        try:
            await asyncio.shield(pull.task)
        finally:
            pull.waiting -= 1
            if not pull.waiting:
                self._end(image, pull)

    def _begin(self, image: str) -> _Pull:
        task = asyncio.create_task(self._pull(image), name=f"zoe pull {image}")
        pull = self._pulling[image] = _Pull(task, _progress(image, 0.0))
        task.add_done_callback(lambda _: self._end(image, pull))
        self._on_progress()
        return pull

    def _end(self, image: str, pull: _Pull) -> None:
        """Let go of it; the engine gives a pull up that nobody listens to."""
        pull.task.cancel()
        if self._pulling.get(image) is pull:
            del self._pulling[image]
            self._on_progress()

    async def _pull(self, image: str) -> None:
        try:
            await asyncio.wait_for(self._follow(image), _PULL_S)
        except asyncio.TimeoutError:
            raise Retryable(f"the image {image} could not be pulled within {_PULL_S:g} s") from None
        except NotFound as missing:
            raise _missing(image, str(missing.explanation), self._way_out(image)) from missing
        except BackendError as refused:
            raise _refused(image, refused.message, self._way_out(image)) from refused

    def _way_out(self, image: str) -> str:
        return way_out(self._called.get(image, image), self._prefix)

    async def _follow(self, image: str) -> None:
        repository, tag = parse_repository_tag(image)
        query = {"fromImage": repository, "tag": tag or "latest"}
        layers: dict[str, tuple[int, int]] = {}
        headers = await self._engine.calls.do(_credentials, repository)
        async with self._engine.calls.flow("POST", "/images/create", query, headers=headers, limit_s=None) as content:
            async for item in wire.lines(content):
                if item.get("error"):
                    raise Retryable(str(item["error"]))
                self._tell(image, pull_progress(item, layers))

    def _tell(self, image: str, part: float) -> None:
        pull = self._pulling.get(image)
        if pull is not None and part - pull.told.numbers["part"] >= _STEP:
            pull.told = _progress(image, part)
            self._on_progress()


def _progress(image: str, part: float) -> Reason:
    text = f"pulling the image {image}: {part:.0%}"
    return Reason(PULLING, text, {"image": image, "part": round(part, 2)})


def _credentials(client: Any, repository: str) -> dict[str, str]:
    """What the user of Zoe has for that registry, as the ``docker`` command keeps it."""
    try:
        registry, _ = auth.resolve_repository_name(repository)
        header = auth.get_config_header(client, registry)
    except DockerException as error:
        raise Retryable(str(error)) from error
    return {"X-Registry-Auth": header if isinstance(header, str) else header.decode()} if header else {}


def digest_of(body: Mapping[str, Any], image: str) -> str:
    """``repository@sha256:...`` as the engine says it of an image, rather of the repository that was asked for; its id where no registry knows it."""
    named = body.get("RepoDigests") or [body["Id"]]
    return str(next((each for each in named if each.partition("@")[0] == _repository(image)), named[0]))


def _repository(image: str) -> str:
    name, _, tag = image.partition("@")[0].rpartition(":")
    return f"{name}:{tag}" if name and "/" in tag else name or tag


def _refused(image: str, said: str, way: str) -> Fatal | Retryable:
    if is_refusal(said):
        return _missing(image, said, way)
    text = f"the image {image} could not be pulled: {said}"
    return Retryable(f"{text}. {way}" if way else text, delay_s=5.0, reason="image_missing")


def _missing(image: str, said: str, way: str) -> Fatal:
    text = f"there is no image {image}: {said}"
    return Fatal(f"{text}. {way}" if way else text, details={"image": image}, reason="image_missing")
