"""Addresses for pages that must not see Jupyter's cookies: whoever knows one may see one page of one execution, as the user who asked for it, for a while.

In the core's memory, and nowhere else: a core that starts knows none.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from zoe_jupyter.engine.door import Caller
from zoe_jupyter.model.errors import Forbidden

UNUSED_S = 900.0
"""A ticket that nobody uses or renews so long is over."""
LONGEST_S = 12 * 3600.0
"""Use alone, without somebody who is logged in and renews it, keeps a ticket no longer."""
MOST_PER_USER = 1000


@dataclass(frozen=True, slots=True)
class Ticket:
    text: str
    caller: Caller
    execution_id: str
    endpoint: str
    renewed_at: float
    used_at: float

    @property
    def expires_at(self) -> float:
        """As things stand now."""
        return min(self.used_at + UNUSED_S, self.renewed_at + LONGEST_S)


class Tickets:
    """All that are valid now."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._by_text: dict[str, Ticket] = {}

    def issue(self, caller: Caller, execution_id: str, endpoint: str, *, renew: str = "") -> Ticket:
        """A ticket for that page: the one to renew if it is valid and for the same, else a new one."""
        now = self._clock()
        self._sweep(now)
        known = self._by_text.get(renew)
        if known and (known.caller, known.execution_id, known.endpoint) == (caller, execution_id, endpoint):
            ticket = replace(known, renewed_at=now, used_at=now)
        else:
            self._make_room(caller)
            ticket = Ticket(secrets.token_urlsafe(32), caller, execution_id, endpoint, now, now)
        self._by_text[ticket.text] = ticket
        return ticket

    def use(self, text: str) -> Ticket:
        """The ticket, used now; raises Forbidden when there is none such any more."""
        now = self._clock()
        ticket = self._by_text.get(text)
        if ticket is None or ticket.expires_at <= now:
            self.drop(text)
            raise no_ticket()
        used = self._by_text[text] = replace(ticket, used_at=now)
        return used

    def drop(self, text: str) -> None:
        self._by_text.pop(text, None)

    def _sweep(self, now: float) -> None:
        for text in [text for text, ticket in self._by_text.items() if ticket.expires_at <= now]:
            del self._by_text[text]

    def _make_room(self, caller: Caller) -> None:
        """Drop those of the user that were not used for longest."""
        own = sorted((t for t in self._by_text.values() if t.caller == caller), key=lambda ticket: ticket.used_at)
        for ticket in own[: max(0, len(own) + 1 - MOST_PER_USER)]:
            del self._by_text[ticket.text]


def no_ticket() -> Forbidden:
    return Forbidden("this address is not valid any more; open the page again from JupyterLab")
