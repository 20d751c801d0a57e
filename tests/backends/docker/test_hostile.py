"""From a hostile container: what it may not do, and whom it does not reach."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.backends.containers import shared_memory
from tests.backends.docker.conftest import DockerWorld
from zoe_jupyter.backends.base import Address, SeenState
from zoe_jupyter.backends.docker import translate
from zoe_jupyter.model.application import Port
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.testing.backend_contract import FOREVER, SERVER, Runner

pytestmark = pytest.mark.docker

LOOK_AROUND = """
import glob, json, os, pathlib
status = dict(line.split(":\\t", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines() if ":\\t" in line)
def tried(work):
    try:
        work()
    except OSError as error:
        return error.strerror
    return "done"
print("FOUND", json.dumps({
    "uid": os.getuid(),
    "capabilities": [status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privs": status["NoNewPrivs"].strip(),
    "docker": os.path.exists("/var/run/docker.sock"),
    "others": sorted(name for name in os.listdir("/proc") if name.isdigit() and int(name) > 200),
    "disks": glob.glob("/dev/sd*") + glob.glob("/dev/vd*") + glob.glob("/dev/nvme*"),
    "setuid": tried(lambda: os.setuid(0)),
    "root": tried(lambda: open("/etc/shadow")),
    "sysctl": tried(lambda: open("/proc/sys/kernel/hostname", "w")),
    "environment": dict(os.environ),
    "namespaces": [os.readlink("/proc/self/ns/" + name) for name in ("cgroup", "ipc", "mnt", "net", "pid", "uts")],
}), flush=True)
"""
KNOCK = """
import json, socket, sys
found = {}
for address in json.loads(sys.argv[1]):
    host, port = address
    try:
        socket.create_connection((host, port), timeout=1.5).close()
        found[f"{host}:{port}"] = "open"
    except OSError as error:
        found[f"{host}:{port}"] = "closed"
print("FOUND", json.dumps(found), flush=True)
"""
BOMB = """
import subprocess, time
kept = []
try:
    for _ in range(500):
        kept.append(subprocess.Popen(["sleep", "60"]))
except OSError as error:
    print("REFUSED", len(kept), flush=True)
time.sleep(600)
"""


async def found(runner: Runner, execution_id: str, code: str, *words: str) -> Any:
    """What that code, run as a service, prints after ``FOUND``."""
    order = runner.order(execution_id, "evil.main-0", code=code)
    await runner.launch(replace(order, command=(*order.command, *words)))
    seen = await runner.ended(execution_id, "evil.main-0")
    output = (await runner.output(execution_id, "evil.main-0")).decode()
    assert "FOUND" in output, f"{seen}: {output}"
    return json.loads(output.partition("FOUND ")[2].splitlines()[0])


async def test_a_container_has_no_rights_and_sees_nothing_of_its_machine(runner: Runner) -> None:
    seen = await found(runner, "one", LOOK_AROUND)
    assert seen["uid"] == 1000
    assert {int(each, 16) for each in seen["capabilities"]} == {0}
    assert seen["no_new_privs"] == "1"
    assert not seen["docker"]
    assert not seen["others"]
    assert not seen["disks"]
    assert (seen["setuid"], seen["root"]) == ("Operation not permitted", "Permission denied")
    assert seen["sysctl"] in ("Read-only file system", "Permission denied")
    assert not [name for name in seen["environment"] if "TOKEN" in name or "SECRET" in name]
    names = [each.partition(":")[0] for each in seen["namespaces"]]
    assert not {os.readlink(f"/proc/self/ns/{name}") for name in names} & set(seen["namespaces"])


async def test_a_fork_bomb_hurts_itself_only(world: DockerWorld) -> None:
    world.options["process_limit"] = 30
    runner = Runner(world, await world.open())
    await runner.start("two")
    await runner.start("one", code=BOMB)
    await runner.said("one", "app.main-0", b"REFUSED")
    processes = {sample.execution_id: sample.processes for sample in await runner.backend.usage()}
    assert processes["one"] <= 30
    bystander = await runner.until("two", "app.main-0", SeenState.READY)
    assert bystander.reason is None
    for execution_id in ("one", "two"):
        await runner.backend.clean(execution_id, keep_logs=False)
    await world.close(runner.backend)


async def test_shared_memory_is_as_large_as_the_settings_say(world: DockerWorld) -> None:
    world.options["shm_bytes"] = shared_memory.SIZE
    runner = Runner(world, await world.open())
    await shared_memory.expect_as_asked_for(runner)
    await runner.backend.clean("one", keep_logs=False)
    await world.close(runner.backend)


@pytest.fixture
def on_the_machine() -> Iterator[int]:
    """A service of the machine itself that listens on its loopback, as Jupyter does."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: _accept(server), daemon=True).start()
        yield server.getsockname()[1]


def _accept(server: socket.socket) -> None:
    try:
        while True:
            server.accept()[0].close()
    except OSError:
        return


async def test_nobody_reaches_the_services_of_another_execution(
    runner: Runner, world: DockerWorld, engine: Any, on_the_machine: int
) -> None:
    """By container address, name, both gateways, the machine's own address, and published ports; from its own execution all is reached."""
    reserved = await runner.reserve("one", ports=("web", "inner"))
    web = reserved.ports["web"]
    ports = {"web": Port(), "inner": Port(is_published=False)}
    await runner.start("one", command=("python3", "-c", SERVER, str(web)), ports=ports, port_numbers=reserved.ports)
    await runner.start("two")
    victim = engine.inspect_container(translate.Attempt(world.deployment, "one", "app.main-0", 1).name)
    (network,) = victim["NetworkSettings"]["Networks"].values()
    outside = await runner.backend.reach("one", "app.main-0", 1, Address(reserved.host, reserved.ports))
    assert (outside.host, set(outside.ports)) == ("127.0.0.1", {"web"})
    attacker = engine.inspect_container(translate.Attempt(world.deployment, "two", "app.main-0", 1).name)
    own = next(iter(attacker["NetworkSettings"]["Networks"].values()))["Gateway"]
    machine = _machine_address()
    doors = [
        (network["IPAddress"], web), (reserved.host, web), (own, outside.ports["web"]), (network["Gateway"], outside.ports["web"]),
        (machine, outside.ports["web"]), ("127.0.0.1", outside.ports["web"]), (own, on_the_machine), (machine, on_the_machine),
    ]  # fmt: skip
    tried = await found(runner, "two", KNOCK, json.dumps(doors))
    assert set(tried.values()) == {"closed"}, tried
    assert set((await found(runner, "one", KNOCK, json.dumps(doors[:2]))).values()) == {"open"}


def _machine_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


async def test_secrets_are_files_of_the_service_and_nowhere_else(
    runner: Runner, world: DockerWorld, engine: Any
) -> None:
    secret = "hush-hush-5309"
    await runner.start("one", files={"token": secret})
    name = translate.Attempt(world.deployment, "one", "app.main-0", 1).name
    code = (
        "import os; path = '/zoe/token'; raise SystemExit(len(open(path).read()) != 14 or os.stat(path).st_mode & 0o77)"
    )
    assert await runner.backend.run("one", "app.main-0", 1, ("python3", "-c", code), environment={}, timeout_s=30) == 0
    assert secret not in json.dumps(engine.inspect_container(name))
    assert secret not in json.dumps(engine.containers(all=True))
    now = int(time.time()) + 1
    assert secret not in json.dumps(list(engine.events(since=now - 60, until=now, decode=True)))
    assert secret not in str(engine.top(name))
    assert secret.encode() not in engine.logs(name)


async def test_when_no_network_is_free_an_execution_waits_and_is_told_why(world: DockerWorld) -> None:
    world.options["network_pool"] = "10.214.7.0/27"
    runner = Runner(world, await world.open())
    for execution_id in ("one", "two"):
        await runner.start(execution_id)
    with pytest.raises(Retryable) as waiting:
        await runner.launch(runner.order("three", code=FOREVER))
    assert waiting.value.is_blameless
    assert waiting.value.reason == "no_network"
    assert "all 2 of size /28 in 10.214.7.0/27 are taken" in waiting.value.message
    await runner.backend.clean("one", keep_logs=False)
    await runner.start("three")
    for execution_id in ("two", "three"):
        await runner.backend.clean(execution_id, keep_logs=False)
    await world.close(runner.backend)


async def test_two_deployments_on_one_engine_do_not_touch_each_other(
    runner: Runner, world: DockerWorld, tmp_path: Any, engine: Any
) -> None:
    other_world = DockerWorld(tmp_path / "other")
    other = Runner(other_world, await other_world.open())
    for each in (runner, other):
        await each.start("one", code=f"print({each.world.deployment!r}, flush=True); {FOREVER}")
    for each in (runner, other):
        observation = await each.backend.observe()
        assert len(observation.services) == 1
        await each.said("one", "app.main-0", each.world.deployment.encode())
    await runner.backend.stop("one", "app.main-0", 1, grace_s=0)
    await runner.ended("one")
    await runner.backend.clean("one", keep_logs=False)
    assert (await other.until("one", "app.main-0", translate.SeenState.READY)).exit_code is None
    await other.backend.clean("one", keep_logs=False)
    await other_world.close(other.backend)
    assert not other_world.left(engine)
