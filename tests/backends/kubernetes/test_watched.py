"""The copy of what the cluster has stays right: pages, changes, versions that are too old, connections that break, and late words of what is gone."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.kubernetes import machines, watched
from zoe_jupyter.backends.kubernetes.client import ApiError
from zoe_jupyter.backends.kubernetes.site import Site
from zoe_jupyter.backends.kubernetes.watched import Watched
from zoe_jupyter.testing.backend_contract import eventually


def item(name: str, version: int, uid: str = "") -> dict[str, Any]:
    return {"metadata": {"name": name, "uid": uid or f"u-{name}", "resourceVersion": str(version)}}


def event(kind: str, what: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": kind, "object": what}


class Cluster:
    """An API server that answers what a test has laid out: lists, then what each watch says."""

    def __init__(self, lists: list[list[dict[str, Any]]], watches: list[list[Any]]) -> None:
        self.lists = lists
        self.watches = watches
        self.asked: list[Mapping[str, str]] = []
        self.is_done = asyncio.Event()

    async def get(self, path: str, query: Mapping[str, str]) -> Any:
        if path.startswith("/api/v1/namespaces/"):
            return {}
        self.asked.append(dict(query))
        page = self.lists.pop(0)
        rest = {"continue": "more"} if page and page[-1] == {} else {}
        return {"items": [each for each in page if each], "metadata": {"resourceVersion": "100", **rest}}

    @contextlib.asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str], *, silence_s: float) -> AsyncIterator[Any]:
        self.asked.append(dict(query))
        if not self.watches:
            self.is_done.set()
            await asyncio.Event().wait()
        yield Lines(self.watches.pop(0))


class Lines:
    def __init__(self, said: list[Any]) -> None:
        self._said = said

    async def readline(self) -> bytes:
        if not self._said:
            return b""
        said = self._said.pop(0)
        if isinstance(said, Exception):
            raise said
        return json.dumps(said).encode() + b"\n"


async def follow(cluster: Cluster) -> tuple[Watched, list[tuple[str, bool]]]:
    """Until the cluster has nothing more to say; and each change, with whether the object was there."""
    changes: list[tuple[str, bool]] = []
    copy = Watched(
        cluster, "/things", keep=dict, on_change=lambda name, found: changes.append((name, found is not None))
    )  # type: ignore[arg-type]
    following = asyncio.create_task(copy.follow())
    await asyncio.wait_for(cluster.is_done.wait(), 10)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    return copy, changes


async def test_a_long_list_comes_in_pages() -> None:
    copy, _ = await follow(Cluster([[item("a", 1), {}], [item("b", 2)]], []))

    assert set(copy.items) == {"a", "b"}
    assert copy.lists == 1
    assert copy.problem == ""


async def test_changes_are_taken_in_as_they_come() -> None:
    said = [event("ADDED", item("b", 2)), event("MODIFIED", item("a", 3)), event("DELETED", item("b", 4))]

    copy, changes = await follow(Cluster([[item("a", 1)]], [said]))

    assert {name: each["metadata"]["resourceVersion"] for name, each in copy.items.items()} == {"a": "3"}
    assert changes == [("a", True), ("b", True), ("a", True), ("b", True), ("b", False)]


async def test_a_watch_goes_on_where_the_last_one_ended() -> None:
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "250"}})
    cluster = Cluster([[]], [[bookmark], []])

    copy, _ = await follow(cluster)

    assert [query.get("resourceVersion") for query in cluster.asked] == [None, "100", "250", "250"]
    assert copy.lists == 1


@pytest.mark.parametrize("ending", [event("ERROR", {"code": 410, "reason": "Expired"}), ApiError(410, "Expired", "")])
async def test_a_version_that_is_too_old_is_followed_by_a_list(ending: Any) -> None:
    copy, changes = await follow(Cluster([[item("a", 1)], [item("b", 2)]], [[ending]]))

    assert set(copy.items) == {"b"}
    assert copy.lists == 2
    assert ("a", False) in changes


async def test_who_says_each_time_that_a_version_is_too_old_is_asked_less_and_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def pause(delay_s: float) -> None:
        pauses.append(delay_s)

    monkeypatch.setattr(watched.asyncio, "sleep", pause)
    old = ApiError(410, "Expired", "")
    copy, _ = await follow(Cluster([[item("a", 1)] for _ in range(5)], [[old] for _ in range(4)]))

    assert copy.lists == 5
    assert pauses == list(watched.RETRY_S[1:4])


async def test_what_nobody_foresaw_is_a_doubt_and_all_is_listed_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(watched, "RETRY_S", (0.0,))
    copy, _ = await follow(Cluster([[item("a", 1)], [item("b", 2)]], [[{"type": "ADDED", "object": {}}]]))

    assert set(copy.items) == {"b"}
    assert "a defect" in caplog.text


async def test_a_broken_connection_is_a_doubt_until_the_next_watch_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "RETRY_S", (0.0,))
    copy, _ = await follow(Cluster([[item("a", 1)]], [[OSError("reset")]]))

    assert set(copy.items) == {"a"}
    assert copy.lists == 1


async def test_a_watch_ends_when_all_is_to_be_listed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = Cluster([[item("a", 1)]], [[]])
    copy = Watched(cluster, "/things", keep=dict, on_change=lambda *_: None)  # type: ignore[arg-type]
    await copy.list()
    monkeypatch.setattr(copy, "_listed_at", copy._listed_at - watched.RELIST_S + 7)

    await copy._watch()

    assert 6 <= int(cluster.asked[-1]["timeoutSeconds"]) <= 7


async def test_what_is_made_while_all_is_listed_is_not_taken_for_gone() -> None:
    copy = Watched(Cluster([[item("a", 1)]], []), "/things", keep=dict, on_change=lambda *_: None)  # type: ignore[arg-type]
    copy.put(item("made", 101))
    copy.put(item("gone", 99))

    await copy.list()

    assert set(copy.items) == {"a", "made"}


async def test_what_is_listed_again_now_and_then_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "RELIST_S", 0.0)
    copy, _ = await follow(Cluster([[item("a", 1)], [item("b", 2)]], [[]]))

    assert set(copy.items) == {"b"}


def test_a_late_word_of_what_is_gone_does_not_bring_it_back() -> None:
    copy = Watched(None, "/things", keep=dict, on_change=lambda name, found: None)  # type: ignore[arg-type]
    copy.put(item("a", 5))

    copy.put(item("a", 4))
    assert copy.items["a"]["metadata"]["resourceVersion"] == "5"

    copy._take(event("DELETED", item("a", 6)))
    copy.put(item("a", 5))
    assert copy.items == {}

    copy.put({**item("a", 3, uid="successor")})
    assert copy.items["a"]["metadata"]["uid"] == "successor"


async def test_what_is_optional_is_left_alone_where_zoe_may_not_see_it() -> None:
    class Closed(Cluster):
        async def get(self, path: str, query: Mapping[str, str]) -> Any:
            self.asked.append(dict(query))
            raise ApiError(403, "Forbidden", "no")

    cluster = Closed([], [])
    copy = Watched(cluster, "/events", fields="reason=Pulling", keep=dict, on_change=lambda *_: None, is_optional=True)  # type: ignore[arg-type]

    await asyncio.wait_for(copy.follow(), 5)

    assert cluster.asked == [{"fieldSelector": "reason=Pulling", "limit": "500"}]


async def test_a_copy_that_was_never_made_says_so() -> None:
    copy = Watched(None, "/things", keep=dict, on_change=lambda name, found: None)  # type: ignore[arg-type]

    assert copy.problem


async def test_no_answer_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    class Dead(Cluster):
        async def get(self, path: str, query: Mapping[str, str]) -> Any:
            self.is_done.set()
            raise Unreachable("no answer")

    cluster = Dead([], [])
    copy = Watched(cluster, "/things", keep=dict, on_change=lambda name, found: None)  # type: ignore[arg-type]
    following = asyncio.create_task(copy.follow())
    await cluster.is_done.wait()
    await asyncio.sleep(0)

    assert copy.problem == "no answer"
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


@pytest.mark.parametrize("is_in_list", [True, False])
async def test_who_copies_an_object_into_another_namespace_does_not_take_its_place(*, is_in_list: bool) -> None:
    real, copied = item("a", 5, "real"), item("a", 9, "copied")
    real["metadata"] |= {"namespace": "zoe-bob", "creationTimestamp": "2026-01-31T12:00:00Z"}
    copied["metadata"] |= {"namespace": "zoe-ada", "creationTimestamp": "2026-01-31T12:00:01Z"}
    listed, said = ([copied, real], []) if is_in_list else ([real], [event("ADDED", copied), event("DELETED", copied)])

    copy, _ = await follow(Cluster([listed], [said]))

    assert {name: found["metadata"]["uid"] for name, found in copy.items.items()} == {"a": "real"}


async def test_a_missing_namespace_is_told_before_anything_starts_until_it_is_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machines, "AGAIN_S", 0.01)
    is_made = asyncio.Event()

    class Empty(Cluster):
        async def get(self, path: str, query: Mapping[str, str]) -> Any:
            if path == "/api/v1/namespaces/lost" and not is_made.is_set():
                raise ApiError(404, "NotFound", 'namespaces "lost" not found')
            return await super().get(path, query)

    found = machines.Machines(Empty([[], []], []), Site(deployment="lab", namespace="lost"), {})  # type: ignore[arg-type]
    following = asyncio.create_task(found.follow())
    await eventually(lambda: _is("lost" in found.problem))
    with pytest.raises(Unreachable, match='"lost" not found; make it by `kubectl apply'):
        found.now(pods={}, crowded=())
    is_made.set()
    await asyncio.wait_for(found.begun(), 5)
    assert not found.problem
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


@pytest.mark.parametrize(
    ("namespace", "status", "is_told"), [("lost", 403, False), ("zoe-{user}", 404, False), ("lost", 500, True)]
)
async def test_a_namespace_that_may_not_be_seen_or_is_each_users_is_not_missed(
    namespace: str, status: int, is_told: bool
) -> None:
    class Silent(Cluster):
        async def get(self, path: str, query: Mapping[str, str]) -> Any:
            if path.startswith("/api/v1/namespaces/"):
                raise ApiError(status, "", "no")
            return await super().get(path, query)

    found = machines.Machines(Silent([[], []], []), Site(deployment="lab", namespace=namespace), {})  # type: ignore[arg-type]
    with pytest.raises(ApiError) if is_told else contextlib.nullcontext():
        await found.begin()


async def test_nodes_that_may_be_seen_no_more_are_not_those_of_now(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its right was taken away while Zoe ran: the log says so, and a node that came since is no lost one."""
    monkeypatch.setattr(watched, "RETRY_S", (60.0,))
    cluster = Cluster([[item("n1", 1)], []], [[ApiError(403, "Forbidden", "nodes is forbidden")] for _ in range(2)])
    found = machines.Machines(cluster, Site(deployment="lab"), {})  # type: ignore[arg-type]
    monkeypatch.setattr(machines.nodes, "slim", dict)
    await found.begin()
    assert found.are_current
    following = asyncio.create_task(found.follow())
    await eventually(lambda: _is(not found.are_current))

    assert found.may_be_seen
    assert "nodes is forbidden" in caplog.text
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def _is(claim: bool) -> bool:
    return claim


