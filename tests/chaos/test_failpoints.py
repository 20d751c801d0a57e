"""The crash rule, from outside: Zoe is killed at every failpoint that the code names, in everything that can be asked for."""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest

import zoe_jupyter
from tests.chaos.story import Step, Story
from tests.failpoints import failpoints
from zoe_jupyter.testing.chaos import REPAIRED_S, ChaosHarness, Died, Server, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PATIENCE_S = 40.0
OFTEN = ("save", "commit", "launch")
"""Subjects of points that one step comes to several times."""
MOST = 8
"""Times that a step may come to a point, as far as the long tests look."""
ELSEWHERE = frozenset(
    {"expire.before", "expire.after", "upgrade.backed_up", "upgrade.before", "upgrade.altered", "upgrade.checked"}
    | {"force.before", "force.killed", "force.after"}
)
"""Points that no wish of a user leads to, or only where a supervisor is stuck; they have tests of their own."""


PLANS = (
    {
        "begin": "open.locked", "submit": "submit.before", "suspend": "stop.before", "shrink": "drain.before",
        "queue": "submit.after", "hold": "lease.before", "begin anew in every state": "open.bound",
        "let go": "lease_end.before", "forget": "forget.before", "stop while starting": "clean.before",
        "stop": "clean.kept",
    },
    {
        "begin": "open.migrated", "submit": "bound.before", "shrink": "drain.after", "hold": "lease.after",
        "begin anew in every state": "open.taken", "let go": "lease_end.after", "forget": "forget.after",
        "stop": "clean.finished",
    },
    {
        "begin": "open.told", "submit": "bound.after", "suspend again": "stop.after", "stop": "clean.after",
    },
)  # fmt: skip
"""Point by step, of those that few steps come to: several in one life. The long tests give each one a life of its own."""
ROOMS = Path(zoe_jupyter.__file__).parent
OTHER_BACKENDS = [ROOMS / "backends" / name for name in ("docker", "kubernetes")]
"""Their rooms have points that processes of this machine never lead to; each has a ``test_killed.py``."""


def local_failpoints() -> list[str]:
    """Those on the way to a local process."""
    return failpoints(ROOMS, without=OTHER_BACKENDS)


def moments() -> list[object]:
    """Every point when a step comes to it first; some, and in the long tests all, also when it comes again."""
    names = [name for name in local_failpoints() if name not in ELSEWHERE]
    shared = {point for plan in PLANS for point in plan.values()}
    again = [f"{name}:3" for name in names if name.split(".")[0] in OFTEN]
    rest = [f"{name}:{count}" for name in names for count in range(2, MOST + 1) if f"{name}:{count}" not in again]
    alone = [name for name in names if name not in shared]
    long = [*(name for name in names if name in shared), *rest]
    return [*alone, *again, *(pytest.param(moment, marks=pytest.mark.chaos) for moment in long)]


@pytest.fixture
def home(home: ChaosHarness) -> Iterator[ChaosHarness]:
    """Nothing may be left running in it."""
    yield home
    assert not home.clear()


class Life:
    """A story, lived with a Zoe that is killed in every step that comes to its point; each time the next Zoe goes on."""

    def __init__(self, home: ChaosHarness, moment: Callable[[Step], str]) -> None:
        self.home = home
        self.moment = moment
        self.story = Story(home)
        self.armed = home.folder / "armed"
        self.killed_in: list[str] = []
        self.server: Server | None = None

    def live(self) -> None:
        try:
            for number, step in enumerate(self.story.steps()):
                self.armed.write_text(f"{self.moment(step)} {number}")
                with suppress(Died):
                    self.take(step, PATIENCE_S)
                    continue
                self.repair(step)
        finally:
            if self.server is not None:
                self.server.process.terminate()
                self.server.ended()

    def take(self, step: Step, limit_s: float) -> None:
        if step.begins_anew and self.server is not None:
            self.server.end()
            self.server = None
        if self.server is None:
            self.server = self.home.hatch(failpoint=f"@{self.armed}")
        step.take(self.server, limit_s, lambda: (self.story.states(self.server), self.home.broken()))  # type: ignore[arg-type]

    def repair(self, step: Step) -> None:
        """The next Zoe, and what the step wanted, and everything as it should be, in the time that a repair may take."""
        self.killed_in.append(step.name)
        self.armed.unlink()
        if self.server is not None:
            assert self.server.ended() == -signal.SIGKILL, f"it died of something else in {step.name}"
        began = time.monotonic()
        self.server = self.home.hatch(failpoint=f"@{self.armed}")
        step.take(self.server, REPAIRED_S, lambda: (self.story.states(self.server), self.home.broken()))  # type: ignore[arg-type]
        self.home.settle(self.server)
        took_s = time.monotonic() - began
        print(f"{took_s:.2f} s after a kill in: {step.name}")
        assert took_s < REPAIRED_S, f"the repair of {step.name} took {took_s:.1f} s"


def test_the_code_names_failpoints_around_every_action() -> None:
    subjects = {name.split(".")[0] for name in local_failpoints()}

    assert subjects >= {
        "open",
        "submit",
        "save",
        "commit",
        "launch",
        "supervisor",
        "stop",
        "drain",
        "clean",
        "bound",
        "lease",
    }


@pytest.mark.parametrize("moment", moments())
def test_a_kill_at_any_failpoint_is_repaired_by_the_next_zoe(home: ChaosHarness, moment: str) -> None:
    """Nothing lost, nothing twice, nothing orphaned, whatever state an execution is in: the story goes on where it was, and leaves nothing."""
    life = Life(home, lambda _: moment)

    life.live()

    assert life.killed_in or moment.endswith(tuple("2345678")), f"{moment} was never reached"
    check_starts(life)


@pytest.mark.parametrize("plan", PLANS)
def test_kills_at_many_failpoints_of_one_life_are_repaired_each_time(
    home: ChaosHarness, plan: Mapping[str, str]
) -> None:
    life = Life(home, lambda step: plan.get(step.name, ""))

    life.live()

    assert life.killed_in == list(plan)
    check_starts(life)


def check_starts(life: Life) -> None:
    starts = Counter(mark.split("/")[1].split("#")[0] for mark in life.home.look().launches)
    assert starts == {
        "crew.head-0": 4, "crew.worker-0": 4, "crew.worker-1": 5, "slow.main-0": 1, "stubborn.main-0": 1, "hall.main-0": 1,
    }, f"what ran was adopted, not started anew; killed in {life.killed_in}"  # fmt: skip


@pytest.mark.parametrize("moment", ["expire.before", "expire.after"])
def test_old_logs_go_with_their_execution_also_when_zoe_is_killed_in_between(home: ChaosHarness, moment: str) -> None:
    server = home.hatch()
    own = server.ask("POST", "executions", {"use": "job"})["id"]
    until(lambda: server.ask("GET", f"executions/{own}")["state"] == "ended", PATIENCE_S)
    home.settle(server, is_idle=True)
    server.end()
    logs = home.state / "logs" / own
    assert logs.is_dir()
    with (home.folder / "config" / "jupyter_zoe_config.py").open("a") as config:
        config.write("c.Zoe.history_days = 0.0\n")

    with suppress(Died):
        server = home.hatch(failpoint=moment)
        until(lambda: server.ask("GET", "executions") is None, REPAIRED_S)
    server.ended()
    server = home.hatch()
    try:
        until(lambda: not server.ask("GET", "executions")["items"] and not logs.exists(), REPAIRED_S)
    finally:
        server.end()
