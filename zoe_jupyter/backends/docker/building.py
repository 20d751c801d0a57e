"""Builds the image of a framework on this machine's engine, and labels it with what is in it."""

from __future__ import annotations

import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from zoe_jupyter.backends.containers.images import CONTENT_LABEL
from zoe_jupyter.backends.containers.places import PYTHON
from zoe_jupyter.backends.docker import ways
from zoe_jupyter.model.errors import Fatal, ZoeError

_LEFT_OUT = ("image", "README.md", "logo.svg", "__pycache__")
_PROVIDE = "/opt/zoe/image/provide.py"
_STEP_S = 1800
_OF_REGISTRY = ("registry", "/v2/", "dial tcp", "no such host", "pull access denied", "manifest")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of."""

    tag: str
    folder: Path
    """The framework's."""
    requirements: tuple[str, ...] = ()
    base: str = ""
    """Empty: the Dockerfile's own."""
    index_url: str = ""
    network: str = ""


def build(recipe: Recipe, say: Callable[[str], None]) -> Mapping[str, Any]:
    """Make the image; what is in it. ``say`` hears the builder's own words. Raises ZoeError with the last of them."""
    with _engine() as client:
        arguments = {"BASE": recipe.base, "PIP_INDEX_URL": recipe.index_url}
        draft = f"{recipe.tag}-draft"
        _build(
            client, context(recipe), draft, say, network=recipe.network,
            arguments={name: value for name, value in arguments.items() if value},
        )  # fmt: skip
        found = _describe(client, draft)
        label = json.dumps(json.dumps(found, sort_keys=True))
        _build(
            client, _packed({"Dockerfile": f"FROM {draft}\nLABEL {CONTENT_LABEL}={label}\n".encode()}), recipe.tag, say
        )
        client.remove_image(draft, noprune=True)
        return found


def context(recipe: Recipe) -> bytes:
    """What the builder gets: the Dockerfile with what lies beside it, the framework's folder, and what every image needs."""
    dockerfile = recipe.folder / "image" / "Dockerfile"
    if not dockerfile.is_file():
        raise ZoeError(f"{recipe.folder.name} has no image/Dockerfile")
    content = {
        "zoe/provide.py": files(__package__).joinpath("provide.py").read_bytes(),
        "zoe/requirements.txt": "".join(f"{line}\n" for line in recipe.requirements).encode(),
    }
    programs: set[str] = set()
    for path in _files(recipe.folder):
        inside = path.relative_to(recipe.folder)
        if inside.parts[0] == "image":
            content["/".join(inside.parts[1:])] = path.read_bytes()
        elif not set(inside.parts) & set(_LEFT_OUT):
            content[f"framework/{inside}"] = path.read_bytes()
        if path.stat().st_mode & 0o100:
            programs.add(f"framework/{inside}")
    return _packed(content, programs)


def _files(folder: Path) -> Iterator[Path]:
    """All that lie in it; raises ZoeError for a link to elsewhere: whoever wrote the framework must not have files of this machine packed."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() and not path.resolve().is_relative_to(folder.resolve()):
            raise ZoeError(f"{path} is a link that leads out of {folder}; nothing is built with it")
        if path.is_file():
            yield path


def _packed(content: Mapping[str, bytes], programs: set[str] | frozenset[str] = frozenset()) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in content.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            entry.mode = 0o755 if name in programs else 0o644
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def _build(
    client: Any,
    packed: bytes,
    tag: str,
    say: Callable[[str], None],
    *,
    arguments: Mapping[str, str] | None = None,
    network: str = "",
) -> None:
    lines = client.build(
        fileobj=io.BytesIO(packed), custom_context=True, tag=tag, rm=True, forcerm=True, decode=True,
        buildargs=dict(arguments or {}), network_mode=network or None,
    )  # fmt: skip
    said: list[str] = []
    for line in lines:
        if text := str(line.get("stream") or line.get("error") or "").rstrip():
            said.append(text)
            say(text)
        if line.get("error"):
            told = " ".join(said[-4:])
            raise Fatal(f"the image {tag} could not be built: {told}{_other_base(told)}", reason="image_missing")


def _describe(client: Any, image: str) -> dict[str, Any]:
    made = client.create_container(image, command=[_PROVIDE, "--describe"], entrypoint=[PYTHON])
    try:
        client.start(made["Id"])
        client.wait(made["Id"], timeout=_STEP_S)
        found: dict[str, Any] = json.loads(client.logs(made["Id"], stdout=True, stderr=False))
        return found
    except ValueError as error:
        raise Fatal(f"the image {image} does not say what is in it: {error}") from error
    finally:
        client.remove_container(made["Id"], force=True)


def _other_base(said: str) -> str:
    """The way out, where no registry gives the base."""
    is_of_registry = any(word in said.lower() for word in _OF_REGISTRY)
    return "; where the base cannot be fetched, name one that is there with `--base`" if is_of_registry else ""


@contextmanager
def _engine() -> Iterator[Any]:
    """The one that ``DOCKER_HOST`` names, else this machine's."""
    try:
        client = docker.from_env(timeout=_STEP_S).api
    except DockerException as error:
        why = ways.why(error, os.environ.get("DOCKER_HOST") or ways.OWN)
        way = "" if why.startswith("Permission denied") else ". Start one, or set DOCKER_HOST"
        raise ZoeError(f"no Docker Engine answers: {why}{way}") from error
    try:
        yield client
    except ImageNotFound as error:
        raise ZoeError(f"the base is not there: {error.explanation}; name another with `--base`") from error
    except APIError as error:
        raise ZoeError(f"the engine refused: {error.explanation}{_other_base(str(error.explanation))}") from error
    finally:
        client.close()
