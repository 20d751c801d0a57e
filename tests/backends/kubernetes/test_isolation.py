"""Whether the network keeps others out is tried, kept for a day, and told by what the backend says of itself."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import cluster
from tests.backends.kubernetes import enforcing
from tests.backends.kubernetes.conftest import KINDS, KubernetesWorld
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.kubernetes import names, probing
from zoe_jupyter.backends.kubernetes.probing import Prober
from zoe_jupyter.backends.kubernetes.site import Isolation, Site
from zoe_jupyter.testing.backend_contract import Runner

SITE = Site(deployment="lab", namespace="zoe")
WHO = Attempt("lab", "x1", "app.main-0", 1)
READY = {
    "metadata": {},
    "status": {"phase": "Running", "conditions": [], "containerStatuses": [{"state": {"running": {}}}]},
}
WAITING = {**READY, "status": {**READY["status"], "containerStatuses": [{"state": {"waiting": {}}}]}}
FOUND_S = 180.0


@contextmanager
def door() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def knock(friend: str, stranger: str) -> int:
    return subprocess.run([sys.executable, "-c", probing.KNOCK, friend, stranger], timeout=60, check=False).returncode


def test_who_reaches_its_own_only_has_seen_the_network_obey() -> None:
    with door() as friend:
        with door() as stranger:
            assert knock(friend, stranger) == probing.OPEN
        assert knock(friend, stranger) == probing.SHUT


def test_who_reaches_nobody_has_found_out_nothing() -> None:
    with door() as friend:
        pass
    assert knock(friend, friend) == 1


@pytest.mark.parametrize(
    ("code", "answer", "is_kept"),
    [
        (probing.SHUT, Isolation.ENFORCED, True),
        (probing.OPEN, Isolation.DECLARED, True),
        (127, Isolation.DECLARED, False),
        (None, Isolation.DECLARED, False),
    ],
)
async def test_it_is_tried_with_the_first_image_that_runs_and_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int | None, answer: Isolation, is_kept: bool
) -> None:
    tried = trials(monkeypatch, code)
    prober = new(tmp_path)
    prober.remember(WHO, "ada", "zoe/dask:1")
    show(prober, WAITING)
    assert not tried

    show(prober, READY)
    await settled(prober)

    assert (tried, prober.answer) == ([("zoe/dask:1", "lab/isolation")], answer)
    assert (tmp_path / "isolation.json").exists() is is_kept
    prober.remember(WHO, "ada", "zoe/spark:4")
    show(prober, READY)
    assert len(tried) == 1
    again = new(tmp_path)
    again.remember(WHO, "ada", "zoe/spark:4")
    show(again, READY)
    await settled(again)
    assert (len(tried), again.answer) == (1 if is_kept else 2, answer)


@pytest.mark.parametrize(
    "kept",
    [
        {"namespace": "zoe", "answer": "enforced", "at": time.time() - 2 * probing.VALID_S},
        {"namespace": "another", "answer": "enforced", "at": time.time()},
        {"namespace": "zoe", "answer": "who knows", "at": time.time()},
        [],
    ],
)
async def test_what_is_old_or_of_elsewhere_or_broken_is_found_out_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: Any
) -> None:
    tried = trials(monkeypatch, probing.SHUT)
    (tmp_path / "isolation.json").write_text(json.dumps(kept))
    prober = new(tmp_path)
    prober.remember(WHO, "ada", "zoe/dask:1")
    show(prober, READY)
    await settled(prober)

    assert len(tried) == 1


async def test_an_image_that_is_none_of_the_sites_is_not_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever made it decides what its programs say."""
    tried = trials(monkeypatch, probing.SHUT)
    prober = new(tmp_path)
    prober.remember(WHO, "eve", "registry.example.org/eve/python:3")
    show(prober, READY)
    await settled(prober)

    assert (tried, prober.answer) == ([], Isolation.DECLARED)


async def test_what_the_admin_says_is_not_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tried = trials(monkeypatch, probing.OPEN)
    prober = new(tmp_path, Isolation.ENFORCED)
    prober.remember(WHO, "ada", "zoe/dask:1")
    show(prober, READY)
    await prober.close()

    assert (tried, prober.answer) == ([], Isolation.ENFORCED)


@pytest.mark.kubernetes
async def test_a_real_cluster_is_tried_and_nothing_of_it_remains(world: KubernetesWorld) -> None:
    """The network of the tests' own cluster obeys no NetworkPolicy, unless a test sees to it; another's may."""
    if cluster.is_ours():
        with enforcing.nobody():
            assert await found_out(world) == "declared"
    else:
        assert await found_out(world) in ("enforced", "declared")


@pytest.mark.kubernetes
@pytest.mark.enforcer
async def test_a_cluster_that_obeys_is_found_out(world: KubernetesWorld) -> None:
    with enforcing.somebody():
        assert await found_out(world) == "enforced"


def test_what_a_backend_promises_is_known_before_it_is_started(tmp_path: Path) -> None:
    """A core asks for it when it is made."""
    world = KubernetesWorld(tmp_path / "none", "zoe", tmp_path)
    promised = world.closed().capabilities()
    assert (promised.isolation, promised.is_multi_node, promised.limits["usage"]) == ("declared", True, "none")


async def found_out(world: KubernetesWorld) -> str:
    """What the backend says once it has tried."""
    world.options = {"isolation": Isolation.AUTO, "image_prefix": "zoe-test/"}
    runner = Runner(world, await world.open())
    await runner.start("one", image="zoe/base")
    file, end = world.data_dir / "kubernetes" / "isolation.json", time.monotonic() + FOUND_S
    while not file.exists():
        assert time.monotonic() < end, objects(world)
        await asyncio.sleep(0.2)
    answer = runner.backend.capabilities().isolation
    assert json.loads(file.read_text())["answer"] == answer
    while objects(world):
        assert time.monotonic() < end, objects(world)
        await asyncio.sleep(0.2)
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()
    return answer


def objects(world: KubernetesWorld) -> str:
    """What of the trial is there."""
    labels = names.selector(f"{world.deployment}/isolation")
    return cluster.kubectl("get", KINDS, "-n", world.namespace, "-l", labels, "-o", "name")


def new(folder: Path, wanted: Isolation = Isolation.AUTO) -> Prober:
    return Prober(SITE, wanted=wanted, file=folder / "isolation.json")


def show(prober: Prober, pod: dict[str, Any]) -> None:
    prober.notice(None, WHO, pod)  # type: ignore[arg-type]


async def settled(prober: Prober) -> None:
    """What it has begun is over."""
    if prober._task is not None:
        await prober._task


def trials(monkeypatch: pytest.MonkeyPatch, answer: int | None) -> list[tuple[str, str]]:
    """Those that begin from now on, which all end with that answer: the image, and the deployment."""
    begun: list[tuple[str, str]] = []

    class Trial:
        def __init__(self, server: None, site: Site, image: str) -> None:
            begun.append((image, site.deployment))

        async def code(self) -> int | None:
            return answer

    monkeypatch.setattr(probing, "Trial", Trial)
    return begun
