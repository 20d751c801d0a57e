"""Wishes that come twice, at once, or at a bad moment: each through REST, against processes that are real."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from zoe_jupyter.store.reading import KEY_LIFE_S
from zoe_jupyter.testing.chaos import REPAIRED_S, ChaosHarness, Died, Refused, Server, until

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChaosHarness]:
    home = ChaosHarness(tmp_path_factory.mktemp("home"))
    home.furnish()
    yield home
    home.clear()


@pytest.fixture
def server(home: ChaosHarness) -> Iterator[Server]:
    """Whatever a test leaves is stopped; then nothing may be left, and all that happened must fit together."""
    server = home.hatch()
    yield server
    if server.process.poll() is not None:
        server = home.hatch()
    home.allow("stubborn")
    for item in server.ask("GET", "executions?limit=1000")["items"]:
        server.ask("POST", f"executions/{item['id']}/stop")
    home.settle(server, is_idle=True)
    server.end()
    for file in Path(home.folder).glob("shop/*/allowed"):
        file.unlink()


def submit(server: Server, entry: str, *, key: str = "", **fields: Any) -> str:
    return str(server.ask("POST", "executions", {"use": entry, **fields}, key=key)["id"])


def state(server: Server, execution: str) -> str:
    return str(server.ask("GET", f"executions/{execution}")["state"])


def until_state(server: Server, execution: str, *states: str) -> Any:
    def look() -> Any:
        found = server.ask("GET", f"executions/{execution}")
        return found if found["state"] in states else None

    return until(look, REPAIRED_S, lambda: server.ask("GET", f"executions/{execution}"))


def status_of(server: Server, method: str, path: str, body: Any = None, *, key: str = "") -> int:
    """Of a refusal; 200 when there was none."""
    try:
        server.ask(method, path, body, key=key)
    except Refused as refused:
        return refused.status
    return 200


def test_fifty_submits_at_once_with_one_key_are_one_execution(server: Server) -> None:
    with ThreadPoolExecutor(50) as pool:
        ids = set(pool.map(lambda _: submit(server, "crew", key="fifty"), range(50)))

    assert len(ids) == 1
    assert [
        item["id"]
        for item in server.ask("GET", "executions?state=running&state=starting&state=queued&state=submitted")["items"]
    ] == [*ids]


def test_a_key_is_for_one_body(server: Server) -> None:
    first = submit(server, "job", key="body")

    assert submit(server, "job", key="body") == first
    assert status_of(server, "POST", "executions", {"use": "crew"}, key="body") == 409
    assert status_of(server, "POST", "executions", {"use": "job", "labels": {"a": "b"}}, key="body") == 409


@pytest.mark.parametrize("point", ["submit.before", "commit.before:4", "submit.after"])
def test_a_key_is_remembered_across_a_kill(home: ChaosHarness, server: Server, point: str) -> None:
    """Of fifty that were under way with one key, and fifty that come after it, one execution comes."""
    server.end()
    dying = home.hatch(failpoint=point)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: _submit_or_die(dying, point), range(50)))
    assert dying.ended() == -signal.SIGKILL
    home.hatch().end()
    repaired = home.hatch()
    with ThreadPoolExecutor(50) as pool:
        ids = set(pool.map(lambda _: submit(repaired, "job", key=point), range(50)))
    until_state(repaired, next(iter(ids)), "ended")
    repaired.end()

    assert len(ids | {answer for answer in answers if answer}) == 1


def _submit_or_die(server: Server, key: str) -> str:
    with suppress(Died):
        return submit(server, "job", key=key)
    return ""


def test_keys_are_kept_for_seven_days() -> None:
    """That older ones are let go is seen by the store's contract, with a clock of its own."""
    assert KEY_LIFE_S == 7 * 86400


def test_stop_while_queued(server: Server) -> None:
    crew = submit(server, "crew")
    until_state(server, crew, "running")
    hall = submit(server, "hall")
    waiting = until_state(server, hall, "queued")["queue"]

    server.ask("POST", f"executions/{hall}/stop")

    assert (waiting["position"], "cores" in waiting["reason"]["text"]) == (1, True), waiting
    ended = until_state(server, hall, "ended")
    assert (ended["outcome"], ended["reason"]["code"], ended["services"]) == ("stopped", "stopped_by_user", [])


