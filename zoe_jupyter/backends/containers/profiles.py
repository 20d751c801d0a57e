"""What an admin lets the services of some frameworks do beyond all others. No description, no parameter and no user chooses a profile."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import Field

from zoe_jupyter.backends.base import ServiceOrder
from zoe_jupyter.model.errors import ZoeError

logger = logging.getLogger(__name__)

EVERYBODY = "*"
Capability = Annotated[str, Field(pattern=r"^[A-Z][A-Z_]{0,60}$")]
_Named = Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)]
_WHOSE = ("frameworks", "users")


@dataclass(frozen=True, kw_only=True)
class Profile:
    """What one profile widens, and for whom."""

    __pydantic_config__: ClassVar[Any] = {"extra": "forbid"}
    frameworks: _Named
    """By their names in the shop, which only the admin fills; how a ZApp calls them counts for nothing."""
    users: _Named
    """Whose executions; ``*`` is everybody, and nobody is assumed."""
    is_privileged: bool = False
    """Root of a service is then root of the machine."""
    has_host_network: bool = False
    """The machine's own network instead of the execution's."""
    gains_privileges: bool = False
    """Whether its programs may gain rights (``setuid``, capabilities of files)."""
    capabilities: tuple[Capability, ...] = ()
    """Linux's, without ``CAP_``. A program that is not root has them only where it ``gains_privileges``, too."""


P = TypeVar("P", bound=Profile)


def checked(profiles: Mapping[str, P]) -> dict[str, P]:
    """Raises ZoeError where two could mean the same service, or a capability is called as Linux itself calls it."""
    owners: dict[tuple[str, str], str] = {}
    for name, profile in profiles.items():
        for framework in profile.frameworks:
            for user in profile.users:
                _refuse_second(framework, user, name, owners)
                owners[framework, user] = name
        for capability in profile.capabilities:
            if capability.startswith("CAP_"):
                raise _wrong(name, f"write {capability.removeprefix('CAP_')}, without CAP_")
    return dict(profiles)


def chosen(profiles: Mapping[str, P], order: ServiceOrder) -> tuple[str, P | None]:
    """The one profile of a service with its name; nearly all have none."""
    for name, profile in profiles.items():
        if order.framework in profile.frameworks and not {EVERYBODY, order.owner}.isdisjoint(profile.users):
            return name, profile
    return "", None


def tell(profiles: Mapping[str, Profile]) -> None:
    """Warn what each gives away."""
    for name, profile in profiles.items():
        if gifts(profile) == "{}":
            logger.warning("the profile %s gives nothing", name)
            continue
        whose = "everybody" if EVERYBODY in profile.users else ", ".join(profile.users)
        logger.warning(
            "the profile %s: services of %s started by %s have %s",
            name,
            ", ".join(profile.frameworks),
            whose,
            gifts(profile),
        )


def gifts(profile: Profile) -> str:
    """All that it widens, as it stands in the settings."""
    given = {name: value for name, value in asdict(profile).items() if name not in _WHOSE}
    return json.dumps({name: value for name, value in given.items() if value or type(value) is int})


def _refuse_second(framework: str, user: str, name: str, owners: Mapping[tuple[str, str], str]) -> None:
    for (other_framework, other_user), other in owners.items():
        if other != name and other_framework == framework and (user == other_user or EVERYBODY in (user, other_user)):
            raise _wrong(name, f"{framework} of {user} has the profile {other!r} already")


def _wrong(name: str, why: str) -> ZoeError:
    return ZoeError(f"the setting Zoe.backend_options: the profile {name!r}: {why}")
