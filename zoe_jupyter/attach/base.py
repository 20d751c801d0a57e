"""The contract of an attach kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found out about this kernel before anything starts."""

    problems: tuple[str, ...] = ()
    """Would break; each says what to install."""
    warnings: tuple[str, ...] = ()
    """May break."""


class Attach(Protocol):
    """How one kind of connection comes into a kernel. Made without arguments; holds no state."""

    kind: str
    variable: str
    """The name that it has in the namespace unless the user says otherwise."""

    def check(self, environment: Mapping[str, Any] | None) -> Findings:
        """Compare this kernel with what runs the cluster: ``{python_version, packages, ...}``, or None when it is yet to be started.

        Imports no driver.
        """

    def prepare(self) -> None:
        """Import what ``attach`` needs; called in a thread while the cluster starts."""

    def attach(
        self,
        connection: Mapping[str, Any],
        namespace: MutableMapping[str, Any],
        variable: str,
        *,
        is_over: Callable[[], bool],
    ) -> tuple[str, ...]:
        """Connect, prove it, and set ``variable``; all names that were set, ``variable`` first. ``is_over`` tells that the cluster has ended."""

    def works(self, value: Any) -> bool:
        """Whether what ``attach`` set is still connected; asks the cluster."""

    def describe(self, value: Any) -> str:
        """What it is, for people: ``Spark 4.3.0``."""

    def lose(self, value: Any) -> None:
        """End what would still wait for a cluster that is gone or going, or complain of it; the variable stays. Called in a thread of its own."""

    def detach(self, value: Any, *, is_over: bool) -> None:
        """Let go of the cluster without stopping it; returns soon also when the cluster has gone."""
