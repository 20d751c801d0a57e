"""From where a log is read while its pod goes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.backends.containers.lines import LINE_CHARS
from zoe_jupyter.backends.containers.names import Attempt, slug
from zoe_jupyter.backends.kubernetes import logs as module
from zoe_jupyter.backends.kubernetes import names
from zoe_jupyter.backends.kubernetes.client import ApiError
from zoe_jupyter.backends.kubernetes.hints import Hints
from zoe_jupyter.backends.kubernetes.known import Known
from zoe_jupyter.backends.kubernetes.logs import FILES, LEFT_OUT, Logs
from zoe_jupyter.backends.kubernetes.site import Site
from zoe_jupyter.model.errors import TooMany
from zoe_jupyter.testing.backend_contract import Runner, eventually

WHO = Attempt("lab", "x1", "app.main-0", 1)
TERMINATED = {"state": {"terminated": {"exitCode": 0}}}


class Server:
    """A pod whose log is still on its way to the first who asked; a node has an answer of its own for later ones, which is no error."""

    def __init__(self) -> None:
        self.rest: asyncio.Queue[bytes] = asyncio.Queue()
        self.asked = 0
        self.later = b"unable to retrieve container logs"
        self.is_deaf = False
        self.open = 0
        self.refusals: list[ApiError] = []

    async def wait(self) -> None:
        """Before it answers."""

    @asynccontextmanager
    async def stream(self, path: str, query: object, *, silence_s: float | None) -> AsyncIterator[asyncio.StreamReader]:
        self.asked += 1
        self.open += 1
        try:
            if self.refusals:
                raise self.refusals.pop(0)
            if self.is_deaf:
                await asyncio.Event().wait()
            await self.wait()
            yield Content(self.rest if self.asked == 1 else queue_of(self.later, b""))  # type: ignore[misc]
        finally:
            self.open -= 1


class Content:
    def __init__(self, pieces: asyncio.Queue[bytes]) -> None:
        self._pieces = pieces

    async def readany(self) -> bytes:
        return await self._pieces.get()


def queue_of(*pieces: bytes) -> asyncio.Queue[bytes]:
    queue: asyncio.Queue[bytes] = asyncio.Queue()
    for piece in pieces:
        queue.put_nowait(piece)
    return queue


def ended(*, owner: str = "ada") -> dict[str, Any]:
    """Its pod, as it was seen last."""
    annotations = {names.DEPLOYMENT: "lab", names.EXECUTION: "x1", names.SERVICE: WHO.service, names.ATTEMPT: "1"}
    annotations[names.OWNER] = owner
    metadata = {"name": "p", "namespace": "zoe", "uid": "u", "annotations": annotations, "labels": {}}
    return {
        "metadata": metadata,
        "spec": {"nodeName": "node1"},
        "status": {"phase": "Running", "containerStatuses": [TERMINATED]},
    }


@pytest.mark.parametrize("is_gone", [False, True])
async def test_who_has_ended_is_read_from_the_copy_as_soon_as_that_is_whole(tmp_path: Path, is_gone: bool) -> None:
    server, known = Server(), Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    known.pods[WHO] = ended()
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]
        server.rest.put_nowait(b"line 1\n")
        await logs.begun(WHO)
        if is_gone:
            del known.pods[WHO]
        reading = asyncio.create_task(read(logs))
        assert not (await asyncio.wait([reading], timeout=0.1))[0]
        for piece in (b"line 2\n", b""):
            server.rest.put_nowait(piece)

        assert await reading == b"line 1\nline 2\n"
        await logs.close()


@pytest.mark.parametrize("is_silent", [False, True])
async def test_a_pod_is_not_removed_before_a_slow_answer_with_its_log_has_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_silent: bool
) -> None:
    """Unless its node does not answer: that would be waited for in vain."""
    monkeypatch.setattr(module, "BEGIN_S", 0.05)
    server, known = Server(), Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    known.pods[WHO], may_answer = ended(), asyncio.Event()
    monkeypatch.setattr(server, "wait", may_answer.wait)
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(  # type: ignore[arg-type]
            server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024, is_silent=lambda _: is_silent
        )
        removing = asyncio.create_task(logs.begun(WHO))
        assert bool((await asyncio.wait([removing], timeout=1.0))[0]) == is_silent
        may_answer.set()
        await asyncio.wait_for(removing, 5)
        assert is_silent or kept(tmp_path) == [b""]
        await logs.close()


async def test_of_more_than_can_be_copied_at_once_what_they_had_said_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COPIES_AT_ONCE", 1)
    known = Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    other = Attempt("lab", "x1", "app.main-1", 1)
    known.pods[WHO] = known.pods[other] = ended()
    server = Server()
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]
        server.later = b"so far\n"
        await logs.begun(WHO)
        await logs.begun(other)
        known.pods.clear()
        server.rest.put_nowait(b"")
        await asyncio.wait([logs.keep(other)], timeout=5)

        assert (tmp_path / slug("x1") / f"000001-{slug(other.service)}.log").read_bytes() == b"so far\n"
        await logs.close()


async def test_copies_of_what_was_said_so_far_leave_connections_for_all_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "COPIES_AT_ONCE", 1)
    monkeypatch.setattr(module, "BEGINNINGS_AT_ONCE", 2)
    monkeypatch.setattr(module, "WAIT_S", 0.05)
    monkeypatch.setattr(module, "PATIENCE_S", 0.05)
    known = Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    attempts = [Attempt("lab", "x1", f"app.main-{number}", 1) for number in range(6)]
    known.pods.update(dict.fromkeys(attempts, ended()))
    server = Server()
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]
        server.is_deaf = True
        await asyncio.gather(*map(logs.begun, attempts))
        assert server.open == 1 + 2
        await logs.close()


@pytest.mark.parametrize(
    ("status", "times", "is_kept"), [(500, 1, True), (503, 3, True), (500, 99, False), (400, 1, False)]
)
async def test_a_log_that_cannot_be_had_in_one_moment_is_copied_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, times: int, *, is_kept: bool
) -> None:
    """A kubelet is started anew just when the pod is to go."""
    monkeypatch.setattr(module, "AGAIN_S", 0.0)
    server, known = Server(), Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    known.pods[WHO] = ended()
    server.refusals = [ApiError(status, "", "dial tcp: timeout")] * times
    server.later = b"line 1\n"
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]
        await asyncio.wait_for(logs.keep(WHO), 5)
        assert kept(tmp_path) == ([b"line 1\n"] if is_kept else [])
        assert server.asked == (times + 1 if is_kept else min(times, module.REFUSALS))
        await logs.close()


async def test_a_log_that_is_refused_is_asked_for_less_and_less_often_and_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "AGAIN_S", 0.02)
    monkeypatch.setattr(module, "LONGEST_AGAIN_S", 0.08)
    monkeypatch.setattr(module, "COPIES_AT_ONCE", 1)
    server, known = Server(), Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    other, pauses = Attempt("lab", "x1", "app.main-1", 1), list[float]()
    known.pods.update(dict.fromkeys((WHO, other), ended()))
    server.refusals, server.later = [ApiError(500, "", "dial tcp: timeout")] * 5, b"line 1\n"
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]

        async def pause(attempt: Attempt, pause_s: float) -> None:
            pauses.append(pause_s)
            server.refusals, kept_back = [], server.refusals
            await asyncio.wait_for(logs.keep(other), 5)
            server.refusals = kept_back

        monkeypatch.setattr(logs, "_pause", pause)
        await asyncio.wait_for(logs.keep(WHO), 5)
        assert pauses == [0.02, 0.04, 0.08, 0.08, 0.08]
        assert kept(tmp_path) == [b"line 1\n"] * 2
        await logs.close()


async def test_a_log_that_was_refused_is_asked_for_at_once_where_its_pod_has_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its node is back, and the pod about to go."""
    monkeypatch.setattr(module, "AGAIN_S", 600.0)
    monkeypatch.setattr(module, "LONGEST_AGAIN_S", 600.0)
    server, known = Server(), Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    known.pods[WHO] = ended()
    server.refusals, server.later = [ApiError(500, "", "dial tcp: timeout")], b"line 1\n"
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]
        logs.keep(WHO)
        await eventually(lambda: _is(WHO in logs._pauses))
        await asyncio.wait_for(logs.keep(WHO), 5)
        assert kept(tmp_path) == [b"line 1\n"]
        await logs.close()