async def test_nodes_that_cannot_be_read_now_are_asked_for_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(machines, "AGAIN_S", 0.01)

    class Odd(Cluster):
        async def get(self, path: str, query: Mapping[str, str]) -> Any:
            if not self.asked:
                self.asked.append({})
                raise ValueError("quantity")
            return await super().get(path, query)

    cluster = Odd([[], []], [])
    found = machines.Machines(cluster, Site(deployment="lab"), {})  # type: ignore[arg-type]
    following = asyncio.create_task(found.follow())
    await asyncio.wait_for(found.begun(), 5)

    assert not found.problem
    assert "a defect" in caplog.text
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


@pytest.mark.parametrize(("capacity", "is_guess"), [({}, True), ({"cpu": "8"}, False)])
async def test_where_the_nodes_may_not_be_seen_the_size_is_told_to_be_a_guess(
    caplog: pytest.LogCaptureFixture, capacity: Mapping[str, str], is_guess: bool
) -> None:
    class Shy(Cluster):
        async def get(self, path: str, query: Mapping[str, str]) -> Any:
            raise ApiError(403, "Forbidden", "nodes is forbidden")

    found = machines.Machines(Shy([], []), Site(deployment="lab"), capacity)  # type: ignore[arg-type]
    await found.begin()

    (node,) = found.now(pods={}, crowded=())
    assert (node.about == machines.GUESS) is is_guess
    assert (machines.GUESS in caplog.text) is is_guess
