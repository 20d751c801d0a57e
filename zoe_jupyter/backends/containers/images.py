"""Which image a service runs, and what an image says about itself."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from zoe_jupyter.backends.base import Environment
from zoe_jupyter.backends.containers.places import JAVA, PYTHON
from zoe_jupyter.model import application
from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.model.images import OWN_PREFIX

logger = logging.getLogger(__name__)

LONGEST_NAME = 80
CONTENT_LABEL = "jupyter.zoe.content"
"""Label of an image: what is in it, as JSON of ``Content``'s fields."""

_PREFIX = re.compile(r"(?!.*//)[A-Za-z0-9._:/\[\]-]*")
_REFUSALS = ("not found", "manifest unknown", "does not exist", "denied", "unauthorized", "invalid reference")


@dataclass(frozen=True, slots=True)
class Content:
    """What ``jupyter zoe image build`` found in an image that it made; empty where an image says nothing."""

    python_version: str = ""
    java_version: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)


def resolve(image: str, prefix: str) -> str:
    """The name to ask the platform for: ``zoe/spark:4`` with the site's prefix instead of ``zoe/``; any other name stays."""
    return f"{prefix}{image.removeprefix(OWN_PREFIX)}" if image.startswith(OWN_PREFIX) else image


def known_prefix(prefix: str) -> str:
    """Tells of one that runs into the names. Raises ZoeError for what no name of an image can begin with."""
    if not _PREFIX.fullmatch(prefix):
        raise ZoeError(
            f"the setting Zoe.backend_options: image_prefix={prefix!r}: names of images cannot begin so; write registry.example.org/zoe/"
        )
    if prefix and prefix[-1] not in "/-_.":
        logger.warning(
            "image_prefix=%r does not end with /: %sspark:4 is %s",
            prefix,
            OWN_PREFIX,
            resolve(f"{OWN_PREFIX}spark:4", prefix),
        )
    return prefix


def way_out(image: str, prefix: str) -> str:
    """Of what the shop names so and only the site itself can make; of others nothing."""
    if not image.startswith(OWN_PREFIX):
        return ""
    build = f"`jupyter zoe image build {image.removeprefix(OWN_PREFIX).partition(':')[0][:LONGEST_NAME]}`"
    if prefix == OWN_PREFIX:
        return f"Build it with {build}, or set `image_prefix` to where it is"
    return f"`image_prefix` is {prefix!r}: set it to where the images are; {build} makes one named {OWN_PREFIX}..., or as its `--prefix` says"


def is_refusal(said: str) -> bool:
    """Whether a registry, in these words of whoever asked it, has no such image, or not for us: asking again is in vain."""
    return any(word in said.lower() for word in _REFUSALS)


def read_content(labels: Mapping[str, str] | None) -> Content:
    """What an image's labels say; nothing where they cannot be read."""
    try:
        body = json.loads((labels or {}).get(CONTENT_LABEL, "{}"))
        packages = {_plain(str(name)): str(version) for name, version in dict(body.get("packages", {})).items()}
        return Content(str(body.get("python_version", "")), str(body.get("java_version", "")), packages)
    except (ValueError, AttributeError, TypeError):
        return Content()


def environment_of(contents: Mapping[str, Content], requires: application.Requirement) -> Environment:
    """What the images of an execution (by name) offer together, and what a requirement lacks in those that say what they have."""
    told = {image: content for image, content in contents.items() if content != Content()}
    packages = {name: version for content in told.values() for name, version in content.packages.items()}
    first = next(iter(told.values()), Content())
    wanted = {_plain(parsed.name): parsed for text in requires.python if (parsed := _requirement(text)) is not None}
    return Environment(
        python=PYTHON,
        python_version=first.python_version,
        java=JAVA,
        java_version=next((content.java_version for content in told.values() if content.java_version), ""),
        packages={name: packages[name] for name in wanted if name in packages},
        problems=tuple(_problems(told, packages, wanted.values(), requires.java)),
    )


def _problems(
    told: Mapping[str, Content], packages: Mapping[str, str], wanted: Iterable[Requirement], java: str
) -> Iterable[str]:
    if not told:
        return
    images = ", ".join(told)
    for requirement in wanted:
        version = packages.get(_plain(requirement.name))
        if version is None:
            yield f"the image {images} has no {requirement.name}; build it anew with `jupyter zoe image build`"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"the image {images} has {requirement.name} {version}, but {requirement} is needed; build it anew"
    versions = [content.java_version for content in told.values() if content.java_version]
    if java and versions and not _fits(java, versions[0]):
        yield f"the image {images} has Java {versions[0]}, but {java} is needed; build it anew"


def _fits(wanted: str, version: str) -> bool:
    try:
        return Version(re.split(r"[^0-9.]", version)[0]) in SpecifierSet(wanted)
    except (InvalidSpecifier, InvalidVersion):
        return True


def _requirement(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
