"""What an admin has settled for all pods of this deployment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from ipaddress import ip_network
from pathlib import PurePosixPath
from typing import Any, ClassVar

from zoe_jupyter.backends.base import ServiceOrder
from zoe_jupyter.backends.containers import profiles
from zoe_jupyter.backends.containers.names import name_of
from zoe_jupyter.backends.containers.places import USER, is_free, plain
from zoe_jupyter.backends.containers.profiles import Profile
from zoe_jupyter.backends.options import AnyUserId
from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.model.images import OWN_PREFIX

GPU = "nvidia.com/gpu"
STRICT = {"extra": "forbid"}
"""A misspelt name is refused."""
_TOLERATION = ("key", "operator", "value", "effect", "tolerationSeconds")
USER_PART = "{user}"
_SYSTEM = ("proc", "sys", "dev", "run", "etc", "root", "boot", "usr", "bin", "sbin", "lib", "lib64", "opt/cni")
_STATE = (
    "run",
    "log",
    *(f"lib/{name}" for name in ("kubelet", "containerd", "docker", "crio", "containers", "etcd", "rancher")),
)
_NODE = (*(f"/{name}" for name in _SYSTEM), *(f"/var/{name}" for name in _STATE))
"""Whoever has these has the node, or everybody's services."""
_PER_USER = re.compile(r"[a-z][a-z0-9-]{0,9}-\{user\}")


class Placement(str, Enum):
    """Who chooses the node of a pod."""

    ZOE = "zoe"
    """Zoe; a pod goes to that node or nowhere."""
    CLUSTER = "cluster"
    """The cluster's scheduler; Zoe knows one node that stands for all, and how much is in it."""


class Reaching(str, Enum):
    """How the core, and the notebooks that it serves, reach a pod."""

    AUTO = "auto"
    """``pod`` where the core itself is a pod, else ``forward``."""
    POD = "pod"
    """By the pod's address: where those are routed."""
    FORWARD = "forward"
    """By ports of the core's machine on 127.0.0.1, through the API server."""


class CpuLimit(str, Enum):
    SHARES = "shares"
    """What is free may be used; under pressure each gets what it asked for."""
    QUOTA = "quota"
    """Never more than was asked for."""


class Isolation(str, Enum):
    """Whether the cluster's network keeps others out, as NetworkPolicies say."""

    AUTO = "auto"
    """Found out by trying it."""
    ENFORCED = "enforced"
    DECLARED = "declared"
    """They are stored; that anybody obeys them was not seen."""


@dataclass(frozen=True)
class Volume:
    """A PersistentVolumeClaim of the namespace that every service sees."""

    __pydantic_config__: ClassVar[Any] = STRICT
    claim: str
    at: str
    is_writable: bool = False


@dataclass(frozen=True)
class NodeFolder:
    """A folder of a service's node, which must be there."""

    __pydantic_config__: ClassVar[Any] = STRICT
    path: str
    at: str = ""
    """Where services see it; empty: at the same place."""
    is_writable: bool = False


@dataclass(frozen=True, kw_only=True)
class PodProfile(Profile):
    """Also who services of some frameworks are, and what more they see."""

    user_id: AnyUserId | None = None
    volumes: tuple[Volume, ...] = ()
    folders: tuple[NodeFolder, ...] = ()


@dataclass(frozen=True)
class Caller:
    """Pods of others that may reach the pods of executions: those of a namespace that have all these labels."""

    __pydantic_config__: ClassVar[Any] = STRICT
    namespace: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Site:
    deployment: str
    namespace: str = "default"
    """With ``{user}`` in it, each user has one."""
    image_prefix: str = OWN_PREFIX
    """Stands for ``zoe/`` in the names of images."""
    cluster_domain: str = "cluster.local"
    user_id: int = USER
    group_id: int | None = None
    """Whose files on volumes are; of all services the same, for the kubelet gives a volume to the group of each pod that it starts. None: the user's."""
    """User and group that everything runs as."""
    pull_policy: str = "IfNotPresent"
    pull_secrets: tuple[str, ...] = ()
    priority_class: str = ""
    runtime_class: str = ""
    service_account: str = ""
    has_user_namespaces: bool = False
    """Whether pods get user namespaces of their own; needs Kubernetes 1.33 and a kernel and runtime that can."""
    placement: Placement = Placement.ZOE
    cpu: CpuLimit = CpuLimit.SHARES
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    gpu_resource: str = GPU
    """What the cluster calls a GPU."""
    shared_memory_bytes: int = 0
    """0: what the container runtime gives, usually 64 MiB."""
    lost_after_s: float = 60.0
    labels: Mapping[str, str] = field(default_factory=dict)
    """More labels for each pod, such as ``kueue.x-k8s.io/queue-name``."""
    volumes: tuple[Volume, ...] = ()
    callers: tuple[str | Caller, ...] = ()
    """Networks (CIDR), or pods, from which pods may be reached, besides those of their own execution; the core's."""
    profiles: Mapping[str, PodProfile] = field(default_factory=dict)
    profile: str = ""
    """The one under which this is."""
    is_privileged: bool = False
    has_host_network: bool = False
    gains_privileges: bool = False
    capabilities: tuple[str, ...] = ()
    folders: tuple[NodeFolder, ...] = ()

    def of(self, owner: str) -> Site:
        """The same as it is for one user: the namespace is theirs where each has one."""
        return replace(self, namespace=self.namespace.replace(USER_PART, name_of(owner))) if self.is_per_user else self

    def under(self, order: ServiceOrder) -> Site:
        """The same as it is for one service: wider where a profile says so."""
        name, profile = profiles.chosen(self.profiles, order)
        if profile is None:
            return self
        return replace(
            self, profile=name, is_privileged=profile.is_privileged, has_host_network=profile.has_host_network,
            gains_privileges=profile.gains_privileges, capabilities=profile.capabilities, folders=profile.folders,
            group_id=self.user_id, user_id=self.user_id if profile.user_id is None else profile.user_id, volumes=(*self.volumes, *profile.volumes),
        )  # fmt: skip

    @property
    def watched_namespace(self) -> str:
        """Empty: all of them."""
        return "" if self.is_per_user else self.namespace

    @property
    def is_per_user(self) -> bool:
        return USER_PART in self.namespace

    @property
    def manager(self) -> str:
        """As whom this deployment changes objects."""
        return f"zoe-{self.deployment}"