async def test_what_is_told_of_its_last_lines_is_not_of_any_length(tmp_path: Path) -> None:
    """It is kept with the reason of its end, for each of its starts."""
    server, known = Server(), Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    known.pods[WHO] = ended()
    for piece in (b"x" * 100_000, b"x\r\nlast\n", b""):
        server.rest.put_nowait(piece)
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]
        assert await logs.last_lines(WHO, 20) == ["x" * LINE_CHARS, "last"]
        await logs.close()


async def test_of_a_long_log_the_end_is_kept_and_it_says_that_there_was_more(tmp_path: Path) -> None:
    """The last lines are those for which somebody looks."""
    server, known = Server(), Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    known.pods[WHO] = ended()
    lines = [b"line %d\n" % number for number in range(1000)]
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]
        for piece in (*lines, b""):
            server.rest.put_nowait(piece)
        await logs.keep(WHO)
        del known.pods[WHO]
        whole = await read(logs)
        await logs.close()
    assert len(whole) <= 1024 + len(LEFT_OUT)
    first, *kept = whole.splitlines(keepends=True)
    assert first == LEFT_OUT
    assert kept == lines[-len(kept) :]
    assert len(kept) > 40
    (folder,) = os.listdir(tmp_path)
    assert os.listdir(tmp_path / folder) == [f"000001-{slug(WHO.service)}.log"]


async def test_the_logs_of_a_service_that_is_started_again_and_again_have_a_limit(tmp_path: Path) -> None:
    server, known = Server(), Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    server.later = b"x" * 999 + b"\n"
    for piece in (server.later, b""):
        server.rest.put_nowait(piece)
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]
        for number in range(1, 13):
            for service in (WHO.service, "app.main-1"):
                attempt = Attempt("lab", "x1", service, number)
                known.pods[attempt] = ended()
                await logs.keep(attempt)
                del known.pods[attempt]
                logs.let_go(attempt)
        whole = await read(logs)
        assert not logs._copies
        await logs.close()
    assert whole == LEFT_OUT + FILES * server.later


