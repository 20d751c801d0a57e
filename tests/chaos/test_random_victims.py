"""Core, supervisors and services are killed in random order while people submit, scale and stop; the seed says what and when. At the end the books hold."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from zoe_jupyter.testing.chaos import ChaosHarness, Died, Refused, Server, until
from zoe_jupyter.testing.sight import processes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SHORT, LONG = range(4), range(4, 60)
STORM_S = 4.0
"""So long things are killed, and people go on with what they do."""
SETTLED_S = 40.0
"""Until all is as it was wished: what was killed again and again waits a while before its next try."""
LONGEST_PAUSE_S = 0.25
VICTIMS = ("core", "supervisor", "supervisor", "service", "service", "service")
WISHES = ("submit", "submit", "scale", "stop")


class Household:
    """The Zoe of this home, whichever process it is now."""

    def __init__(self, home: ChaosHarness) -> None:
        self.home = home
        self.server = home.hatch()

    def replace(self) -> None:
        self.server.kill()
        self.server = self.home.hatch()

    def ask(self, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        """Of whichever answers; who was not answered asks again, and may have been heard."""
        (answer,) = until(lambda: self._answer(method, path, body, key), SETTLED_S)
        return answer

    def _answer(self, method: str, path: str, body: Any, key: str) -> tuple[Any] | None:
        try:
            return (self.server.ask(method, path, body, key=key),)
        except Died:
            return None


class User(threading.Thread):
    """Submits with keys, scales and stops; remembers what was promised."""

    def __init__(self, household: Household, chance: random.Random) -> None:
        super().__init__(daemon=True)
        self._household = household
        self._chance = chance
        self.is_enough = threading.Event()
        self.submitted: list[str] = []
        self.stopped: set[str] = set()
        self.broken: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.is_enough.wait(self._chance.uniform(0.0, LONGEST_PAUSE_S)):
                self._wish()
        except BaseException as error:
            self.broken = error

    def _wish(self) -> None:
        what = self._chance.choice(WISHES)
        if what == "submit" or not self.submitted:
            key = f"key-{len(self.submitted)}"
            self.submitted.append(self._household.ask("POST", "executions", {"use": "crew"}, key=key)["id"])
            return
        own = self._chance.choice(self.submitted)
        if what == "stop":
            self._household.ask("POST", f"executions/{own}/stop")
            self.stopped.add(own)
            return
        counts = {"worker": self._chance.randint(1, 3)}
        try:
            self._household.ask("POST", f"executions/{own}/scale", {"counts": counts})
        except Refused as refused:
            if refused.status != 409:  # it has ended, or is about to
                raise


def kill_at_random(household: Household, chance: random.Random) -> int:
    """For as long as the storm lasts; how many were killed."""
    killed, end = 0, time.monotonic() + STORM_S
    while time.monotonic() < end:
        what = chance.choice(VICTIMS)
        if what == "core":
            household.replace()
            killed += 1
        elif found := [p.pid for p in processes_of(household.home.folder) if bool(p.service) == (what == "service")]:
            with suppress(ProcessLookupError):
                os.kill(chance.choice(found), signal.SIGKILL)
                killed += 1
        time.sleep(chance.uniform(0.0, LONGEST_PAUSE_S))
    return killed


@pytest.mark.parametrize("seed", [*SHORT, *(pytest.param(seed, marks=pytest.mark.chaos) for seed in LONG)])
def test_whoever_is_killed_the_books_hold(home: ChaosHarness, seed: int) -> None:
    """Who or what is met follows from the seed; where they were in their work, from the clock too."""
    print(f"to repeat it: pytest -m '' '{Path(__file__).name}::test_whoever_is_killed_the_books_hold[{seed}]'")
    chance = random.Random(seed)
    household = Household(home)
    user = User(household, random.Random(chance.random()))
    try:
        user.start()
        assert kill_at_random(household, chance)
        user.is_enough.set()
        user.join(60)
        assert not user.is_alive()
        if user.broken is not None:
            raise user.broken
        check_books(home, household.server, user)
    finally:
        user.is_enough.set()
        household.server.end()


def check_books(home: ChaosHarness, server: Server, user: User) -> None:
    """What was promised is there once, what was stopped has ended so, the rest runs or says why it cannot; then all is stopped, and nothing is left."""
    home.settle(server, limit_s=SETTLED_S)
    until(lambda: not unfinished(server, user), SETTLED_S, lambda: unfinished(server, user))
    found = {item["id"]: item for item in server.ask("GET", "executions?limit=1000")["items"]}
    assert sorted(found) == sorted(user.submitted), "something is lost, or there twice"
    for item in found.values():
        if item["state"] == "ended" and item["id"] not in user.stopped:
            assert item["outcome"] in ("failed", "lost"), item
            assert item["reason"]["text"], item
    home.settle(server)
    for execution_id in found:
        server.ask("POST", f"executions/{execution_id}/stop")
    home.settle(server, is_idle=True, limit_s=SETTLED_S)


def unfinished(server: Server, user: User) -> list[str]:
    """Those that are not where they were wished to be, and do not say why."""
    items = server.ask("GET", "executions?limit=1000")["items"]
    return [
        f"{item['name']} is {item['state']}: {item['progress']}"
        for item in items
        if item["state"] != "ended" and (item["id"] in user.stopped or not is_settled(item))
    ]


def is_settled(item: dict[str, Any]) -> bool:
    """It runs, or says what it waits for."""
    waits_for = item["queue"]["reason"]["text"] if item["queue"] else ""
    return item["state"] == "running" or (item["state"] == "queued" and bool(waits_for))
