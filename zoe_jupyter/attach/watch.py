"""Noticing, while a notebook works, that what it is attached to has ended: a thread on the event stream, and notices for the next cell."""

from __future__ import annotations

import threading
import time

from zoe_jupyter.attach import registry
from zoe_jupyter.client.api import Api
from zoe_jupyter.client.follow import ended_text
from zoe_jupyter.client.http import Http, Json, Lost
from zoe_jupyter.model.errors import NotFound, ZoeError

SILENCE_S = 40.0
LONGEST_PAUSE_S = 15.0


class Watcher:
    """Follows the events of one kernel's executions; survives restarts of the server by going on after the last event seen."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._since: int | None = None
        self._states: dict[str, str] = {}
        self._parts: dict[str, frozenset[tuple[str, int]]] = {}
        """By execution: the services, with their attempts, that it had when it was attached."""
        self._notices: dict[str, str] = {}
        """By execution: of news that came together only the last is told."""
        self._losses: dict[str, str] = {}
        """By execution that is no longer there to work with: what has become of it."""
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, execution: Json) -> None:
        """Tell when that one is no longer there to work with."""
        execution_id = str(execution["id"])
        with self._lock:
            registry.mark_there(execution_id)
            self._states[execution_id] = str(execution["state"])
            self._parts[execution_id] = _parts(execution)
            self._losses.pop(execution_id, None)
            self._notices.pop(execution_id, None)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="zoe-watch", daemon=True)
                self._thread.start()

    def forget(self, execution_id: str) -> None:
        """Its end is no news: the user stopped it, or detached."""
        with self._lock:
            self._states.pop(execution_id, None)
            self._notices.pop(execution_id, None)
            self._losses.pop(execution_id, None)

    def notices(self) -> list[str]:
        """What has happened since last asked; each once."""
        with self._lock:
            found, self._notices = self._notices, {}
        return list(found.values())

    def loss(self, execution_id: str) -> str:
        """What has become of one that can no longer be worked with, however often asked; empty for all others."""
        with self._lock:
            return self._losses.get(execution_id, "")

    def look(self, *, timeout_s: float) -> None:
        """Ask now about all that is watched, instead of waiting for an event."""
        for execution_id in list(self._states):
            self._ask(execution_id, timeout_s=timeout_s)

    def _ask(self, execution_id: str, *, timeout_s: float) -> None:
        try:
            self._seen(self._api.execution(execution_id, timeout_s=timeout_s))
        except NotFound:
            self._seen({"id": execution_id, "name": execution_id, "state": "ended", "outcome": "forgotten"})

    def _run(self) -> None:
        pause_s = 0.2
        while self._states:
            try:
                self._follow()
                pause_s = 0.2
            except (TimeoutError, Lost, ZoeError, OSError, ValueError):
                self._api.http.forget_connection()
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            time.sleep(pause_s)

    def _follow(self) -> None:
        with self._api.event_stream(since=self._since, silence_s=SILENCE_S) as events:
            for event in events:
                if not self._states:
                    return
                if event is None:
                    continue
                if event["kind"] == "stream.opened":
                    self.look(timeout_s=SILENCE_S)
                    continue
                self._since = int(event["seq"])
                if event["execution_id"] in self._states:
                    self._ask(event["execution_id"], timeout_s=SILENCE_S)

    def _seen(self, execution: Json) -> None:
        execution_id, state = str(execution["id"]), str(execution["state"])
        with self._lock:
            before, was_left = self._states.get(execution_id), registry.was_left(execution_id)
            if before is None:
                return
            is_left = was_left or _is_begun_anew(execution, self._parts[execution_id])
            if (before, was_left) == (state, is_left):
                return
            self._states[execution_id] = state
            if state == "ended" or _is_being_stopped(execution):
                registry.mark_ended(execution_id)
            if is_left:
                registry.mark_left(execution_id)
            if (state in ("stopping", "ended") and before in ("running", "starting")) or is_left > was_left:
                registry.lose(execution_id)
            loss = self._losses[execution_id] = _loss(execution)
            if loss and not (before == "stopping" and execution.get("outcome") == "stopped"):
                self._notices[execution_id] = loss
            if state == "ended":
                del self._states[execution_id]


def _parts(execution: Json) -> frozenset[tuple[str, int]]:
    return frozenset((str(one["name"]), int(one["attempt"])) for one in execution.get("services") or ())


def _is_being_stopped(execution: Json) -> bool:
    return bool(execution["state"] == "stopping" and execution["target"]["goal"] == "stop")


def _is_begun_anew(execution: Json, parts: frozenset[tuple[str, int]]) -> bool:
    """Whether all that it consisted of is gone, and it is to run again; one in which a service was replaced is the same."""
    state, now = execution["state"], _parts(execution)
    if state == "stopping":
        return not _is_being_stopped(execution)
    return state in ("queued", "suspended") or (state != "ended" and bool(parts and now) and parts.isdisjoint(now))


def _loss(execution: Json) -> str:
    """What has become of it, for the notebook; empty when it is there to work with."""
    state, name = execution["state"], execution["name"]
    again = f"What it held is lost; `%zoe attach {execution.get('entry') or name}` starts a new one"
    if state == "ended":
        return f"{name} has ended: {ended_text(execution)}. {again}"
    if _is_being_stopped(execution):
        why = str((execution.get("reason") or {}).get("text", ""))
        being = why if why.startswith("stopped") else f"stopped: {why}" if why else "stopped"
        return f"{name} is being {being}. {again}"
    return _interruption(execution) if registry.was_left(str(execution["id"])) else ""


def _interruption(execution: Json) -> str:
    """Of one that was running, and is or will be anew: another one to whom is connected to the old."""
    state, name, goal = execution["state"], execution["name"], execution["target"]["goal"]
    if state == "suspended" or goal == "suspend":
        is_so = "is suspended" if state == "suspended" else "is being suspended"
        return f"{name} {is_so}. What it held is lost; after `%zoe resume {name}`, `%zoe attach {name}` connects to it again"
    if state == "running":
        return f"{name} was started anew. What it held is lost; `%zoe attach {name}` connects to it"
    if state == "stopping":
        return f"{name} is being restarted. What it held is lost; `%zoe attach {name}` waits for it and connects again"
    why = (execution.get("reason") or {}).get("text") or execution.get("progress") or state
    return f"{name} is not running any more: {why}. `%zoe attach {name}` waits for it and connects again"


_watcher: Watcher | None = None


def watcher() -> Watcher:
    """The one of this process, with a connection of its own."""
    global _watcher
    if _watcher is None:
        _watcher = Watcher(Api(Http(patience_s=0.0)))
    return _watcher
