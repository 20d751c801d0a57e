"""How much somebody may hold at a time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """What one user, or one group together, may hold at a time; None: as much as there is."""

    executions: int | None = None
    """Those that are admitted."""
    microcores: int | None = None
    memory_bytes: int | None = None
    gpus: int | None = None
    run_s: float | None = None
    """How long one execution may take; checked at submit, and kept as an end of its lifetime."""


@dataclass(frozen=True, slots=True)
class Quota:
    """Of a user or a group: ``share`` is its own and is given back to it when it waits, ``limit`` what it may hold with what others leave unused.

    Without a ``share`` all of ``limit`` is its own: it borrows nothing and lends nothing.
    """

    share: Limit | None = None
    limit: Limit = Limit()


@dataclass(frozen=True, slots=True)
class Supposed:
    """What somebody wants to know of, in place of a limit of today."""

    limit: Limit = Limit()
    """None: as it is today."""
    unlimited: frozenset[str] = frozenset()
    """Fields of ``Limit`` that are not limited."""
