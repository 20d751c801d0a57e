"""Keeps the kernel ready for moves between control groups while something is being started."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from zoe_jupyter.backends.local.supervisor import cages

_AWAKE_S, _AGAIN_S = 0.06, 0.005
"""From a submit to its last service it takes about as long; after three times the pause the kernel is no longer ready."""


class Rouser:
    """``run`` does blocking work elsewhere."""

    def __init__(self, run: Callable[[Callable[[], None]], object]) -> None:
        self._run = run
        self._own = self._membership = ""
        self._until = 0.0
        self._is_at_it = False

    def find(self) -> None:
        """Find what to rouse the kernel by; without it nothing is done."""
        self._membership, self._own = cages.membership(), cages.own_group()

    def rouse(self) -> None:
        """Services will be moved soon."""
        self._until = time.monotonic() + _AWAKE_S
        if self._own and not self._is_at_it:
            self._is_at_it = True
            with suppress(RuntimeError):  # closed meanwhile
                self._run(self._keep_awake)

    def _keep_awake(self) -> None:
        try:
            while time.monotonic() < self._until:
                self._rouse_once()
                time.sleep(_AGAIN_S)
        finally:
            self._is_at_it = False

    def _rouse_once(self) -> None:
        """Whom an admin or systemd has put into another group meanwhile stays there."""
        if cages.membership() != self._membership:
            self.find()
        if self._own:
            cages.rouse(self._own)
