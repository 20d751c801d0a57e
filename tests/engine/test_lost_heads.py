"""Who needs the address of a head whose machine was lost waits until that has a place again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zoe_jupyter.engine import rendering
from zoe_jupyter.model.execution import Execution, Reason, State
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.testing.fake_backend import GIB
from zoe_jupyter.testing.house import House

FLAT = """
zoe: 1
kind: framework
name: flat
version: "1"
title: Flat
summary: A worker that does not wait for its head
tags: [engine]
processes:
  head:
    command: ["head"]
    ports: {rpc: {protocol: tcp}}
    resources: {cores: 1, memory: 1GiB}
  worker:
    command: ["worker", "{{ processes.head.host }}:{{ processes.head.ports.rpc }}"]
    resources: {cores: 1, memory: 1GiB}
    restart: {when: on-failure, attempts: 3, delay_s: 0.1}
"""
HEAD, WORKER = "flat.head-0", "flat.worker-0"
LOST = Reason("lost", "its machine is lost")


@pytest.fixture
async def flat(house: House, monkeypatch: pytest.MonkeyPatch) -> Execution:
    """It runs, its head on another machine than its worker, and nothing else fits on either."""
    monkeypatch.setattr(rendering, "PLACE_S", 0.1)
    folder = house.folder / "shop" / "flat"
    folder.mkdir()
    (folder / "framework.yaml").write_text(FLAT)
    house.backend.machines = [_small(name) for name in ("left", "right")]
    await house.reopen()
    return await house.until_state(State.RUNNING, await house.submit("flat"))


async def test_a_worker_that_ends_meanwhile_waits_for_its_head(house: House, flat: Execution) -> None:
    _lose_head(house, flat)
    house.backend.exit(flat.id, WORKER, 1)

    now = await house.until(lambda now: (now.services[WORKER].reason or LOST).code == "no_place", flat)
    assert (now.state, set(now.services)) == (State.STARTING, {WORKER})
    assert (now.services[WORKER].reason or LOST).text == "it waits until there is a place again for head"
    house.clock.ahead_s += 100 * rendering.PLACE_S
    await house.core._loop.let_time_pass()
    assert (await house.get(flat)).services[WORKER] == now.services[WORKER], "it is not tried in vain"
    house.backend.machines.append(_small("new"))
    house.backend.hint()
    now = await house.until_state(State.RUNNING, flat)
    assert (now.services[HEAD].node, now.services[WORKER].failures) == ("new", 1)


def _lose_head(house: House, execution: Execution) -> None:
    node = execution.services[HEAD].node
    house.backend.machines = [machine for machine in house.backend.machines if machine.name != node]
    house.backend.exit(execution.id, HEAD, None, replace(LOST, numbers={"node": node}), is_blameless=True)


def _small(name: str) -> Node:
    return Node(name, Resources(microcores=1_000_000, memory_bytes=GIB))
