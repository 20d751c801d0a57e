"""What has to happen by itself while a core lives: readiness is waited for, and lost nodes are given up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import Awaitable, Callable, Collection, Mapping

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.kubernetes import translate
from zoe_jupyter.backends.kubernetes.client import ApiError
from zoe_jupyter.backends.kubernetes.known import Known
from zoe_jupyter.backends.kubernetes.logs import Logs
from zoe_jupyter.backends.kubernetes.nodes import is_ready
from zoe_jupyter.backends.kubernetes.watched import Object
from zoe_jupyter.model.errors import BackendError, TooMany
from zoe_jupyter.model.execution import Reason

logger = logging.getLogger(__name__)

TICK_S = 0.5
LOOK_S = 2.0
"""Between two looks into a log that cannot be followed."""
LOOKED_AT = 256
"""Characters of a line: no pattern that the shop lets through takes long on so few, and all others wait while one is matched."""
OVERDUE_S = 20.0
"""A pod that is still there so long after it should have been killed is on a node that does not answer."""
START_S = 60.0
"""How long who has nothing to prove may be kept from its start."""
MOUNT_S = 300.0
"""The same, where a volume or a network is waited for: clouds need minutes."""
ROOM_S = 30.0
"""So long a pod waits for room on its only node; what leaves there needs some seconds to go."""
CROWDED_S = 120.0
"""So long after that Zoe places nothing there."""
PORT_S = 10.0
"""The same, where only who lacks a port is to go elsewhere."""
MOST_ROOM_S = 600.0
"""A port is waited for twice as long after each move for it, at most so long."""
TROUBLES = ("image_not_found", "cannot_start")
"""Of those that wait for room or for a volume the cluster may make some yet."""
AGAIN_S = 5.0
"""Until what the cluster has refused is asked of it again."""
Ask = Callable[[Attempt], Awaitable[None]]
End = Callable[[Attempt, Reason], Awaitable[None]]


class Readiness:
    """Waits for those that are not ready: looks for the line in their log, and ends who takes too long. Who was ready once stays so.

    ``look`` takes in the pod as it is now; ``confirm`` writes down that it was ready. Both raise BackendError, ApiError, Unreachable.
    ``is_silent``: whether that node does not answer now, so that nothing is told of its pods.
    """

    def __init__(
        self, known: Known, logs: Logs, *, look: Ask, confirm: Ask, end: End, is_silent: Callable[[str], bool]
    ) -> None:
        self._known = known
        self._logs = logs
        self._is_silent = is_silent
        self._look = look
        self._confirm = confirm
        self._end = end
        self._waiting: dict[Attempt, asyncio.Task[None]] = {}
        self._confirming: dict[Attempt, asyncio.Task[None]] = {}

    def notice(self, attempt: Attempt) -> None:
        """Its pod has changed."""
        pod = self._known.pods.get(attempt)
        is_waiting = pod is not None and translate.is_running(pod) and not translate.is_ready(pod)
        if is_waiting and attempt not in self._waiting and attempt not in self._known.asked:
            work = self._wait(attempt)
            self._waiting[attempt] = asyncio.get_running_loop().create_task(work, name=f"zoe ready {attempt}")
        elif not is_waiting and (task := self._waiting.pop(attempt, None)) is not None:
            task.cancel()
        if pod is None or not translate.is_running(pod):
            if (task := self._confirming.pop(attempt, None)) is not None:
                task.cancel()
        elif attempt not in self._confirming and not translate.has_proved(pod) and translate.proves_itself(pod):
            work = self._write_down(attempt)
            self._confirming[attempt] = asyncio.get_running_loop().create_task(work, name=f"zoe proved {attempt}")

    async def close(self) -> None:
        tasks = [*self._waiting.values(), *self._confirming.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _wait(self, attempt: Attempt) -> None:
        facts = translate.facts_of(self._known.pods[attempt])
        timeout_s = float(facts["timeout_s"])
        pattern = str(facts.get("log", ""))
        has_time = True
        while has_time:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._proof(attempt, pattern), timeout_s)
                return
            has_time = await self._was_silent(attempt)
        if await self._is_late(attempt, pattern):
            log = await self._logs.last_lines(attempt, translate.LAST_LINES)
            text = f"not ready after {timeout_s:g} s: waited for {facts['ready']}"
            await self._end(attempt, Reason("not_ready", text, {"timeout_s": timeout_s, "log": log}))

    async def _proof(self, attempt: Attempt, pattern: str) -> None:
        """Return when its log has the line, by looks from time to time where it cannot be followed; what the kubelet looks at ends the wait from outside."""
        follow = True
        while pattern:
            try:
                if await self._has_said(attempt, pattern, follow=follow):
                    return
                follow = True
            except TooMany:
                follow = False
            except (BackendError, ApiError, Unreachable) as error:
                logger.info("the log of %s cannot be read now: %s", attempt.service, error)
            await asyncio.sleep(TICK_S if follow else LOOK_S)
        await asyncio.Event().wait()

    async def _has_said(self, attempt: Attempt, pattern: str, *, follow: bool) -> bool:
        async with contextlib.aclosing(self._logs.lines(attempt, follow=follow)) as lines:
            async for line in lines:
                if re.search(pattern, line.decode(errors="replace").rstrip("\r\n")[:LOOKED_AT]):
                    break
            else:
                return False
        await self._confirm(attempt)
        return True

    async def _was_silent(self, attempt: Attempt) -> bool:
        """Whether its node does not answer; return when it does again, and can tell how it is."""
        node = self._known.pods[attempt]["spec"]["nodeName"]
        was_silent = False
        while self._is_silent(node):
            was_silent = True
            await asyncio.sleep(TICK_S)
        return was_silent

    async def _is_late(self, attempt: Attempt, pattern: str) -> bool:
        """Ask once more, and until there is an answer: it may have become ready while the API server said nothing."""
        while True:
            try:
                await self._look(attempt)
                has_said = bool(pattern) and await self._has_said(attempt, pattern, follow=False)
                return not (has_said or translate.is_ready(self._known.pods[attempt]))
            except (BackendError, ApiError, Unreachable) as error:
                logger.info("whether %s is ready is asked again: %s", attempt.service, error)
            await asyncio.sleep(TICK_S)

    async def _write_down(self, attempt: Attempt) -> None:
        """So that a later Zoe knows it, too."""
        while True:
            try:
                await self._confirm(attempt)
                return
            except (BackendError, Unreachable) as error:
                logger.info("that %s is ready will be written down again: %s", attempt.service, error)
            await asyncio.sleep(AGAIN_S)


class Hindered:
    """Who cannot be started ends: at once where its image is nowhere to be had, else when the time is over that it has to become ready."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._since: dict[Attempt, float] = {}

    def overdue(self, now: float) -> list[tuple[Attempt, Reason]]:
        """``now`` is of a monotonic clock."""
        found = {attempt: seen.reason for attempt, seen in self._known.starting() if seen.reason is not None}
        troubles = {attempt: reason for attempt, reason in found.items() if reason.code in TROUBLES}
        self._since = {attempt: self._since.get(attempt, now) for attempt in troubles}
        verdicts = ((who, self._verdict(who, reason, now - self._since[who])) for who, reason in troubles.items())
        return [(attempt, verdict) for attempt, verdict in verdicts if verdict is not None]

    def _verdict(self, attempt: Attempt, trouble: Reason, for_s: float) -> Reason | None:
        """Why it is to end now."""
        pod = self._known.pods[attempt]
        if translate.has_no_image(pod):
            return Reason("image_missing", trouble.text)
        patience_s = START_S if trouble.code == "image_not_found" else MOUNT_S
        limit_s = float(translate.facts_of(pod).get("timeout_s", patience_s))
        if for_s < limit_s:
            return None
        return Reason("not_ready", f"not ready after {limit_s:g} s: {trouble.text}", {"timeout_s": limit_s})


