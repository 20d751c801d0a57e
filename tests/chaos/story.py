"""What users do with a whole cast of executions: one comes into every state, and everything is asked for that can be asked for.

Each step may be done again, by the same or the next Zoe, and knows how to see that it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from zoe_jupyter.testing.chaos import ChaosHarness, Refused, Server, until

CREW = {"crew.head-0", "crew.worker-0", "crew.worker-1"}
CAST = {"job": "job", "broken": "broken", "slow": "slow", "going": "stubborn", "mine": "crew", "nap": "crew"}
"""Entry by name of the execution."""


@dataclass(frozen=True)
class Step:
    """``begins_anew``: with a Zoe that was just started."""

    name: str
    act: Callable[[Server], None]
    is_done: Callable[[Server], bool]
    begins_anew: bool = False

    def take(self, server: Server, limit_s: float, told: Callable[[], Any]) -> None:
        """Do it, and wait until it is done."""
        self.act(server)
        until(lambda: self.is_done(server), limit_s, told)


class Story:
    def __init__(self, home: ChaosHarness) -> None:
        self.home = home
        self.leases: list[str] = []

    def steps(self) -> Sequence[Step]:
        """In this order: while ``hall`` waits for the whole machine, nothing that comes after it may start."""
        return (
            Step("begin", lambda _: None, lambda _: True, begins_anew=True),
            Step("submit", self.submit, self.is_cast),
            Step("suspend", self.posts("nap/suspend"), self.are(nap="suspended")),
            Step("resume", self.posts("nap/resume"), lambda server: self.has(server, "nap", CREW)),
            Step("restart", self.restart, lambda server: self.was_restarted(server) and self.has(server, "mine", CREW)),
            Step("shrink", self.scales("mine", 1), lambda server: self.has(server, "mine", CREW - {"crew.worker-1"})),
            Step("grow", self.scales("mine", 2), lambda server: self.has(server, "mine", CREW)),
            Step("suspend again", self.posts("nap/suspend"), self.are(nap="suspended")),
            Step("stop what is stubborn", self.posts("going/stop"), self.are(going="stopping")),
            Step("queue", self.submits("hall", "hall"), self.are(hall="queued")),
            Step("hold", self.hold, lambda server: True),
            Step("begin anew in every state", lambda _: None, self.is_in_every_state, begins_anew=True),
            Step("let go", self.let_go, lambda server: True),
            Step("forget", self.forget, lambda server: "job" not in self.states(server)),
            Step("stop while starting", self.posts("slow/stop"), self.are(slow="ended")),
            Step(
                "shrink before the end", self.scales("mine", 1), lambda server: len(self.services(server, "mine")) == 2
            ),
            Step("end what is stubborn", lambda _: self.home.allow("stubborn"), self.are(going="ended")),
            Step("stop", self.posts("mine/stop"), self.are(mine="ended", hall="running")),
            Step("stop what is suspended", self.posts("nap/stop"), self.are(nap="ended")),
            Step("leave", self.posts("hall/stop"), self.are(hall="ended")),
            Step("leave nothing", lambda _: None, lambda server: not self.home.broken(server, is_idle=True)),
        )

    def submit(self, server: Server) -> None:
        for name, entry in CAST.items():
            self.submits(name, entry)(server)

    def is_cast(self, server: Server) -> bool:
        expected = {"job": "ended", "broken": "ended", "slow": "starting", "going": "running"}
        return self.are(**expected)(server) and all(self.has(server, name, CREW) for name in ("mine", "nap"))

    def is_in_every_state(self, server: Server) -> bool:
        expected = {"job": "ended", "slow": "starting", "going": "stopping", "nap": "suspended", "hall": "queued"}
        return self.are(**expected)(server) and self.has(server, "mine", CREW)

    def restart(self, server: Server) -> None:
        """Once: a second one would be another wish."""
        if not self.was_restarted(server):
            server.ask("POST", "executions/mine/restart")

    def was_restarted(self, server: Server) -> bool:
        story = server.ask("GET", "executions/mine")["story"]
        return any(line["text"].startswith("restart") for line in story)

    def hold(self, server: Server) -> None:
        self.leases.append(server.ask("POST", "executions/mine/leases", {"ttl_s": 600})["id"])

    def let_go(self, server: Server) -> None:
        for lease in self.leases:
            self.unless_gone(server, "DELETE", f"executions/mine/leases/{lease}")

    def forget(self, server: Server) -> None:
        self.unless_gone(server, "DELETE", "executions/job")

    def unless_gone(self, server: Server, method: str, path: str) -> None:
        try:
            server.ask(method, path)
        except Refused as refused:
            if refused.status != 404:
                raise

    def submits(self, name: str, entry: str) -> Callable[[Server], None]:
        body = {"use": entry, "name": name}
        return lambda server: server.ask("POST", "executions", body, key=f"once-{name}") and None

    def posts(self, path: str) -> Callable[[Server], None]:
        return lambda server: server.ask("POST", f"executions/{path}") and None

    def scales(self, name: str, workers: int) -> Callable[[Server], None]:
        return lambda server: server.ask("POST", f"executions/{name}/scale", {"counts": {"worker": workers}}) and None

    def are(self, **expected: str) -> Callable[[Server], bool]:
        return lambda server: self.states(server).items() >= expected.items()

    def states(self, server: Server) -> dict[str, str]:
        return {item["name"]: item["state"] for item in server.ask("GET", "executions")["items"]}

    def services(self, server: Server, name: str) -> dict[str, str]:
        return {service["name"]: service["state"] for service in server.ask("GET", f"executions/{name}")["services"]}

    def has(self, server: Server, name: str, services: set[str]) -> bool:
        """Whether exactly these run."""
        return self.services(server, name) == dict.fromkeys(services, "running")
