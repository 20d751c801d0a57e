"""A whole Zoe on real containers, killed at each failpoint of what it does there, on the way from a submit to the end; the next one goes on where it was.

A life dies at several points, one after another: each needs containers that start and stop, which cost more than the kill.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.failpoints import failpoints_in
from zoe_jupyter.engine import actions, ledger, loop
from zoe_jupyter.testing.chaos import ChaosHarness, Died, Refused, Server, until

STEP_S = 60.0
SLEEP = "command: [python3, -u, -c, \"import time; print('awake'); time.sleep(3600)\"]"
PAIR = f"""
zoe: 1
kind: framework
name: pair
version: "1"
title: Pair
processes:
  head:
    image: zoe-test/base
    {SLEEP}
    resources: {{cores: 0.05, memory: 32MiB}}
    ready: {{log: "^awake", timeout_s: 60}}
    stop: {{grace_s: 2}}
  worker:
    after: [head]
    count: {{core: 1, elastic: 1}}
    image: zoe-test/base
    {SLEEP}
    resources: {{cores: 0.05, memory: 32MiB}}
    drain: {{command: [python3, -c, "print('drained')"], timeout_s: 10}}
    stop: {{grace_s: 2}}
"""
ALL = {"pair.head-0", "pair.worker-0", "pair.worker-1"}
STORED = ("submit.", "save.")
"""How those of the ledger's failpoints begin that lie on the way."""
WAY = [
    *(each for each in failpoints_in(Path(actions.__file__)) if not each.startswith("force.")),
    *failpoints_in(Path(loop.__file__)),
    *(each for each in failpoints_in(Path(ledger.__file__)) if each.startswith(STORED)),
]
LIVES = {
    "written": ("submit.before", "submit.after", "bound.before", "bound.after", "save.before", "save.after"),
    "grown": ("launch.before", "launch.reserved", "launch.after", "drain.before", "drain.after"),
    "ended": ("stop.before", "stop.after", "clean.before", "clean.after"),
}
"""The points of each life, in the order in which it comes to them."""
assert sorted(sum(LIVES.values(), ())) == sorted(WAY), "each point on the way is in one life"
Running = Callable[[], set[tuple[str, str]]]
"""Name and identity of each service of this deployment that the backend itself says to run."""
Step = tuple[Callable[[Server], Any], Callable[[Server], bool]]


def furnish(home: ChaosHarness, backend: str, deployment: str, options: dict[str, Any]) -> None:
    """With the pair that lives and dies here."""
    home.furnish(
        f"c.Zoe.backend = {backend!r}\nc.Zoe.deployment = {deployment!r}\nc.Zoe.backend_options = {options!r}\n"
    )
    home.add("pair", PAIR)


def survive(
    home: ChaosHarness, points: Sequence[str], *, running: Running, left: Callable[[], Collection[str]]
) -> None:
    """Submit, scale, stop; nothing of it is lost, doubled or left, wherever Zoe is killed. ``left``: what the backend still has of it."""
    life = Life(home, points)
    submit = {"use": "pair", "name": "mine"}
    try:
        life.take((lambda zoe: zoe.ask("POST", "executions", submit, key="once"), lambda zoe: services(zoe) == ALL))
        first = running()
        assert sorted(service for service, _ in first) == sorted(ALL)
        life.take((scale, lambda zoe: services(zoe) == ALL - {"pair.worker-1"}))
        stays = {each for each in first if each[0] != "pair.worker-1"}
        life.take((look, lambda zoe: look(zoe) and running() == stays))
        life.take((stop, lambda zoe: zoe.ask("GET", "executions/mine")["state"] == "ended"))
        cleans = any(each.startswith("clean.") for each in points)
        life.take((look, lambda zoe: look(zoe) and not left() and not (cleans and life.ahead)))
    finally:
        if life.server is not None:
            life.server.end()
    assert not life.ahead, f"{life.ahead[0]} was never reached"


class Life:
    """Armed with one point at a time; killed there, in whatever step comes to it, and armed with the next."""

    def __init__(self, home: ChaosHarness, points: Sequence[str]) -> None:
        self.home = home
        self.ahead = list(points)
        self.server: Server | None = None

    def take(self, step: Step) -> None:
        while not self._takes(step):
            del self.ahead[0]
            assert self.server is None or self.server.ended() == -signal.SIGKILL
            self.server = None

    def _takes(self, step: Step) -> bool:
        act, is_done = step
        try:
            if self.server is None:
                self.server = self.home.hatch(failpoint=self.ahead[0] if self.ahead else "")
            server = self.server
            act(server)
            until(lambda: is_done(server), STEP_S, lambda: self.home.log.read_text()[-3000:])
        except Died:
            assert self.ahead, "it died though nothing was armed any more"
            return False
        return True


def look(zoe: Server) -> bool:
    """Whether it lives."""
    return bool(zoe.ask("GET", "info"))


def scale(zoe: Server) -> None:
    zoe.ask("POST", "executions/mine/scale", {"counts": {"worker": 1}})


def stop(zoe: Server) -> None:
    with suppress(Refused):
        zoe.ask("POST", "executions/mine/stop")


def services(zoe: Server) -> set[str]:
    """Names of those that are ready; empty while others are there."""
    found = {each["name"]: each["state"] for each in zoe.ask("GET", "executions/mine")["services"]}
    return set(found) if set(found.values()) == {"running"} else set()
