"""Engines of other machines, by TLS and by SSH: their services are reached, and whoever is not to be believed is not."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import threading
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from socket import create_server
from typing import Any

import psutil
import pytest

from tests.backends.docker.authority import Authority, Pair
from tests.backends.docker.conftest import BASE, DockerWorld
from tests.backends.docker.remote_engine import RemoteEngine, lacks, remote_engine
from zoe_jupyter.backends.base import Address, Unreachable
from zoe_jupyter.backends.docker.settings import EngineSettings
from zoe_jupyter.backends.docker.tunnel import Tunnel
from zoe_jupyter.model.application import Port, Probe
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.testing.backend_contract import SERVER, Runner, eventually

pytestmark = [pytest.mark.docker, pytest.mark.slow, pytest.mark.skipif(bool(lacks()), reason=lacks())]
PAST = timedelta(days=-1)


@pytest.fixture(scope="module")
def far(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteEngine]:
    with remote_engine(tmp_path_factory.mktemp("far"), BASE, engine) as found:
        yield found


def by_tls(far: RemoteEngine, pair: Pair | None = None, *, ca: str = "") -> EngineSettings:
    pair = pair or far.authority.client("zoe")
    return EngineSettings(
        name="far", url=far.tls_url, tls_ca=ca or far.authority.ca, tls_cert=pair.cert, tls_key=pair.key,
        host=far.address, publish_on=far.address,
    )  # fmt: skip


def by_ssh(far: RemoteEngine, *, config: str = "") -> EngineSettings:
    return EngineSettings(name="far", url=far.ssh_url, ssh_config=config or far.ssh_config())


@asynccontextmanager
async def opened(world: DockerWorld, settings: EngineSettings) -> AsyncIterator[Runner]:
    world.options["engines"] = (settings,)
    runner = Runner(world, await world.open())
    try:
        yield runner
        await runner.backend.clean("one", keep_logs=False)
        assert not (await runner.backend.observe()).kept
    finally:
        await world.close(runner.backend)


async def serving(runner: Runner) -> Address:
    """Where a web server over there is reached from here, once it is ready."""
    reserved = await runner.reserve("one")
    command = ("python3", "-c", SERVER, str(reserved.ports["web"]))
    probe = Probe(http="web/")
    await runner.start("one", command=command, ports={"web": Port()}, port_numbers=reserved.ports, ready=probe)
    return await runner.backend.reach("one", "app.main-0", 1, Address(reserved.host, reserved.ports))


def answers(address: Address) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address.host}:{address.ports['web']}/", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def why_not(world: DockerWorld, settings: EngineSettings) -> str:
    """What is said of an engine that is not used."""
    world.options["engines"] = (settings,)
    backend = await world.open()
    try:
        with pytest.raises(Unreachable) as refused:
            await backend.observe()
        return str(refused.value)
    finally:
        await backend.close()


async def test_by_tls_services_run_and_are_reached_where_they_are_published(
    world: DockerWorld, far: RemoteEngine
) -> None:
    async with opened(world, by_tls(far)) as runner:
        address = await serving(runner)
        assert address.host == far.address
        assert answers(address)
        assert await runner.backend.run("one", "app.main-0", 1, ("true",), environment={}, timeout_s=20) == 0


async def test_who_has_no_certificate_of_the_site_is_let_in_by_no_engine(
    world: DockerWorld, far: RemoteEngine, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "stranger").client("zoe")
    said = await why_not(world, by_tls(far, stranger))
    assert "the engine far does not answer: it does not believe the certificate that it is shown (`tls_cert`)" in said
    expired = far.authority.client("expired", ends_in=PAST)
    assert "it does not believe the certificate that it is shown" in await why_not(world, by_tls(far, expired))


async def test_an_engine_whose_certificate_is_not_of_the_site_is_not_believed(
    world: DockerWorld, far: RemoteEngine, tmp_path: Path
) -> None:
    """Whatever the environment says of the web: ``REQUESTS_CA_BUNDLE`` and its like mean other servers."""
    other = Authority(tmp_path / "other").ca
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REQUESTS_CA_BUNDLE", far.authority.ca)
        said = await why_not(world, by_tls(far, ca=other))
    assert "its certificate is not believed (`tls_ca`): unable to get local issuer certificate" in said
    missing = await why_not(world, by_tls(far, ca=str(tmp_path / "none.pem")))
    assert "cannot be spoken to: there is no file" in missing


@pytest.fixture
def impostor(far: RemoteEngine) -> Iterator[tuple[list[Pair], int]]:
    """Somebody on our loopback who shows the last of those certificates."""
    shown: list[Pair] = []
    with create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: _shake_hands(server, shown), daemon=True).start()
        yield shown, server.getsockname()[1]


def _shake_hands(server: Any, shown: Sequence[Pair]) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown[-1].cert, shown[-1].key)
        try:
            context.wrap_socket(client, server_side=True).close()
        except OSError:
            client.close()


async def test_an_expired_certificate_and_one_of_another_host_are_not_believed(
    world: DockerWorld, far: RemoteEngine, impostor: tuple[list[Pair], int]
) -> None:
    shown, port = impostor
    settings = replace(by_tls(far), url=f"tcp://127.0.0.1:{port}")
    shown.append(far.authority.server("127.0.0.1", ends_in=PAST))
    assert "not believed (`tls_ca`): certificate has expired" in await why_not(world, settings)
    shown.append(far.authority.server("10.9.8.7"))
    assert re.search(r"not believed \(`tls_ca`\): .*127\.0\.0\.1", await why_not(world, settings))


async def test_by_ssh_what_is_published_over_there_on_the_loopback_is_brought_here(
    world: DockerWorld, far: RemoteEngine
) -> None:
    async with opened(world, by_ssh(far)) as runner:
        address = await serving(runner)
        assert address.host == "127.0.0.1"
        assert answers(address)
        assert not answers(replace(address, host=far.address)), "it is published for all"
        (ssh,) = connections(far)
        os.kill(ssh.pid, signal.SIGKILL)
        psutil.wait_procs([ssh], timeout=10)
        await eventually(lambda: _is_back(address))
        assert await runner.backend.reach("one", "app.main-0", 1, address) == address
        await runner.backend.stop("one", "app.main-0", 1, grace_s=0)
        await runner.ended("one")
        await eventually(lambda: _is_let_go(runner, address))
    await eventually(lambda: _is_quiet(far))
    await eventually(lambda: _is_empty(str(world.data_dir / "docker" / "tunnels")))


async def _is_back(address: Address) -> bool:
    return answers(address)


async def _is_let_go(runner: Runner, address: Address) -> bool:
    await runner.backend.observe()
    with pytest.raises(Retryable):
        await runner.backend.reach("one", "app.main-0", 1, address)
    try:
        create_server(("127.0.0.1", address.ports["web"])).close()
    except OSError:
        return False
    return True


async def _is_quiet(far: RemoteEngine) -> bool:
    return not connections(far)


async def _is_empty(folder: str) -> bool:
    return not os.listdir(folder)


def connections(far: RemoteEngine) -> list[psutil.Process]:
    """The programs ``ssh`` that lead there."""
    return [
        each for each in psutil.process_iter(["name", "cmdline"])
        if each.info["name"] == "ssh" and any(str(far.folder) in word for word in each.info["cmdline"] or ())
        and each.status() != psutil.STATUS_ZOMBIE
    ]  # fmt: skip


async def test_who_may_not_in_by_ssh_is_told_in_its_words(world: DockerWorld, far: RemoteEngine) -> None:
    stranger = far.ssh_config(key="other")
    assert "Permission denied (publickey)" in await why_not(world, by_ssh(far, config=stranger))
    unknown = far.ssh_config(known="unknown")
    assert "Host key verification failed" in await why_not(world, by_ssh(far, config=unknown))
    nowhere = replace(by_ssh(far), url="ssh://far/run/no-engine.sock")
    assert re.search(r"ssh says: .*open failed: connect failed", await why_not(world, nowhere))
    await eventually(lambda: _is_quiet(far))


def test_the_next_core_ends_the_connection_of_one_that_was_killed(far: RemoteEngine, tmp_path: Path) -> None:
    link = tmp_path / "tunnels" / "far"
    killed = Tunnel(by_ssh(far), link)
    before = killed.open()
    (left,) = connections(far)
    tunnel = Tunnel(by_ssh(far), link)
    after = tunnel.open()
    try:
        assert after != before
        assert not Path(before.removeprefix("unix://")).parent.exists()
        psutil.wait_procs([left], timeout=10)
        assert [each.pid for each in connections(far)] != [left.pid]
        assert len(connections(far)) == 1
        version = subprocess.run(["docker", "-H", after, "version"], capture_output=True, timeout=60, check=False)
        assert version.returncode == 0, version.stderr
    finally:
        tunnel.close()
        killed.close()
    assert not connections(far)
