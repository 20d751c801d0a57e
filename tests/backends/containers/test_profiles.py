"""A profile is the admin's: for whom it is, what of it is refused, and that it is told."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from zoe_jupyter.backends.base import ServiceOrder
from zoe_jupyter.backends.containers.profiles import Profile, checked, chosen, gifts, tell
from zoe_jupyter.backends.docker.backend import DockerBackend
from zoe_jupyter.backends.kubernetes.backend import KubernetesBackend
from zoe_jupyter.backends.kubernetes.site import PodProfile
from zoe_jupyter.engine.configured import read_options
from zoe_jupyter.model.errors import ZoeError

NFS = Profile(frameworks=("nfs",), users=("ada", "bob"), capabilities=("SYS_ADMIN",))
ALL = Profile(frameworks=("monitor", "probe"), users=("*",), has_host_network=True)


def order(framework: str, owner: str) -> ServiceOrder:
    return ServiceOrder("zoe", "e1", owner, "nfs.server-0", 1, ("true",), framework=framework)


@pytest.mark.parametrize(
    ("framework", "owner", "name"),
    [
        ("nfs", "ada", "files"),
        ("nfs", "eve", ""),
        ("nfs", "*", ""),
        ("probe", "eve", "looks"),
        ("spark", "ada", ""),
        ("", "ada", ""),
    ],
)
def test_a_profile_is_for_its_frameworks_of_its_users_only(framework: str, owner: str, name: str) -> None:
    assert chosen({"files": NFS, "looks": ALL}, order(framework, owner))[0] == name


def test_how_a_zapp_calls_a_framework_gives_it_no_profile() -> None:
    assert chosen({"files": NFS}, order("spark", "ada")) == ("", None)


@pytest.mark.parametrize("users", [("ada",), ("*",), ("eve", "bob")])
def test_no_service_has_two_profiles(users: tuple[str, ...]) -> None:
    with pytest.raises(ZoeError, match=r"the profile 'more': nfs of .* has the profile 'files' already"):
        checked({"files": NFS, "more": Profile(frameworks=("dask", "nfs"), users=users)})
    both = {"files": NFS, "more": Profile(frameworks=("nfs",), users=("eve",))}
    assert checked(both) == both


@pytest.mark.parametrize("kind", [DockerBackend, KubernetesBackend])
@pytest.mark.parametrize(
    ("profile", "told"),
    [
        ({"frameworks": ["nfs"]}, "users"),
        ({"users": ["ada"]}, "frameworks"),
        ({"frameworks": ["nfs"], "users": []}, "at least 1 item"),
        ({"frameworks": [], "users": ["ada"]}, "at least 1 item"),
        ({"frameworks": "nfs", "users": ["ada"]}, "files: frameworks: a list is wanted: ['nfs']"),
        (
            {"frameworks": ["nfs"], "users": ["ada"], "privileged": True},
            "there is no 'privileged'; did you mean is_privileged",
        ),
        ({"frameworks": ["nfs"], "users": ["ada"], "capabilities": ["sys_admin"]}, "should match pattern"),
    ],
)
def test_a_profile_that_does_not_say_for_whom_or_says_something_else_is_refused(
    kind: Any, profile: Any, told: str
) -> None:
    with pytest.raises(ZoeError, match=r"Zoe.backend_options: profiles=") as refused:
        read_options(kind, {"profiles": {"files": profile}})
    assert told in refused.value.message


def test_a_capability_is_written_as_both_backends_write_it() -> None:
    with pytest.raises(ZoeError, match=r"'files': write SYS_ADMIN, without CAP_"):
        checked({"files": Profile(frameworks=("nfs",), users=("ada",), capabilities=("CAP_SYS_ADMIN",))})


def test_what_a_profile_gives_away_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        tell({"files": NFS, "looks": ALL, "nil": Profile(frameworks=("nfs",), users=("eve",))})
    assert [record.message for record in caplog.records] == [
        'the profile files: services of nfs started by ada, bob have {"capabilities": ["SYS_ADMIN"]}',
        'the profile looks: services of monitor, probe started by everybody have {"has_host_network": true}',
        "the profile nil gives nothing",
    ]


def test_root_is_not_left_out_of_what_is_told() -> None:
    assert gifts(PodProfile(frameworks=("nfs",), users=("*",), user_id=0)) == '{"user_id": 0}'
