"""Requests over the socket: errors by class, repeats, streams."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from tests.client.running import RunningZoe
from zoe_jupyter.client import http
from zoe_jupyter.client.api import Api
from zoe_jupyter.client.http import Http, error_from, lines
from zoe_jupyter.model.errors import (
    Conflict,
    InvalidDescription,
    NotFound,
    QuotaExceeded,
    Retryable,
    TooMany,
    Unavailable,
    UserError,
)
from zoe_jupyter.testing.fake_core import FakeCore


def test_records_come_as_the_server_tells_them(zoe: RunningZoe) -> None:
    api = Api()
    execution = api.submit({"use": "spark", "parameters": {"workers": 3}, "name": "mine"})
    assert (execution["name"], execution["state"]) == ("mine", "running")
    assert [item["id"] for item in api.executions(states=("running",))] == [execution["id"]]
    assert api.executions(states=("ended",)) == []
    assert api.execution("mine")["story"]
    assert [node["name"] for node in api.nodes()] == ["here"]
    assert {entry["name"] for entry in api.entries()} == {"dask", "spark"}


def test_lists_are_read_to_their_end(zoe: RunningZoe) -> None:
    api = Api()
    for _ in range(5):
        api.submit({"use": "spark"})
    assert len(api._all("executions", {}, limit=2)) == 2
    assert len(api.executions(limit=1000)) == 5


def test_errors_come_back_as_the_class_that_was_raised(zoe: RunningZoe) -> None:
    api = Api()
    with pytest.raises(NotFound, match="no execution 'nobody'"):
        api.execution("nobody")
    with pytest.raises(InvalidDescription) as caught:
        api.submit({"use": "nonsense"})
    assert [(problem.message, problem.path, problem.line) for problem in caught.value.problems] == [
        ("no such thing", "use", 1),
        ("nor this", "zoe", 0),
    ]
    running = api.submit({"use": "spark"})
    with pytest.raises(Conflict, match="stop it first"):
        api.forget(running["id"])


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (409, b'{"message": "m", "reason": "quota_exceeded", "details": {"limit": 3}}', QuotaExceeded),
        (502, b'{"message": "m", "reason": "backend_retryable", "details": {}}', Retryable),
        (418, b'{"message": "m", "reason": "of the future"}', UserError),
        (500, b"<html>gateway</html>", Unavailable),
        (500, b"", Unavailable),
        (400, b"[1]", Unavailable),
    ],
)
def test_any_answer_makes_an_error(status: int, body: bytes, kind: type[Exception]) -> None:
    assert type(error_from(status, body)) is kind


def test_a_submission_is_done_once_though_the_answer_was_lost(zoe: RunningZoe, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    exchange = Http._exchange
    lost = iter([True])

    def lose_the_answer(self: Http, *arguments: object, **named: object) -> object:
        answer = exchange(self, *arguments, **named)  # type: ignore[arg-type]
        if next(lost, False):
            answer.read()
            raise ConnectionResetError("lost")
        return answer

    monkeypatch.setattr(Http, "_exchange", lose_the_answer)
    execution = api.submit({"use": "spark"})
    assert [one.id for one in zoe.core.by_id.values()] == [execution["id"]]


def test_an_action_whose_answer_was_lost_is_not_repeated(zoe: RunningZoe, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()
    execution = api.submit({"use": "spark"})
    calls: list[object] = []

    def lose(self: Http, *arguments: object, **named: object) -> object:
        calls.append(arguments)
        raise ConnectionResetError("lost")

    monkeypatch.setattr(Http, "_exchange", lose)
    with pytest.raises(Unavailable, match="look before you try again"):
        api.restart(execution["id"])
    assert len(calls) == 1


def test_who_is_told_to_come_back_does(zoe: RunningZoe, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [TooMany("you have 100 submits under way", retry_after_s=0.05) for _ in range(2)]
    real = FakeCore.submit

    async def submit(self: FakeCore, *args: Any, **kwargs: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return await real(self, *args, **kwargs)

    monkeypatch.setattr(FakeCore, "submit", submit)
    assert Api().submit({"use": "spark"})["id"] == zoe.only.id


def test_who_is_told_so_for_too_long_says_it_in_words(zoe: RunningZoe, monkeypatch: pytest.MonkeyPatch) -> None:
    async def submit(self: FakeCore, *args: Any, **kwargs: Any) -> Any:
        raise TooMany("you have 100 submits under way", retry_after_s=0.05)

    monkeypatch.setattr(http, "BUSY_PATIENCE_S", 0.2)
    monkeypatch.setattr(FakeCore, "submit", submit)
    with pytest.raises(TooMany, match="100 submits under way"):
        Api().submit({"use": "spark"})


def test_a_restarted_server_is_found_again(zoe: RunningZoe) -> None:
    api = Api()
    execution = api.submit({"use": "spark"})
    zoe.restart()
    assert api.execution(execution["id"])["state"] == "running"
    zoe.restart()
    assert api.stop(execution["id"])["state"] == "ended"


def test_a_request_outlasts_a_server_that_is_starting(zoe: RunningZoe) -> None:
    api = Api()
    execution = api.submit({"use": "spark"})
    file = zoe.file.read_bytes()
    zoe.down()
    zoe.file.write_bytes(file)
    thread = threading.Timer(0.5, zoe.up)
    thread.start()
    try:
        assert api.execution(execution["id"])["id"] == execution["id"]
    finally:
        thread.join()


def test_a_server_that_is_gone_is_told_with_the_way_out(zoe: RunningZoe) -> None:
    api = Api(Http(patience_s=0.3))
    zoe.down()
    try:
        with pytest.raises(Unavailable, match="no Zoe is running"):
            api.info()
    finally:
        zoe.up()


def test_a_method_that_nothing_takes_is_refused_in_words(zoe: RunningZoe) -> None:
    with pytest.raises(UserError, match="Method Not Allowed"):
        Http().send("PATCH", "info")


def test_a_wrong_token_is_refused(zoe: RunningZoe) -> None:
    http = Http(patience_s=0.0)
    http._connection = replace(http.connection, token="wrong")
    with pytest.raises(UserError, match="token"):
        http.get("info")


def test_a_new_token_at_the_same_place_is_read_again(zoe: RunningZoe) -> None:
    api = Api()
    api.http._connection = replace(api.http.connection, token="of the server before")
    assert api.info()["server"] == "server-1"


def test_events_come_from_a_number_on_and_say_when_nothing_is_missed(zoe: RunningZoe) -> None:
    api = Api()
    first = api.submit({"use": "spark"})
    api.submit({"use": "dask"})
    with api.event_stream(since=0, silence_s=5) as events:
        opened = next(events)
        assert opened is not None
        assert opened["kind"] == "stream.opened"
        found = [next(events), next(events)]
    assert [event["seq"] for event in found if event] == [1, 2]
    with api.event_stream(execution_id=first["id"], silence_s=5) as events:
        next(events)
        api.stop(first["id"])
        event = next(events)
        assert event is not None
        assert event["kind"] == "execution.ended"


def test_silence_ends_a_stream(zoe: RunningZoe) -> None:
    api = Api()
    began = time.monotonic()
    with pytest.raises(TimeoutError), api.event_stream(silence_s=0.3) as events:
        for _ in events:
            pass
    assert time.monotonic() - began < 5


def test_an_error_in_a_stream_is_raised(zoe: RunningZoe) -> None:
    api = Api()
    zoe.core.is_slow_reader = True
    api.submit({"use": "spark"})
    with pytest.raises(UserError, match="too slowly"), api.event_stream(since=0, silence_s=5) as events:
        list(events)


def test_lines_are_put_together_from_pieces() -> None:
    assert list(lines(iter([b"a\nb", b"c\n", b"\n", b"d"]))) == [b"a", b"bc", b"", b"d"]
