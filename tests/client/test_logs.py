"""Following logs over a server that comes and goes."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.client.running import RunningZoe
from zoe_jupyter.client.api import Api
from zoe_jupyter.client.logs import after, beyond, follow


@pytest.mark.parametrize(
    ("told", "known", "rest"),
    [
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["b"], ["a", "b", "c", "d"], ["c", "d"]),
        (["a", "b"], ["a", "b"], []),
        (["x"], ["a"], ["a"]),
        (["a", "a"], ["a", "a", "a"], []),
        (["w", "a", "b"], ["b", "c"], ["c"]),
        (["a"], [], []),
    ],
)
def test_what_was_told_is_not_told_again(told: list[str], known: list[str], rest: list[str]) -> None:
    assert list(after(told, known)) == rest


@pytest.mark.parametrize(
    ("known", "stream", "rest"),
    [
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["a", "b"], ["b", "c"], ["c"]),
        (["a", "b"], ["x", "y"], ["x", "y"]),
        ([], ["a"], ["a"]),
        (["a"], ["a", "a"], ["a"]),
    ],
)
def test_a_stream_goes_on_where_the_known_ends(known: list[str], stream: list[str], rest: list[str]) -> None:
    assert list(beyond(known, iter(stream))) == rest


def test_following_goes_on_after_a_restart_of_the_server(zoe: RunningZoe) -> None:
    api = Api()
    execution = api.submit({"use": "spark"})
    log = [b"1\n", b"2\n"]
    more, stop = threading.Event(), threading.Event()

    async def growing(*_: object, tail: int | None, follow: bool, **__: object) -> AsyncIterator[bytes]:
        import asyncio

        sent = max(0, len(log) - tail) if tail is not None else 0
        while True:
            while sent < len(log):
                yield log[sent]
                sent += 1
            if not follow or stop.is_set():
                return
            await asyncio.sleep(0.01)

    zoe.core.logs = growing  # type: ignore[method-assign, assignment]
    lines: Iterator[str] = follow(api, execution["id"], tail=10, outage_s=20)
    assert [next(lines), next(lines)] == ["1", "2"]
    log.append(b"3\n")
    zoe.restart()
    log.append(b"4\n")
    assert [next(lines), next(lines)] == ["3", "4"]
    more.set()
    log.append(b"5\n")
    stop.set()
    assert list(lines) == ["5"]
