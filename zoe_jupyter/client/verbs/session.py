"""What a verb has to work with: Zoe, who asks, and a screen to tell progress on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Protocol
from urllib.parse import urlsplit

from zoe_jupyter.client.api import LIVE, Api
from zoe_jupyter.client.facts import Facts, gather, is_served
from zoe_jupyter.client.follow import OUTAGE_S, Step, steps
from zoe_jupyter.client.http import Json
from zoe_jupyter.client.logs import follow
from zoe_jupyter.model.errors import Conflict, NotFound, UserError

EXCERPT = 100
"""So many lines of a log are read; more scroll away."""


class Screen(Protocol):
    """Where progress is told while a verb works."""

    def step(self, step: Step) -> None: ...

    def say(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def line(self, text: str) -> None:
        """A line that a program has written."""


class Quiet:
    """A screen that shows nothing."""

    def step(self, step: Step) -> None:
        pass

    def say(self, text: str) -> None:
        pass

    def warn(self, text: str) -> None:
        pass

    def line(self, text: str) -> None:
        pass


class Interrupted(UserError):
    """The user stopped waiting; what was started goes on."""

    reason = "interrupted"


class Session:
    """One kernel's or shell's way to Zoe."""

    def __init__(
        self,
        api: Api | None = None,
        *,
        screen: Screen | None = None,
        namespace: MutableMapping[str, Any] | None = None,
        command: str = "jupyter zoe",
        excerpt: int | None = None,
    ) -> None:
        self.api = api or Api()
        self.screen: Screen = screen or Quiet()
        self.namespace: MutableMapping[str, Any] = {} if namespace is None else namespace
        self.command = command
        """How this user calls a verb: ``%zoe`` or ``jupyter zoe``."""
        self.excerpt = excerpt
        """How many lines of a log somebody who reads gets unless they say; None: all, without a word of Zoe's, for programs."""

    @cached_property
    def facts(self) -> Facts:
        return gather(self.api, self.namespace)

    @property
    def base_url(self) -> str:
        """Of the Jupyter server, for links; ends with a slash, or is empty."""
        url = self.api.http.connection.url
        return url.rstrip("/") + "/" if url else ""

    @property
    def own_origin(self) -> str:
        """How ``base_url`` begins where the reader's page is of the same server, whatever address the browser has for it; else empty."""
        parts = urlsplit(self.base_url)
        return f"{parts.scheme}://{parts.netloc}" if parts.netloc and is_served(self.api) else ""

    def live(self) -> list[Json]:
        """What has not ended, newest first."""
        return self.api.executions(states=LIVE)

    def resolve(self, name: str) -> Json:
        """The execution of that name or id. What this notebook started goes first, also by the application that it is: ``spark``."""
        mine = [execution for execution in self.live() if self.facts.owns(execution)]
        for key in ("id", "name", "entry"):
            found = [execution for execution in mine if execution[key] == name]
            if found:
                return found[0]
        return self.known(name)

    def known(self, name: str) -> Json:
        """The execution of that name or id, also one that has ended; NotFound names near ones."""
        try:
            return self.api.execution(name)
        except NotFound:
            raise NotFound(f"there is no execution {name[:60]!r} of yours; {self._meant(name)}") from None

    def _meant(self, name: str) -> str:
        over = {str(execution["name"]): execution["state"] == "ended" for execution in reversed(self.api.executions())}
        near = get_close_matches(name[:80], over, n=1)
        if not near:
            return f"`{self.command} ps --all` lists them"
        return f"did you mean {near[0]}{', which has ended' if over[near[0]] else ''}?"

    def pick(self, name: str) -> Json:
        """The execution of that name or id; without a name, the only one of this notebook, else the only one there is."""
        if name:
            return self.resolve(name)
        live = self.live()
        mine = [execution for execution in live if self.facts.owns(execution)]
        found = mine or live
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFound(f"nothing is running; `{self.command} shop` shows what there is")
        raise Conflict(f"name the execution; running: {', '.join(str(execution['name']) for execution in found)}")

    def wait(
        self, execution: Mapping[str, Any], until: Callable[[Json], bool], *, timeout_s: float | None = None
    ) -> Mapping[str, Any]:
        """Tell its progress until it is so far or has ended; the last record. Raises Interrupted, which says how to stop it, and NotInTime."""
        last: Mapping[str, Any] = execution
        try:
            for step in steps(self.api, str(execution["id"]), until=until, timeout_s=timeout_s):
                last = step.execution
                self.screen.step(step)
        except KeyboardInterrupt:
            raise self._interrupted(execution) from None
        return last

    def show_log(self, execution: Mapping[str, Any]) -> None:
        """Show what its program writes, from the first line until it has ended. Raises Interrupted."""
        try:
            for line in follow(self.api, str(execution["id"]), tail=None, outage_s=OUTAGE_S):
                self.screen.line(line)
        except NotFound:
            return
        except KeyboardInterrupt:
            raise self._interrupted(execution) from None

    def _interrupted(self, execution: Mapping[str, Any]) -> Interrupted:
        name = execution["name"]
        ways = f"`{self.command} info {name}` shows how far it is, `{self.command} stop {name}` ends it"
        return Interrupted(f"stopped waiting; {name} goes on by itself. {ways}")


def is_running(execution: Mapping[str, Any]) -> bool:
    return bool(execution["state"] == "running")


def is_ended(execution: Mapping[str, Any]) -> bool:
    return bool(execution["state"] == "ended")