async def test_an_execution_is_forgotten_also_where_its_last_copy_ends_just_then(tmp_path: Path) -> None:
    server, known = Server(), Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    known.pods[WHO] = ended()
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]
        await logs.begun(WHO)
        del known.pods[WHO]
        logs.let_go(WHO)
        forgetting = asyncio.create_task(logs.forget("x1", keep_logs=False))
        await asyncio.wait([forgetting], timeout=0.05)
        server.rest.put_nowait(b"")
        await asyncio.wait_for(forgetting, 5)
        assert not logs._copies
        assert os.listdir(tmp_path) == []
        await logs.close()


async def test_who_reads_many_logs_of_one_execution_is_told_so_and_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_OF_ONE", 2)
    server, known = Server(), Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    other = Attempt("lab", "x2", WHO.service, 1)
    known.pods.update(dict.fromkeys((WHO, other), ended()))
    server.later = b"line 1\n"
    server.is_deaf = True
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]
        reading = [asyncio.create_task(read(logs)) for _ in range(2)]
        await eventually(lambda: _is(server.open == 2))
        with pytest.raises(TooMany, match="2 are open for x1"):
            await read(logs)
        server.is_deaf = False
        assert await read(logs, other) == b"line 1\n"

        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
        assert await read(logs) == b"line 1\n"
        await logs.close()


async def test_who_reads_many_logs_of_their_executions_is_told_so_and_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_OF_OWNER", 2)
    monkeypatch.setattr(module, "AWAITED_OF_OWNER", 2)
    server, known = Server(), Known(Site(deployment="lab", namespace="zoe"), Hints(), is_closed=lambda node: False)
    hers = [Attempt("lab", f"x{number}", WHO.service, 1) for number in range(3)]
    his = Attempt("lab", "y", WHO.service, 1)
    known.pods.update({**{who: ended(owner="ada") for who in hers}, his: ended(owner="bob")})
    server.later = b"line 1\n"
    server.is_deaf = True
    with ThreadPoolExecutor(1) as executor:
        logs = Logs(server, known, Hints(), folder=tmp_path, executor=executor, limit_bytes=1024)  # type: ignore[arg-type]
        busy = [asyncio.create_task(read(logs, who)) for who in hers[:2]]
        busy += [asyncio.create_task(anext(logs.lines(who, follow=True))) for who in hers[:2]]
        await eventually(lambda: _is(server.open == 4))
        with pytest.raises(TooMany, match="2 are open for ada"):
            await read(logs, hers[2])
        with pytest.raises(TooMany, match="2 are open for ada"):
            await anext(logs.lines(hers[2], follow=True))
        server.is_deaf = False
        assert await read(logs, his) == b"line 1\n"

        for task in busy:
            task.cancel()
        await asyncio.gather(*busy, return_exceptions=True)
        assert await read(logs, hers[2]) == b"line 1\n"
        await logs.close()


async def _is(claim: bool) -> bool:
    return claim


@pytest.mark.kubernetes
async def test_the_end_of_a_long_log_is_kept_when_its_pod_goes(world: KubernetesWorld) -> None:
    world.options = {"log_limit_bytes": 64 * 1024}
    runner = Runner(world, await world.open())
    code = "for number in range(20_000): print('line', number)"
    await runner.launch(runner.order("one", code=code))
    await runner.ended("one")
    await runner.backend.clean("one", keep_logs=True)
    whole = await runner.output("one")
    assert whole.startswith(LEFT_OUT)
    assert whole.endswith(b"line 19998\nline 19999\n")
    assert await runner.output("one", tail=1) == b"line 19999\n"
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


@pytest.mark.kubernetes
async def test_one_user_cannot_read_so_many_logs_that_another_can_read_none(
    world: KubernetesWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_OF_OWNER", 1)
    runner = Runner(world, await world.open())
    code = "import time; print('said', flush=True); time.sleep(600)"
    for name, owner in (("one", "ada"), ("two", "ada"), ("three", "bob")):
        await runner.launch(replace(runner.order(name, code=code), owner=owner))
        await runner.said(name, "app.main-0", b"said\n")
    following = runner.backend.logs("one", "app.main-0", tail=None, follow=True)
    assert await anext(following) == b"said\n"
    with pytest.raises(TooMany, match="1 are open for ada"):
        await runner.output("two")
    assert await runner.output("three") == b"said\n"

    await following.aclose()  # type: ignore[attr-defined]
    assert await runner.output("two") == b"said\n"
    for name in ("one", "two", "three"):
        await runner.backend.clean(name, keep_logs=False)
    await runner.backend.close()


async def read(logs: Logs, who: Attempt = WHO) -> bytes:
    return b"".join([chunk async for chunk in logs.read(who.execution_id, who.service, tail=None, follow=False)])


def kept(folder: Path) -> list[bytes]:
    """What each copy has."""
    return [file.read_bytes() for file in folder.rglob("*.log")]