class SilentNodes:
    """Which of the cluster's nodes do not answer, and which of those count as lost by now."""

    def __init__(self, nodes: Mapping[str, Object], *, lost_after_s: float) -> None:
        self._nodes = nodes
        self._lost_after_s = lost_after_s
        self._since: dict[str, float] = {}
        self.silent: Mapping[str, str] = {}
        """``{node: why}``"""
        self.lost: Mapping[str, str] = {}

    def look(self, used: Collection[str], now: float) -> bool:
        """Look again; whether something has changed. ``used``: nodes that have pods of ours; ``now`` is of a monotonic clock."""
        before = self.silent, self.lost
        names = {name for name in {*self._nodes, *used} if not (node := self._nodes.get(name)) or not is_ready(node)}
        self._since = {name: self._since.get(name, now) for name in names}
        self.silent = dict.fromkeys(sorted(names), "it does not answer the cluster")
        text = f"it has not answered the cluster for {self._lost_after_s:g} s"
        self.lost = {name: text for name in sorted(names) if now - self._since[name] >= self._lost_after_s}
        return (self.silent, self.lost) != before


class Overdue:
    """Those that were to be gone long ago, by the time since Zoe saw that they were to go: their node does not do what it is told."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._since: dict[Attempt, float] = {}

    def look(self, now: float) -> list[tuple[Attempt, Reason]]:
        """``now`` is of a monotonic clock."""
        leaving = {attempt: pod for attempt, pod in self._known.pods.items() if "deletionTimestamp" in pod["metadata"]}
        self._since = {attempt: self._since.get(attempt, now) for attempt in leaving}
        text = "lost: its node {} does not answer; it may still run there"
        return [
            (attempt, Reason("lost", text.format(node), {"node": node}))
            for attempt, pod in leaving.items()
            if now - self._since[attempt] > _grace_s(pod) + OVERDUE_S
            and not self._known.is_given_up(attempt)
            and (node := pod["spec"]["nodeName"])
        ]


def waits(pod: Object) -> bool:
    """Whether nobody takes its place as long as it may still run on a node that does not answer."""
    return bool(translate.facts_of(pod).get("waits"))


def _grace_s(pod: Object) -> float:
    return float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)


def stranded(known: Known, lost: Mapping[str, str]) -> list[tuple[Attempt, Reason]]:
    """Those on lost nodes that are not waited for, where Zoe gives room away for the whole cluster and not by node."""
    return [
        (attempt, Reason("lost", f"lost: its node {node}: {lost[node]}", {"node": node}))
        for attempt, pod in known.pods.items()
        if (node := pod["spec"]["nodeName"]) in lost
        and not (translate.has_ended(pod) or known.is_given_up(attempt) or waits(pod))
    ]


def homeless(known: Known, is_closed: Callable[[str], bool]) -> list[tuple[Attempt, Reason]]:
    """Those that may go to one node only, which has not taken them and takes no pods any more: it is drained, say."""
    text = "lost: its node {} takes no pods any more"
    waiting = ((attempt, pod) for attempt, pod in known.pods.items() if not pod["spec"]["nodeName"])
    return [
        (attempt, Reason("lost", text.format(node), {"node": node}))
        for attempt, pod in waiting
        if (node := translate.pinned_to(pod)) and is_closed(node) and not known.is_given_up(attempt)
    ]


class Crowded:
    """Those that may go to one node only, which has had no room for them for a while; and which nodes these were.

    Zoe does not see all that takes room on a node, nor who has which port of a node's own network; it places nothing there for a while, so that its
    next choice is another. Where there is no other, they wait. ``open_nodes``: those that take pods of ours.
    """

    def __init__(self, known: Known, *, open_nodes: Callable[[], Collection[str]]) -> None:
        self._known = known
        self._open_nodes = open_nodes
        self._since: dict[Attempt, float] = {}
        self._until: dict[str, float] = {}
        self._moves: dict[tuple[str, str], int] = {}
        """Execution and service of those that lacked a port and had no node since, and how often they went elsewhere: ever more seldom."""

    def look(self, now: float) -> list[tuple[Attempt, Reason]]:
        """``now`` is of a monotonic clock."""
        waiting = {
            attempt: node
            for attempt, pod in self._known.pods.items()
            if attempt not in self._known.asked
            and (translate.has_no_room(pod) or self._lacks_own_port(attempt, pod))
            and (node := translate.pinned_to(pod))
        }
        self._since = {attempt: self._since.get(attempt, now) for attempt in waiting}
        late = {each: node for each, node in waiting.items() if now - self._since[each] >= self._wait_s(each)}
        open_nodes = {*self._open_nodes()} if late else set()
        found: list[tuple[Attempt, Reason]] = []
        for attempt, node in late.items():
            if not self._known.is_given_up(attempt) and open_nodes - self.nodes(now) - {node}:
                found.append((attempt, self._give_up(attempt, node, now)))
        self._forget_moves()
        return found

    def _wait_s(self, attempt: Attempt) -> float:
        return min(MOST_ROOM_S, ROOM_S * 2.0 ** min(30, self._moves.get((attempt.execution_id, attempt.service), 0)))

    def _forget_moves(self) -> None:
        """Of those that have found a node, or whose execution is gone."""
        if self._moves:
            pods = {(each.execution_id, each.service): pod for each, pod in self._known.pods.items()}
            placed = {who for who, pod in pods.items() if pod["spec"]["nodeName"]}
            there = {execution_id for execution_id, _ in pods}
            self._moves = {who: n for who, n in self._moves.items() if who[0] in there and who not in placed}

    def _give_up(self, attempt: Attempt, node: str, now: float) -> Reason:
        what, closed_s, waited_s = "no room", CROWDED_S, self._wait_s(attempt)
        if translate.has_no_port(self._known.pods[attempt]):
            what, closed_s, who = "no port of its own network", PORT_S, (attempt.execution_id, attempt.service)
            self._moves[who] = self._moves.get(who, 0) + 1
        self._until[node] = max(self._until.get(node, 0.0), now + closed_s)
        text = f"lost: its node {node} has had {what} for it for {waited_s:g} s, though Zoe counted on it"
        return Reason("lost", text, {"node": node})

    def _lacks_own_port(self, attempt: Attempt, pod: Object) -> bool:
        """Whether a port that it lacks is its own execution's, which waits for it in turn."""
        if not translate.has_no_port(pod):
            return False
        node = translate.pinned_to(pod)
        others = (each for who, each in self._known.of(attempt.execution_id) if who.service != attempt.service)
        there = (each for each in others if each["spec"]["nodeName"] == node and not translate.has_ended(each))
        return any(each["spec"]["hostNetwork"] for each in there)

    def nodes(self, now: float) -> set[str]:
        return {node for node, until in self._until.items() if now < until}