def named(namespace: str) -> str:
    """Raises ZoeError where a user could have another's namespace, or one of the cluster's own."""
    if "{" in namespace and (not _PER_USER.fullmatch(namespace) or namespace.startswith("kube-")):
        raise ZoeError(
            f"the setting Zoe.backend_options: the namespace {namespace!r}: {USER_PART} stands at its end, after a beginning of your own"
            " such as zoe-"
        )
    return namespace


def checked(volumes: Sequence[Volume]) -> tuple[Volume, ...]:
    """Raises ZoeError for one that would be where Zoe or the system has something."""
    for volume in volumes:
        if not is_free(volume.at):
            raise ZoeError(
                f"the setting Zoe.backend_options: the volume {volume.claim!r}: services cannot have it at {volume.at!r}"
            )
    _refuse_twice(each.at for each in volumes)
    return tuple(volumes)


def _refuse_twice(places: Iterable[str]) -> None:
    """Raises ZoeError: Kubernetes would refuse each pod."""
    for place, count in Counter(map(plain, places)).items():
        if count > 1:
            raise ZoeError(f"the setting Zoe.backend_options: two volumes or folders would be at {str(place)!r}")


def widened(given: Mapping[str, PodProfile] | None, volumes: Sequence[Volume]) -> dict[str, PodProfile]:
    """Raises ZoeError for a profile that is none, with a folder that would be the node itself, or at a place of a volume that all have."""
    found = profiles.checked(given or {})
    for name, profile in found.items():
        checked(profile.volumes)
        folders = (each.at or each.path for each in profile.folders)
        _refuse_twice([*(each.at for each in (*volumes, *profile.volumes)), *folders])
        for folder in profile.folders:
            if not is_free(folder.at or folder.path) or not _is_data(folder.path):
                raise ZoeError(
                    f"the setting Zoe.backend_options: the profile {name!r}: services cannot have the folder {folder.path!r}"
                )
    return found


def _is_data(path: str) -> bool:
    """Whether a node's folder neither is in the node's own, nor has them inside, as far as its name tells."""
    wanted = plain(path)
    closed = [wanted.is_relative_to(each) or PurePosixPath(each).is_relative_to(wanted) for each in _NODE]
    return wanted.is_absolute() and ".." not in wanted.parts and not any(closed)


def tolerated(tolerations: Sequence[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Raises ZoeError for one that Kubernetes would not read."""
    for each in tolerations:
        refuse_unknown("tolerations", each, _TOLERATION)
    return tuple(tolerations)


def refuse_unknown(option: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises ZoeError for a name that the option does not have."""
    for name in given:
        if name not in known:
            raise ZoeError(
                f"the setting Zoe.backend_options: {option}: there is no {name!r}; there is {', '.join(known)}"
            )


def admitted(callers: Sequence[str | Caller]) -> tuple[str | Caller, ...]:
    """Raises ZoeError for one that is no network, or would be all pods of a namespace: those of executions may be among them."""
    for each in callers:
        if isinstance(each, Caller) and not each.labels:
            raise ZoeError(
                f"the setting Zoe.backend_options: callers of the namespace {each.namespace!r} need labels that others lack"
            )
    return tuple(_network(each) if isinstance(each, str) else each for each in callers)


def _network(text: str) -> str:
    try:
        return str(ip_network(text, strict=False))
    except ValueError as error:
        raise ZoeError(f"the setting Zoe.backend_options: callers: {error}") from None
