"""The crash rule, from outside: Zoe is killed at every failpoint that the code names; the next Zoe has repaired it within ten seconds."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import zoe_jupyter
from zoe_jupyter.testing.chaos import ChaosHarness, Died, Server, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

REPAIRED_S = 10.0
PATIENCE_S = 40.0


def failpoints() -> list[str]:
    """Every name that ``failpoint`` is called with."""
    names: set[str] = set()
    for file in Path(zoe_jupyter.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "failpoint":
                (name,) = node.args
                assert isinstance(name, ast.Constant), f"{file.name}:{node.lineno}: tests cannot find this one"
                names.add(name.value)
    return sorted(names)


def moments() -> list[str]:
    """Saves come with every change, launches with every service: they are tried at several of them."""
    later = {"save": (3, 6, 10), "launch": (3,)}
    return [
        moment
        for name in failpoints()
        for moment in (name, *(f"{name}:{n}" for n in later.get(name.split(".")[0], ())))
    ]


class Story:
    """What a user does with one execution. Each step may be done again, by the same or the next Zoe."""

    def __init__(self, home: ChaosHarness) -> None:
        self.home = home
        self.id = ""

    def steps(self) -> tuple[Callable[[Server, float], None], ...]:
        return self.run, self.scale_down, self.stop, self.leave_nothing

    def run(self, server: Server, limit_s: float) -> None:
        self.id = server.ask("POST", "executions", {"use": "crew", "name": "mine"}, key="once")["id"]
        self.until_services(server, limit_s, ["crew.head-0", "crew.worker-0", "crew.worker-1"])

    def scale_down(self, server: Server, limit_s: float) -> None:
        server.ask("POST", f"executions/{self.id}/scale", {"counts": {"worker": 1}})
        self.until_services(server, limit_s, ["crew.head-0", "crew.worker-0"])

    def stop(self, server: Server, limit_s: float) -> None:
        server.ask("POST", f"executions/{self.id}/stop")
        ended = until(lambda: self.now(server, "ended"), limit_s, lambda: self.look(server))
        assert ended["outcome"] == "stopped"

    def leave_nothing(self, server: Server, limit_s: float) -> None:
        until(lambda: not self.home.processes(), limit_s, self.home.processes)
        until(lambda: not self.home.run_folders(), limit_s, self.home.run_folders)

    def until_services(self, server: Server, limit_s: float, names: list[str]) -> None:
        """Wait until exactly these run, by Zoe's word and by the machine's."""

        def is_so() -> bool:
            now = self.now(server, "running")
            services = {s["name"]: s for s in now["services"]} if now else {}
            alive = {f"{s['name']}#{s['attempt']}" for s in services.values()}
            return (
                sorted(services) == names
                and {s["state"] for s in services.values()} == {"running"}
                and self.home.sleepers() == alive
            )

        until(is_so, limit_s, lambda: (self.look(server), self.home.sleepers()))

    def now(self, server: Server, state: str) -> Any:
        """The execution, when it is in that state."""
        execution = self.look(server)
        assert state == "ended" or execution["state"] != "ended", execution["reason"]
        return execution if execution["state"] == state else None

    def look(self, server: Server) -> Any:
        return server.ask("GET", f"executions/{self.id}")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[ChaosHarness]:
    home = ChaosHarness(tmp_path)
    home.furnish()
    yield home
    left = home.processes()
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, left


def test_the_code_names_failpoints_around_every_action() -> None:
    subjects = {name.split(".")[0] for name in failpoints()}

    assert subjects >= {"submit", "save", "launch", "stop", "drain", "clean"}


def live_until_killed(home: ChaosHarness, story: Story, moment: str) -> list[Callable[[Server, float], None]]:
    """Go through the story with a Zoe that dies at that moment; what is left to do, beginning with what it was killed in."""
    left = list(story.steps())
    server = home.serve(failpoint=moment)
    try:
        while left:
            left[0](server, PATIENCE_S)
            left.pop(0)
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(3)
    except Died:
        pass
    finally:
        server.process.terminate()
        code = server.ended()
    assert code == -signal.SIGKILL, f"{moment} was never reached"
    return left


@pytest.mark.parametrize("moment", moments())
def test_a_kill_at_any_failpoint_is_repaired_by_the_next_zoe(home: ChaosHarness, moment: str) -> None:
    """Nothing lost, nothing twice, nothing orphaned: the story goes on where it was, and ends with a clean machine."""
    story = Story(home)
    left = live_until_killed(home, story, moment)

    server = home.serve()
    try:
        for step in left:
            step(server, REPAIRED_S)
        assert len(server.ask("GET", "executions")["items"]) == 1
    finally:
        server.end()
    home.check(is_idle=True)
    started = [name for name, _ in home.launches()]
    assert sorted(started) == sorted(set(started)), "an attempt was started twice"
    assert len(started) == 3, "what ran was adopted, not started anew"


@pytest.mark.parametrize("moment", ["launch.reserved", "save.before:3", "save.before:4", "clean.before"])
def test_nothing_is_left_of_what_never_had_a_service(home: ChaosHarness, moment: str) -> None:
    """Its supervisor and its folder are found by its name, although there is no service to be seen."""
    server = home.serve(failpoint=moment)
    with suppress(Died):
        execution = server.ask("POST", "executions", {"use": "broken", "name": "mine"}, key="once")
        until(lambda: not server.ask("GET", f"executions/{execution['id']}"), PATIENCE_S)
    assert server.ended() == -signal.SIGKILL

    server = home.serve()
    try:
        until(lambda: server.ask("GET", "executions/mine")["state"] == "ended", REPAIRED_S)
        until(lambda: not home.processes() and not home.run_folders(), REPAIRED_S, home.processes)
    finally:
        server.end()
