"""Zoe is killed while submits of several people share commits: who was answered finds theirs again, who was not asks again, and nothing is there twice."""

from __future__ import annotations

import random
import signal
import threading

import pytest

from zoe_jupyter.testing.chaos import ChaosHarness, Died, Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SHORT, LONG = range(6), range(6, 60)
AT_ONCE = 8
LONGEST_S = 0.4
"""After so long at most Zoe is killed; it stores some dozens of submits in that time, most of them while others wait for the same commit."""
POINTS = ("", "submit.before", "commit.before", "submit.after")
"""Where it is killed instead, the ``n``-th time that it comes there."""


class Submitter(threading.Thread):
    """Submits what does not begin yet, one after the other, until the server dies."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._number = number
        self.answered: dict[str, str] = {}
        """Id by key."""
        self.unsure = ""
        """The key whose answer was lost."""

    def run(self) -> None:
        for count in range(10_000):
            self.unsure = f"{self._number}-{count}"
            try:
                self.answered[self.unsure] = submit(self._server, self.unsure)
            except Died:
                return


def submit(server: Server, key: str) -> str:
    execution_id: str = server.ask("POST", "executions", {"use": "job", "begin": "+1h"}, key=key)["id"]
    return execution_id


def killed_among_submits(home: ChaosHarness, chance: random.Random) -> list[Submitter]:
    """The point is armed once it serves: its own start commits, too."""
    point, armed = chance.choice(POINTS), home.folder / "armed"
    server = home.hatch(failpoint=f"@{armed}")
    if point:
        armed.write_text(f"{point}:{chance.randint(2, 12)}")
    submitters = [Submitter(server, number) for number in range(AT_ONCE)]
    for submitter in submitters:
        submitter.start()
    if not point:
        threading.Timer(chance.uniform(0.0, LONGEST_S), server.process.kill).start()
    for submitter in submitters:
        submitter.join(60)
        assert not submitter.is_alive()
    assert server.ended() == -signal.SIGKILL
    return submitters


@pytest.mark.parametrize("seed", [*SHORT, *(pytest.param(seed, marks=pytest.mark.chaos) for seed in LONG)])
def test_a_kill_among_submits_that_share_commits_loses_nothing_that_was_answered(home: ChaosHarness, seed: int) -> None:
    submitters = killed_among_submits(home, random.Random(seed))
    server = home.hatch()
    try:
        wanted: list[str] = []
        for submitter in submitters:
            again = {key: submit(server, key) for key in submitter.answered}
            assert again == submitter.answered, "another execution is answered than before"
            wanted += [*submitter.answered.values(), submit(server, submitter.unsure)]
        found = [item["id"] for item in server.ask("GET", "executions?limit=1000")["items"]]
        assert sorted(found) == sorted(wanted), "something is lost, or there twice"
        submitted = [event.execution_id for event in home.look().events if event.kind == "execution.submitted"]
        assert sorted(submitted) == sorted(wanted)
    finally:
        server.end()
