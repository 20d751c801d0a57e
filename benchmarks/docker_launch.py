"""Spark with three workers on Docker to ready, over a hand-written script that runs the same containers in parallel."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from collections.abc import Mapping
from typing import Any

import docker

from benchmarks.containers import ByHand, zoe
from benchmarks.house import LIMIT_S, Zoe, in_parallel, taken
from benchmarks.running import Effort, Report, Taken, compare
from tests.backends.docker import framework_images
from zoe_jupyter.backends.docker import launching, translate

WHOLE = {"workers": 3, "worker_memory": "896MiB"}
QUICK = {"workers": 1, "worker_memory": "896MiB", "mode": "classic"}
"""Without Spark Connect and what runs for it, which is most of the work."""
PAUSE_S = 0.05
Recorded = list[tuple[str, Mapping[str, Any], Mapping[str, str]]]
"""Service, container, files."""


def measure(effort: Effort) -> Report:
    """The same containers on both sides: what Zoe asked for is written down, and run again by hand."""
    client = docker.from_env(timeout=600).api
    prefix = framework_images.ensure(client, "spark")
    client.close()
    with zoe(image_prefix=prefix) as house:
        parameters = QUICK if effort.is_quick else WHOLE
        recorded = _record(house, parameters)
        sides = (lambda: _through_zoe(house, parameters), lambda: _by_hand(recorded))
        return compare(Report(), ("zoe", "by_hand"), sides, effort=effort)


def _record(house: Zoe, parameters: Mapping[str, Any]) -> Recorded:
    """What one launch through Zoe asks the engine for."""
    recorded: Recorded = []
    made = translate.container_config

    def remember(order: Any, *arguments: Any, **options: Any) -> dict[str, Any]:
        config = made(order, *arguments, **options)
        recorded.append((order.service, config, dict(order.files)))
        return config

    launching.translate.container_config = remember
    try:
        house.stop(house.start("spark", parameters))
    finally:
        launching.translate.container_config = made
    return recorded


def _through_zoe(house: Zoe, parameters: Mapping[str, Any]) -> Taken:
    started: list[Any] = []
    found = taken(lambda: started.extend(house.start("spark", parameters)))
    house.stop(started)
    return found


def _by_hand(recorded: Recorded) -> Taken:
    hand = ByHand()
    try:
        return taken(lambda: _start(hand, recorded))
    finally:
        hand.stop(0)


def _start(hand: ByHand, recorded: Recorded) -> None:
    """The master first; then all others at once."""
    network = hand.network()
    first = [each for each in recorded if each[0].startswith("spark.master")]
    rest = [each for each in recorded if each not in first]
    for some in (first, rest):
        in_parallel(lambda each: _wait(hand, each[1], hand.run(_moved(each[1], network), each[2], network)), some)


def _moved(config: Mapping[str, Any], network: str) -> dict[str, Any]:
    (endpoint,) = config["NetworkingConfig"]["EndpointsConfig"].values()
    return {**config, "Labels": {}, "NetworkingConfig": {"EndpointsConfig": {network: endpoint}}}


def _wait(hand: ByHand, config: Mapping[str, Any], container_id: str) -> None:
    """Until a line of its log says so, or its port is open or answers, as Zoe asks."""
    probe = json.loads(config["Labels"][f"{translate.LABEL}probe"])
    ports = json.loads(config["Labels"][f"{translate.LABEL}ports"])
    end = time.monotonic() + LIMIT_S
    while not _is_ready(hand, container_id, probe, ports):
        if time.monotonic() > end:
            raise TimeoutError(container_id)
        time.sleep(PAUSE_S)


def _is_ready(hand: ByHand, container_id: str, probe: Mapping[str, Any], ports: Mapping[str, int]) -> bool:
    if probe["log"]:
        return any(re.search(probe["log"], line) for line in hand.said(container_id).splitlines())
    port, _, path = (probe["tcp"] or probe["http"]).partition("/")
    address = hand.address(container_id), ports[port]
    try:
        if probe["http"]:
            urllib.request.urlopen(f"http://{address[0]}:{address[1]}/{path}", timeout=2).close()
        else:
            socket.create_connection(address, timeout=2).close()
    except OSError:
        return False
    return True
