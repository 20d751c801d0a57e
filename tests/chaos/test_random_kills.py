"""Users do what they like, and Zoe is killed at any moment: the seed says what and when; after each repair all invariants hold."""

from __future__ import annotations

import random
import signal
import threading
import time
from pathlib import Path

import pytest

from zoe_jupyter.testing.chaos import REPAIRED_S, ChaosHarness, Died, Refused, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SHORT, LONG = range(50), range(50, 500)
LIVES = 2
"""Kills of one home."""
LONGEST_S = 0.5
"""After so long at most Zoe is killed."""
ENTRIES = ("crew", "crew", "job", "broken", "slow", "hall")
WISHES = ("submit", "submit", "submit", "scale", "scale", "restart", "suspend", "resume", "stop", "forget")


@pytest.fixture
def home(home: ChaosHarness) -> ChaosHarness:
    home.allow("stubborn")
    return home


class User:
    """Wishes at random. What Zoe accepted is remembered, what it refused is none of ours."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.accepted: dict[str, str] = {}
        """Id by key."""
        self.unsure: dict[str, dict[str, str]] = {}
        """Bodies by key of submits whose answer was lost."""

    def wish_until_killed(self, server: Server) -> None:
        try:
            while True:
                self.wish(server)
        except Died:
            return

    def wish(self, server: Server) -> None:
        what = self.chance.choice(WISHES)
        if what == "submit" or not self.accepted:
            self.submit(server, f"key-{self.chance.getrandbits(48):x}", {"use": self.chance.choice(ENTRIES)})
            return
        path = f"executions/{self.chance.choice(list(self.accepted.values()))}"
        try:
            if what == "forget":
                server.ask("DELETE", path)
            elif what == "scale":
                server.ask("POST", f"{path}/scale", {"counts": {"worker": self.chance.randint(1, 2)}})
            else:
                server.ask("POST", f"{path}/{what}")
        except Refused as refused:
            if refused.status not in (404, 409, 422):
                raise

    def submit(self, server: Server, key: str, body: dict[str, str]) -> None:
        self.unsure[key] = body
        self.accepted[key] = server.ask("POST", "executions", body, key=key)["id"]
        del self.unsure[key]

    def repeat(self, server: Server) -> None:
        """Ask again for what nobody knows whether it was done."""
        for key, body in list(self.unsure.items()):
            self.submit(server, key, body)


@pytest.mark.parametrize("seed", [*SHORT, *(pytest.param(seed, marks=pytest.mark.chaos) for seed in LONG)])
def test_a_kill_at_a_random_moment_is_repaired(home: ChaosHarness, seed: int) -> None:
    """The wishes follow from the seed; how far Zoe had come with them when it was killed, from the clock too."""
    print(f"to repeat it: pytest -m '' '{Path(__file__).name}::test_a_kill_at_a_random_moment_is_repaired[{seed}]'")
    chance = random.Random(seed)
    user = User(chance)
    server = home.hatch()
    try:
        for _ in range(LIVES):
            killer = threading.Timer(chance.uniform(0.0, LONGEST_S), server.process.kill)
            killer.start()
            user.wish_until_killed(server)
            killer.join()
            assert server.ended() == -signal.SIGKILL
            began = time.monotonic()
            server = home.hatch()
            check_repaired(home, server, user)
            assert time.monotonic() - began < REPAIRED_S
        leave_nothing(home, server)
    finally:
        server.end()


def check_repaired(home: ChaosHarness, server: Server, user: User) -> None:
    """All that was accepted is there, once, and everything is as it should be."""
    user.repeat(server)
    home.settle(server)
    submitted = [event.execution_id for event in home.look().events if event.kind == "execution.submitted"]
    assert sorted(submitted) == sorted(user.accepted.values()), "something is lost, or there twice"


def leave_nothing(home: ChaosHarness, server: Server) -> None:
    for item in server.ask("GET", "executions?limit=1000")["items"]:
        server.ask("POST", f"executions/{item['id']}/stop")
    home.settle(server, is_idle=True)
