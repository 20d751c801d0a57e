"""Pods that somebody else wrote, with Zoe's labels on them: they stop nothing of anybody else."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.backends.kubernetes.test_readiness import waiting
from tests.backends.kubernetes.test_upkeep import SITE, WHO, known, pinned, pod
from tests.effort import at_most
from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.kubernetes import manifests, names, translate
from zoe_jupyter.backends.kubernetes.objects import Objects
from zoe_jupyter.backends.kubernetes.upkeep import Crowded, Hindered, Overdue, homeless, stranded
from zoe_jupyter.model.application import Port, Probe
from zoe_jupyter.model.resources import Resources

NAN, HUGE = float("nan"), 10**400
FACTS = {
    "ports": {"web": 20000}, "published": ["web"], "memory_bytes": 2**26, "ready": "an answer", "timeout_s": 60.0, "log": "",
    "health": "an answer", "node": "n1", "image": "zoe/spark:4", "waits": True,
}  # fmt: skip
WRONG: dict[str, tuple[Any, ...]] = {
    "ports": (None, [], "web", {"web": "x"}, {"web": 1.5}, {"web": -1}, {"web": 65536}, {"web": {}}, {"\0": 1}),
    "published": (None, {}, "web", [1], [["web"]], ["\ud800"]),
    "memory_bytes": (None, "x", NAN, 1.5, -1, HUGE, True, []),
    "ready": (None, 1, ["x"], "\0", "\udfff"),
    "timeout_s": (None, "x", "60", NAN, float("inf"), -1, HUGE, True, [], {}),
    "log": (None, 1, "(", "(a+)+$", "x" * 300),
    "health": (None, 1, {"http": "web"}),
    "node": (None, 1, ["n1"]),
    "image": (None, 1, ["zoe/spark:4"], "\0"),
    "waits": (None, 1, "yes"),
}
FORGED = [
    *(json.dumps({**FACTS, name: bad}) for name, bads in WRONG.items() for bad in bads),
    json.dumps({name: fact for name, fact in FACTS.items() if name != "timeout_s"}),
    *("", "x", "null", "[]", "7", '"text"', "NaN", "9" * 5000, "[" * 100_000, '{"a":' * 100_000),
]  # fmt: skip


def test_what_zoe_writes_is_read() -> None:
    ready = Probe(log=r"ready at port \d+$", timeout_s=0.7)
    made = manifests.pod(SITE, ordered(ready=ready), "n1", [])

    assert translate.facts_of(made) == {
        "ports": {"web": 20000},
        "published": ["web"],
        "memory_bytes": 2**26,
        "ready": manifests.awaited(ready),
        "timeout_s": 0.7,
        "log": ready.log,
        "node": "n1",
    }


def ordered(**fields: Any) -> manifests.ServiceOrder:
    ports = {"web": Port(protocol="http")}
    return manifests.ServiceOrder(
        "lab", "x1", "ada", "app.main-0", 1, ("serve",), ports=ports, port_numbers={"web": 20000},
        resources=Resources(memory_bytes=2**26), **fields,
    )  # fmt: skip


@pytest.mark.parametrize("forged", FORGED, ids=lambda text: text[-60:])
def test_facts_that_zoe_cannot_have_written_count_as_none(forged: str) -> None:
    found = pod()
    found["metadata"]["annotations"][names.FACTS] = forged

    with at_most(1000):
        assert translate.facts_of(found) == {}


@pytest.mark.parametrize("forged", FORGED, ids=lambda text: text[-60:])
async def test_a_pod_with_forged_facts_stops_nothing_of_anybody_else(forged: str) -> None:
    others = [Attempt("lab", "x2", f"app.main-{number}", 1) for number in range(2)]
    bad = [pinned(WHO), pod(WHO), pod(WHO, phase="Failed", code=137), pod(WHO, phase="Failed", code=143)]
    bad[2]["status"]["containerStatuses"][0]["state"]["terminated"]["reason"] = "OOMKilled"
    for each in bad:
        each["metadata"]["annotations"][names.FACTS] = forged
        found = known(pinned(others[0]), each, pod(others[1]))
        readiness = waiting(found)
        readiness.notice(WHO)
        states = {seen.execution_id: seen.state for seen in found.observed() if seen.service == "app.main-1"}

        assert states == {"x2": SeenState.READY}
        crowded = Crowded(found, open_nodes=lambda: {"n1", "n2"})
        crowded.look(0.0)
        assert others[0] in [attempt for attempt, _ in crowded.look(99.0)]
        assert others[0] in [attempt for attempt, _ in homeless(found, lambda node: True)]
        assert others[1] in [attempt for attempt, _ in stranded(found, {"n1": "it is silent"})]
        Hindered(found).overdue(0.0)
        Overdue(found).look(0.0)
        await readiness.close()


@pytest.mark.parametrize("number", ["", "x", "0", "-1", "1.5", "1e3", "9" * 20, "9" * 5000])
def test_a_pod_of_an_impossible_attempt_is_nobodys(number: str) -> None:
    found = pod()
    found["metadata"]["annotations"][names.ATTEMPT] = number

    assert translate.attempt_of(found) is None
    assert known(found).observed() == []


@pytest.mark.parametrize(
    ("said", "is_ours"),
    [
        ({}, True),
        ({"name": "other"}, False),
        ({"annotations": {}}, False),
        ({"annotations": {**pod()["metadata"]["annotations"], names.DEPLOYMENT: "other"}}, False),
        ({"annotations": {**pod()["metadata"]["annotations"], names.ATTEMPT: "2"}}, False),
    ],
)
def test_a_pod_that_is_not_what_it_says_is_not_taken_in(said: dict[str, Any], *, is_ours: bool) -> None:
    objects = Objects(AsyncMock(), SITE, jobs=SimpleNamespace(items={}))  # type: ignore[arg-type]

    assert objects.is_at_home(pod(**said)) is is_ours
