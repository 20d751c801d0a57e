"""What an admin may say about engines and containers. A description or its parameters can change nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from zoe_jupyter.backends.base import ServiceOrder
from zoe_jupyter.backends.containers.places import USER
from zoe_jupyter.backends.containers.profiles import Profile, chosen

LOOPBACK = "127.0.0.1"
STRICT = {"extra": "forbid"}
"""A misspelt name is refused."""
NUMBERS = r"^\d{1,10}(:\d{1,10})?$"
"""Of a user, and of a group: names mean something else in each image, and none means root."""


@dataclass(frozen=True)
class EngineSettings:
    """One Docker Engine: a node."""

    __pydantic_config__: ClassVar[Any] = STRICT
    name: Annotated[str, Field(pattern=r"^[^\s/]{1,63}$")] = "docker"
    """Its identity, also of what runs there: what an engine says of itself may be another's, too."""
    url: str = ""
    """``unix:///path``, ``tcp://host:2376`` or ``ssh://user@host``; empty: ``DOCKER_HOST``, else this machine's."""
    tls_ca: str = ""
    tls_cert: str = ""
    tls_key: str = ""
    """Files, for ``tcp``: the engine is believed and believes by these."""
    ssh_config: str = ""
    """A file of settings for the program ``ssh``; empty: the user's own."""
    labels: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    """Where published ports are reached from Zoe's machine; empty: on its loopback, from an engine by ``ssh`` through that."""
    publish_on: str = LOOPBACK
    """The engine's own address on which they are published."""
    probes: Literal["", "direct", "exec"] = ""
    """Whether readiness is asked at containers' addresses or by commands inside; empty: direct where the engine is this machine's."""
    gpus: Annotated[int, Field(ge=0)] = 0


@dataclass(frozen=True)
class FolderSettings:
    """A folder of an engine's machine that every service sees."""

    __pydantic_config__: ClassVar[Any] = STRICT
    path: str
    at: str = ""
    """Where services see it; empty: at the same place."""
    is_writable: bool = False
    """Also for services of others; by the number of ``user``."""


@dataclass(frozen=True, kw_only=True)
class DockerProfile(Profile):
    """Also who services of some frameworks are, and which more of the machine's folders they see."""

    user: Annotated[str, Field(pattern=rf"^$|{NUMBERS}")] = ""
    """Empty: as all others."""
    folders: tuple[FolderSettings, ...] = ()


@dataclass(frozen=True)
class ContainerSettings:
    """What every container gets."""

    deployment: str = "zoe"
    image_prefix: str = "zoe/"
    user: str = f"{USER}:{USER}"
    process_limit: int = 4096
    shm_bytes: int = 256 * 1024**2
    log_limit_bytes: int = 10_000_000
    log_files: int = 3
    limits_cpu: bool = False
    """Whether a service is held to the cores that it asked for; else they are shares of what is free."""
    shares_cpu: bool = True
    """With ``limits_cpu``: whether it also gets its part of the cores that nobody asked for."""
    capabilities: tuple[str, ...] = ()
    pull: Literal["missing", "never"] = "missing"
    mtu: int = 0
    folders: tuple[FolderSettings, ...] = ()
    data_dir: Path = Path()
    """Zoe's own, which no service may see."""
    profiles: Mapping[str, DockerProfile] = field(default_factory=dict)
    profile: str = ""
    """The one under which these settings are."""
    is_privileged: bool = False
    has_host_network: bool = False
    gains_privileges: bool = False

    def under(self, order: ServiceOrder) -> ContainerSettings:
        """The same as it is for one service: wider where a profile says so."""
        name, profile = chosen(self.profiles, order)
        if profile is None:
            return self
        return replace(
            self, profile=name, is_privileged=profile.is_privileged, has_host_network=profile.has_host_network,
            gains_privileges=profile.gains_privileges, capabilities=(*self.capabilities, *profile.capabilities),
            user=profile.user or self.user, folders=(*self.folders, *profile.folders),
        )  # fmt: skip
