"""A policy may be anybody's: where it fails, those that wait are served in the order of their submit, and that is told."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from zoe_jupyter.scheduler.policies.base import Policy, assumption
from zoe_jupyter.scheduler.policies.fifo import Fifo
from zoe_jupyter.scheduler.snapshot import ExecutionId, Job, Snapshot

logger = logging.getLogger(__name__)


class WithFallback:
    """The policy, and ``fifo`` in its place whenever it raises or answers what is no order."""

    def __init__(self, name: str, policy: Policy) -> None:
        self.assumes = assumption(policy)
        self._name = name
        self._policy = policy
        self._failure = ""

    @property
    def told(self) -> str:
        """Its name, and whether it has failed."""
        return (
            f"{self._name} (it fails: those that wait are served as by fifo; see the log)"
            if self._failure
            else self._name
        )

    def order(self, waiting: Sequence[Job], snapshot: Snapshot, now: float) -> Sequence[ExecutionId]:
        try:
            ordered = list(self._policy.order(waiting, snapshot, now))
            if not all(isinstance(each, str) for each in ordered):
                raise TypeError("order is to return the ids of executions")
        except Exception as error:  # whatever somebody's class does
            self._note(f"{type(error).__name__}: {error}")
            return Fifo().order(waiting, snapshot, now)
        return ordered

    def _note(self, failure: str) -> None:
        """Once for each, not with every decision."""
        if failure != self._failure:
            self._failure = failure
            logger.exception("the policy %r failed; those that wait are served as by fifo", self._name)
