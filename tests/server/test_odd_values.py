"""Every field of every body, and every parameter of every query, takes what nobody would send, and answers in words: never a 5xx."""

from __future__ import annotations

import copy
import dataclasses
import json
import typing
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from zoe_jupyter.model.execution import State
from zoe_jupyter.server.api import Route
from zoe_jupyter.server.dispatch import Dispatcher
from zoe_jupyter.server.handlers import table
from zoe_jupyter.server.wire import Visitor, WireRequest, close_body
from zoe_jupyter.testing.fake_backend import FakeBackend
from zoe_jupyter.testing.house import House

ODD: list[Any] = [
    None, True, 0, -1, 10**18, 2**63, 10**30, 10**400, float("inf"), 1e308, 1e-308, -0.5, "", "\0", "\x1b[31m", "x" * 70_000, "\u202e",
    "{{ 7 * 7 }}", "{{ parameters.__class__ }}", "../../etc", "' OR 1=1 --", "9" * 400, "9" * 400 + "d", "+" + "9" * 400 + "d", "1e400", "nan", "-5",
    "99:99", "9999-12-31T23:59:59", "0001-01-01T00:00:00", [], [[]], [None], {}, {"": None}, {"a": {"b": [1]}}, {"\0": "\0"}, {"default": {}},
]  # fmt: skip
NAMED = [
    {name: value}
    for name in ("after", "grace", "workers", "memory", "worker")
    for value in (*ODD[:12], "9" * 400 + "d")
]
"""For fields that hold a mapping of any names."""
WORDS = [
    "", "0", "-1", "007", "9" * 18, "9" * 19, "1e9", "\0", "\x80", "é", "a=b", "=", "=" * 600, "a" * 5000, "../..", "null", "true", "0x10", "+5", " 5",
    "\u0665", "running,running", ",", "%", "%25", "%00",
]  # fmt: skip
ROUTES = table()
ADMIN = Visitor("alice", is_admin=True)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, FakeBackend(data_dir=tmp_path / "backend"))
    house.furnish()
    await house.open()
    yield house
    await house.core.close()


def names_of(route: Route) -> list[tuple[str, ...]]:
    """The way to every field of its body, those of bodies inside included."""
    return [] if route.body is None else list(_ways(route.body))


def _ways(kind: Any, before: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        way = (*before, field.name)
        yield way
        for inner in [hints[field.name], *typing.get_args(hints[field.name])]:
            if dataclasses.is_dataclass(inner):
                yield from _ways(inner, way)
                if typing.get_origin(hints[field.name]) is dict:
                    yield from _ways(inner, (*way, "bob"))


def body_with(way: tuple[str, ...], value: Any, start: dict[str, Any]) -> dict[str, Any]:
    *outer, last = way
    body: dict[str, Any] = copy.deepcopy(start)
    place = body
    for name in outer:
        place = place.setdefault(name, {})
    place[last] = value
    return body


def as_json(value: Any) -> bytes:
    return json.dumps(value).replace("Infinity", "1e400").encode()


STARTS: dict[str, dict[str, Any]] = {
    "submit": {"use": "job"},
    "validate": {"use": "cluster"},
    "take_lease": {"kind": "kernel", "client": {"kernel_id": "k"}},
}


class Asker:
    def __init__(self, house: House, own: str) -> None:
        self._desk = Dispatcher(house.core)
        self._own = own
        self.wrong: list[tuple[str, Any, int, bytes]] = []

    async def ask(self, route: Route, what: Any, *, body: bytes = b"", query: str = "", word: str = "") -> None:
        path = route.pattern.replace("{id}", word or self._own).replace("{owner}", word or "bob")
        for name in ("{name}", "{lease}", "{endpoint}", "{server}"):
            path = path.replace(name, word or "local")
        request = WireRequest(route.method, path, ADMIN, query, body, is_internal=route.is_internal)
        answer = await self._desk.answer(request)
        await close_body(answer.body)
        if answer.status >= 500:
            self.wrong.append(
                (route.name, what, answer.status, answer.body[:300] if isinstance(answer.body, bytes) else b"")
            )


@pytest.fixture
async def asker(house: House) -> Asker:
    execution = await house.until_state(State.RUNNING, await house.submit())
    return Asker(house, execution.id)


@pytest.mark.parametrize("route", [pytest.param(route, id=route.name) for route in ROUTES if route.body])
async def test_in_bodies(asker: Asker, route: Route) -> None:
    for value in (*ODD, *NAMED):
        await asker.ask(route, value, body=as_json(value))
        for way in names_of(route):
            await asker.ask(route, (way, value), body=as_json(body_with(way, value, STARTS.get(route.name, {}))))
    assert asker.wrong == []


@pytest.mark.parametrize("route", [pytest.param(route, id=route.name) for route in ROUTES if route.query])
async def test_in_queries(asker: Asker, route: Route) -> None:
    for param in (param for param in route.query if param.name != "follow"):
        for word in WORDS:
            await asker.ask(route, (param.name, word), query=f"{param.name}={quote(word)}")
            await asker.ask(route, (param.name, word), query=f"{param.name}={word}&{param.name}=1&x")
    assert asker.wrong == []


@pytest.mark.parametrize("route", [pytest.param(route, id=route.name) for route in ROUTES if "{" in route.pattern])
async def test_in_paths(asker: Asker, route: Route) -> None:
    body = as_json(STARTS.get(route.name, {})) if route.body else b""
    for word in (word for word in WORDS if word):
        await asker.ask(route, word, body=body, word=quote(word, safe=""))
    assert asker.wrong == []
