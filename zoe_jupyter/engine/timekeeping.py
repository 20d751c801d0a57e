"""What the core does when the machine's clock was set, or when it was itself stopped or asleep for a while."""

from __future__ import annotations

import logging

from zoe_jupyter.clocks import SET_S
from zoe_jupyter.engine.clock import Clock
from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.lifecycle.events import ClockSet, Paused

logger = logging.getLogger(__name__)

NOTICE_S = 5.0
"""How often it is asked at least."""


class Timekeeper:
    """Asked before anything is let happen because of the time."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    async def notice(self) -> None:
        """Bring what lives to a clock that was set, and take pauses out of what waits for people and programs."""
        paused_s = self._clock.paused_s(NOTICE_S)
        if paused_s:
            logger.warning("this core could not listen for %.0f s: it was stopped, or its machine was asleep", paused_s)
            await self._ledger.apply_to_all(Paused(paused_s))
        set_by_s = self._clock.set_by_s()
        if abs(set_by_s) > SET_S:
            logger.warning("the machine's clock was set by %+.0f s; what lives keeps its time", set_by_s)
            await self._ledger.apply_to_all(ClockSet(set_by_s), then=lambda: self._clock.agree(set_by_s))
        else:
            self._clock.agree(set_by_s)
