"""What a profile of the admin's lets a service of its framework do, and no other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.backends.docker.conftest import DockerWorld
from tests.backends.docker.test_hostile import LOOK_AROUND
from tests.backends.docker.test_translate import ATTEMPT, LABELS, ORDER, body, config
from zoe_jupyter.backends.base import Address
from zoe_jupyter.backends.docker import DockerBackend, translate
from zoe_jupyter.backends.docker.settings import ContainerSettings, DockerProfile, FolderSettings
from zoe_jupyter.model.application import Port, Probe
from zoe_jupyter.model.errors import Retryable, ZoeError
from zoe_jupyter.testing.backend_contract import OWNER, SERVER, Runner

WIDE = DockerProfile(
    frameworks=("redis",),
    users=("ada",),
    is_privileged=True,
    gains_privileges=True,
    capabilities=("SYS_ADMIN",),
    user="0:0",
    folders=(FolderSettings("/srv/x", "/x", is_writable=True),),
)
HOLDER = translate.Holder(True, 1.0, "a", frozenset())
SYS_ADMIN, SYS_NICE = 1 << 21, 1 << 23


def test_a_profile_widens_what_it_names_for_its_framework_and_nothing_else() -> None:
    site = ContainerSettings(capabilities=("KILL",), folders=(FolderSettings("/srv", "/srv"),), profiles={"db": WIDE})
    wide = site.under(replace(ORDER, framework="redis"))
    assert site.under(ORDER) is site
    assert site.under(replace(ORDER, framework="redis", owner="eve")) is site
    assert wide.folders == (*site.folders, *WIDE.folders)
    expected = config(site)
    expected["User"] = "0:0"
    expected["Labels"] = {**LABELS, "jupyter.zoe.profile": "db"}
    expected["HostConfig"] |= {"Privileged": True, "CapAdd": ["KILL", "SYS_ADMIN"], "SecurityOpt": []}
    assert config(wide) == expected


def test_a_service_on_the_network_of_its_machine_publishes_nothing_and_is_reached_there() -> None:
    profile = DockerProfile(frameworks=("redis",), users=("*",), has_host_network=True)
    made = config(ContainerSettings(profiles={"near": profile}).under(replace(ORDER, framework="redis")))
    expected = config()
    expected["Labels"] = {**LABELS, "jupyter.zoe.profile": "near"}
    expected["HostConfig"] |= {
        "NetworkMode": "host",
        "ExtraHosts": [f"{ATTEMPT.host}:127.0.0.1"],
        "PortBindings": {},
    }
    expected |= {"ExposedPorts": {}, "NetworkingConfig": {"EndpointsConfig": {}}}
    assert made == expected
    told = body()
    told["HostConfig"]["NetworkMode"] = "host"
    told["NetworkSettings"] = {"Networks": {"host": {"IPAddress": ""}}, "Ports": {}}
    found = translate.container(told)
    assert (found.address, found.published) == ("127.0.0.1", found.ports)


def test_of_two_with_the_same_port_of_a_machine_the_later_gives_way() -> None:
    first, other = (
        replace(made, ports=frozenset(ports))
        for made, ports in ((HOLDER, (20000, 20001)), (replace(HOLDER, made_at=2.0, id="b"), (20001,)))
    )
    assert first.comes_before(other)
    assert not other.comes_before(first)
    assert not first.comes_before(replace(other, ports=frozenset((20002,))))


def test_a_profile_gives_no_folder_that_would_be_the_machine(tmp_path: Path) -> None:
    profile = replace(WIDE, folders=(FolderSettings("/var/run/docker.sock", "/x"),))
    with pytest.raises(ZoeError, match=r"the folder '/var/run/docker.sock': .*services would have the machine"):
        DockerBackend(deployment="zoe", data_dir=tmp_path, profiles={"db": profile})


def test_a_place_that_two_folders_want_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """Each launch would fail."""
    one, other = FolderSettings("/srv/x", "/x"), FolderSettings("/srv/y", "/x/")
    with pytest.raises(ZoeError, match="the folder '/srv/x': services have another one at /x, too"):
        DockerBackend(
            deployment="zoe", data_dir=tmp_path, folders=[one], profiles={"db": replace(WIDE, folders=(other,))}
        )
    with pytest.raises(ZoeError, match="services have another one at /x, too"):
        DockerBackend(deployment="zoe", data_dir=tmp_path, folders=[one, other])
    made = DockerBackend(deployment="zoe", data_dir=tmp_path, folders=[replace(one, at="")], profiles={"db": WIDE})
    assert [each.at for each in made._settings.profiles["db"].folders] == ["/x"]


async def looked_around(runner: Runner, service: str, framework: str) -> Any:
    await runner.launch(runner.order("one", service, code=LOOK_AROUND, framework=framework))
    await runner.ended("one", service)
    output = (await runner.output("one", service)).decode()
    return json.loads(output.partition("FOUND ")[2].splitlines()[0])


@pytest.mark.docker
async def test_a_service_has_the_capability_of_its_profile_and_its_neighbour_has_not(world: DockerWorld) -> None:
    world.options["profiles"] = {
        "quick": DockerProfile(frameworks=("engine",), users=(OWNER,), capabilities=("SYS_NICE",), user="0:0"),
        "much": DockerProfile(
            frameworks=("machine",), users=("*",), user="0:0", capabilities=("SYS_ADMIN",), gains_privileges=True
        ),
    }
    runner = Runner(world, await world.open())
    wide = await looked_around(runner, "renamed.main-0", "engine")
    plain = await looked_around(runner, "engine.main-0", "other")
    much = await looked_around(runner, "much.main-0", "machine")
    assert (wide["uid"], int(wide["capabilities"][2], 16), wide["no_new_privs"]) == (0, SYS_NICE, "1")
    assert (int(much["capabilities"][2], 16), much["no_new_privs"]) == (SYS_ADMIN, "0")
    assert (plain["uid"], {int(each, 16) for each in plain["capabilities"]}) == (1000, {0})
    await runner.backend.clean("one", keep_logs=False)
    await world.close(runner.backend)


@pytest.mark.docker
async def test_a_service_on_the_network_of_its_machine_gets_ready_and_is_reached(world: DockerWorld) -> None:
    world.options["profiles"] = {"near": DockerProfile(frameworks=("engine",), users=("*",), has_host_network=True)}
    runner = Runner(world, await world.open())
    number = 23_917
    seen = await runner.start(
        "one",
        command=("python3", "-c", SERVER, str(number)),
        framework="engine",
        ports={"web": Port()},
        port_numbers={"web": number},
        ready=Probe(tcp="web"),
    )
    inside = Address(seen.host, seen.ports)
    assert await runner.backend.reach("one", seen.service, 1, inside) == Address("127.0.0.1", {"web": number})
    with pytest.raises(Retryable, match=f"has the port {number}; it waits") as waiting:
        await runner.start("two", framework="engine", ports={"web": Port()}, port_numbers={"web": number})
    assert waiting.value.is_blameless
    await runner.start("two", framework="other", ports={"web": Port()}, port_numbers={"web": number})
    await runner.backend.clean("two", keep_logs=False)
    await runner.backend.clean("one", keep_logs=False)
    await world.close(runner.backend)
