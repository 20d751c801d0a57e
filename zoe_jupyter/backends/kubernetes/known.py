"""What is known of the deployment's services: the pods that are there, how those ended that are gone, and why Zoe ended them. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoe_jupyter.backends.base import Seen, SeenState
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.kubernetes import manifests, translate
from zoe_jupyter.backends.kubernetes.hints import Hints
from zoe_jupyter.backends.kubernetes.site import Site
from zoe_jupyter.backends.kubernetes.translate import Pod
from zoe_jupyter.model.execution import Reason

REMOVED = Reason("lost", "lost: its pod was removed from the cluster, and not by Zoe")


class Known:
    """Fed with each change of a pod; gives hints when something worth a look has changed.

    ``is_closed``: whether a node takes no pods any more, so that there is no way back for one that was removed there.
    """

    def __init__(self, site: Site, hints: Hints, *, is_closed: Callable[[str], bool]) -> None:
        self._site = site
        self._hints = hints
        self._is_closed = is_closed
        self._names: dict[str, Attempt] = {}
        self._seen: dict[Attempt, Seen] = {}
        self._gone: dict[Attempt, Seen] = {}
        self._ended: dict[tuple[str, str], Attempt] = {}
        """The newest of each service that is gone: of earlier ones nothing is told any more."""
        self._verdicts: dict[Attempt, Reason] = {}
        self._lost: dict[Attempt, Reason] = {}
        self.asked: set[Attempt] = set()
        """Those that Zoe itself has begun to end."""
        self.pods: dict[Attempt, Pod] = {}
        self._events: dict[str, Mapping[str, Any]] = {}
        self._last: dict[str, str] = {}
        """``{pod: event}`` that was told of it last."""

    def attempt(self, execution_id: str, service: str, number: int) -> Attempt:
        return Attempt(self._site.deployment, execution_id, service, number)

    def take(self, name: str, pod: Pod | None) -> Attempt | None:
        """Take in what a watch said of a pod, None once it is gone; the attempt, unless it is not one of ours.

        It stays the same one whatever somebody writes on the pod later: else what is asked to end is not what is there.
        """
        attempt = self._names.get(name) or (None if pod is None else translate.attempt_of(pod))
        if attempt is None:
            return None
        if pod is None:
            self._bury(name, attempt)
        else:
            self._names[name] = attempt
            self.pods[attempt] = translate.proved(pod) if self._was_ready(attempt, pod) else pod
            self._gone.pop(attempt, None)
            self._judge(attempt)
        self._hints.give()
        return attempt

    def _was_ready(self, attempt: Attempt, pod: Pod) -> bool:
        before = self.pods.get(attempt)
        return before is not None and before["metadata"]["uid"] == pod["metadata"]["uid"] and translate.is_ready(before)

    def take_event(self, name: str, event: Mapping[str, Any] | None) -> None:
        """Take in what a node tells of a pod that does not run yet, None once the cluster has forgotten it."""
        if event is None:
            pod = self._events.pop(name, {}).get("pod", "")
            if self._last.get(pod) == name:
                del self._last[pod]
            return
        pod, self._events[name] = event["pod"], event
        if _turn(event) >= _turn(self._last_event(pod)):
            self._last[pod] = name
        if pod in self._names:
            self._judge(self._names[pod])
            self._hints.give()

    def _last_event(self, pod: str) -> Mapping[str, Any]:
        return self._events.get(self._last.get(pod, ""), {})

    def condemn(self, attempt: Attempt, reason: Reason) -> None:
        """Zoe ends it, for this reason, which is told once it has ended."""
        self._verdicts.setdefault(attempt, reason)
        self.asked.add(attempt)

    def condemned(self) -> list[Attempt]:
        """Those of which the cluster does not know yet that they are to end."""
        return [
            attempt
            for attempt in self._verdicts
            if (pod := self.pods.get(attempt)) is not None
            and not translate.has_ended(pod)
            and "deletionTimestamp" not in pod["metadata"]
        ]

    def give_up(self, attempt: Attempt, reason: Reason) -> None:
        """It counts as ended from now on, whatever may still run somewhere."""
        self._lost[attempt] = reason
        self._judge(attempt)
        self._hints.give()

    def is_given_up(self, attempt: Attempt) -> bool:
        return attempt in self._lost

    def given_up(self) -> list[Pod]:
        """Those of which the cluster does not know yet that they are to go; a node may have taken one since."""
        return [
            pod
            for attempt in self._lost
            if (pod := self.pods.get(attempt)) is not None and "deletionTimestamp" not in pod["metadata"]
        ]

    def starting(self) -> Iterator[tuple[Attempt, Seen]]:
        """Those that Zoe has not begun to end."""
        for attempt, seen in self._seen.items():
            if seen.state is SeenState.STARTING and attempt not in self.asked:
                yield attempt, seen

    def seen(self, attempt: Attempt) -> Seen | None:
        return self._seen.get(attempt) or self._gone.get(attempt)

    def observed(self) -> Sequence[Seen]:
        """Everything that lives, and how the last attempt of each of the others ended."""
        newest: dict[tuple[str, str], int] = {}
        for attempt in (*self._seen, *self._gone):
            key = (attempt.execution_id, attempt.service)
            newest[key] = max(newest.get(key, 0), attempt.attempt)
        return [
            seen
            for attempt, seen in (*self._seen.items(), *self._gone.items())
            if seen.state is not SeenState.EXITED or attempt.attempt == newest[attempt.execution_id, attempt.service]
        ]

    def of(self, execution_id: str, service: str = "") -> Iterator[tuple[Attempt, Pod]]:
        """The pods that are there, oldest attempt first."""
        found = [a for a in self.pods if a.execution_id == execution_id and service in ("", a.service)]
        for attempt in sorted(found, key=lambda each: each.attempt):
            yield attempt, self.pods[attempt]

    def nodes(self) -> set[str]:
        """Those that have pods of ours."""
        return {pod["spec"]["nodeName"] for pod in self.pods.values()} - {""}

    def by_node(self) -> Counter[str]:
        """How many pods of ours are on each node, or are to go there."""
        there = (pod for pod in self.pods.values() if not translate.has_ended(pod))
        found = Counter(pod["spec"]["nodeName"] or translate.pinned_to(pod) for pod in there)
        del found[""]
        return found

    def has_stopped(self, execution_id: str, service: str) -> bool:
        """Whether its last attempt has ended because Zoe wanted it so."""
        attempts = [a for a in (*self._seen, *self._gone) if (a.execution_id, a.service) == (execution_id, service)]
        last = max(attempts, key=lambda each: each.attempt, default=None)
        seen = None if last is None else self.seen(last)
        return seen is None or (seen.state is SeenState.EXITED and last in self.asked)

    def forget(self, execution_id: str) -> None:
        """It was cleaned: how its services ended is of no interest any more."""
        for memory in (self._gone, self._verdicts, self._lost):
            for attempt in [a for a in memory if a.execution_id == execution_id]:
                del memory[attempt]
        self.asked = {attempt for attempt in self.asked if attempt.execution_id != execution_id}
        self._ended = {key: attempt for key, attempt in self._ended.items() if key[0] != execution_id}
        self._hints.give()

    def _judge(self, attempt: Attempt) -> None:
        pod = self.pods.get(attempt)
        if pod is None:
            return
        seen = translate.seen(
            pod,
            attempt,
            host=manifests.host(replace(self._site, namespace=pod["metadata"]["namespace"]), attempt),
            verdict=self._verdicts.get(attempt),
            last=self._last_event(pod["metadata"]["name"]),
        )
        if attempt in self._lost:
            seen = self._given_up(attempt, seen)
        elif seen.state is SeenState.EXITED and self._was_removed(attempt, pod):
            seen = replace(seen, reason=self._why_removed(pod), is_blameless=True)
        self._seen[attempt] = seen

    def _given_up(self, attempt: Attempt, seen: Seen) -> Seen:
        """Where it may still run, nobody waits for one whose time is over; how one ended that Zoe wanted gone is known in the end."""
        has_ended, verdict = seen.state is SeenState.EXITED, self._verdicts.get(attempt)
        if has_ended and attempt in self.asked:
            return seen
        gone = replace(seen, state=SeenState.EXITED, exit_code=None)
        if verdict is not None and verdict.code == "expired":
            return replace(gone, reason=verdict)
        return replace(gone, reason=self._lost[attempt], is_blameless=True, may_run=not has_ended)

    def _was_removed(self, attempt: Attempt, pod: Pod) -> bool:
        return "deletionTimestamp" in pod["metadata"] and attempt not in self.asked

    def _why_removed(self, pod: Pod | None) -> Reason:
        node = pod["spec"]["nodeName"] if pod else ""
        if not node or not self._is_closed(node):
            return REMOVED
        return Reason("lost", f"lost: its node {node} takes no pods any more and gave it up", {"node": node})

    def _bury(self, name: str, attempt: Attempt) -> None:
        del self._names[name]
        pod = self.pods.pop(attempt, None)
        seen = self._seen.pop(attempt, None)
        if seen is None:
            return
        if seen.state is not SeenState.EXITED or seen.may_run:
            is_asked = attempt in self.asked
            why = None if is_asked else self._lost.get(attempt) or self._why_removed(pod)
            seen = replace(
                seen, state=SeenState.EXITED, reason=self._verdicts.get(attempt) or why, exit_code=None,
                is_blameless=not is_asked, may_run=False,
            )  # fmt: skip
        self._gone[attempt] = seen
        self._outdo(attempt)

    def _outdo(self, attempt: Attempt) -> None:
        """Forget the older of this and what had ended of its service before."""
        key = attempt.execution_id, attempt.service
        older, newer = sorted((attempt, self._ended.get(key, attempt)), key=lambda each: each.attempt)
        self._ended[key] = newer
        if older != newer and older not in self.pods:
            for memory in (self._gone, self._verdicts, self._lost):
                memory.pop(older, None)
            self.asked.discard(older)


def _turn(event: Mapping[str, Any]) -> tuple[str, bool]:
    """Times are whole seconds: of two in one, an image is fetched after the rest was there."""
    return event.get("at", ""), bool(event.get("image"))