def test_stop_while_starting(server: Server) -> None:
    slow = submit(server, "slow")
    until_state(server, slow, "starting")

    server.ask("POST", f"executions/{slow}/stop")

    assert until_state(server, slow, "ended")["outcome"] == "stopped"


def test_stop_in_the_same_moment_as_the_submit(server: Server) -> None:
    """Wherever it has come to, it ends as stopped."""
    executions = [submit(server, "crew") for _ in range(5)]
    for execution in executions:
        server.ask("POST", f"executions/{execution}/stop")

    assert {until_state(server, execution, "ended")["outcome"] for execution in executions} == {"stopped"}


def test_stop_twice_and_fifty_times_at_once(server: Server) -> None:
    stubborn = submit(server, "stubborn")
    until_state(server, stubborn, "running")

    with ThreadPoolExecutor(50) as pool:
        states = set(pool.map(lambda _: server.ask("POST", f"executions/{stubborn}/stop")["state"], range(50)))

    assert states == {"stopping"}
    assert server.ask("POST", f"executions/{stubborn}/stop")["state"] == "stopping"


def test_delete_during_start_is_refused_and_harms_nothing(server: Server) -> None:
    slow = submit(server, "slow")
    until_state(server, slow, "starting")

    assert status_of(server, "DELETE", f"executions/{slow}") == 409
    assert state(server, slow) == "starting"


def test_delete_right_after_the_end_leaves_nothing(home: ChaosHarness, server: Server) -> None:
    """Also while it is still being cleaned."""
    crew = submit(server, "crew")
    until_state(server, crew, "running")
    server.ask("POST", f"executions/{crew}/stop")
    until_state(server, crew, "ended")

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: status_of(server, "DELETE", f"executions/{crew}"), range(10)))

    assert set(answers) <= {200, 404}
    assert answers.count(200) == 1
    assert status_of(server, "GET", f"executions/{crew}") == 404
    assert not (home.state / "logs" / crew).exists()


@pytest.mark.parametrize("wish", ["scale", "restart", "suspend", "resume"])
def test_nothing_else_is_taken_during_a_stop(server: Server, wish: str) -> None:
    stubborn = submit(server, "stubborn")
    until_state(server, stubborn, "running")
    server.ask("POST", f"executions/{stubborn}/stop")
    body = {"counts": {"main": 1}} if wish == "scale" else None

    assert status_of(server, "POST", f"executions/{stubborn}/{wish}", body) in (409, 422)
    assert state(server, stubborn) == "stopping"


def test_scale_during_a_stop_is_refused(server: Server) -> None:
    crew = submit(server, "crew", name="scaled")
    until_state(server, crew, "running")

    with ThreadPoolExecutor(20) as pool:
        stopping = pool.submit(server.ask, "POST", f"executions/{crew}/stop")
        counts = [{"counts": {"worker": 1 + number % 2}} for number in range(40)]
        statuses = list(pool.map(lambda body: status_of(server, "POST", f"executions/{crew}/scale", body), counts))
        stopping.result()

    assert set(statuses) <= {200, 409}
    assert status_of(server, "POST", f"executions/{crew}/scale", {"counts": {"worker": 2}}) == 409
    assert until_state(server, crew, "ended")["outcome"] == "stopped"


def test_suspend_during_start_and_resume(home: ChaosHarness, server: Server) -> None:
    slow = submit(server, "slow")
    until_state(server, slow, "starting")

    server.ask("POST", f"executions/{slow}/suspend")
    until_state(server, slow, "suspended")
    home.settle(server)
    home.allow("slow")
    server.ask("POST", f"executions/{slow}/resume")

    assert [service["attempt"] for service in until_state(server, slow, "running")["services"]] == [2]


def test_wishes_of_all_kinds_at_once_end_in_one_of_them(home: ChaosHarness, server: Server) -> None:
    crew = submit(server, "crew")
    wishes = ["restart", "suspend", "resume", "restart"] * 10
    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(lambda wish: status_of(server, "POST", f"executions/{crew}/{wish}"), wishes))

    until_state(server, crew, "running", "suspended")
    assert set(statuses) <= {200, 409}
    home.settle(server)
