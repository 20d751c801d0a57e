"""Which of several cores on one database acts: the one that holds its seat and goes on writing; the others stand by.

A file on this host has one core only, as its folder is locked. A PostgreSQL may be shared by servers that know nothing of each other: there the one
that acts writes at least every few seconds, and another takes over when it has seen no write for longer, by its own time, or when the
holder left in order or its process has gone. Who was silent and comes back is fenced: the store takes no write of it, and it proves its seat
before every action.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path

from zoe_jupyter.clocks import running_s
from zoe_jupyter.engine.ledger import Ledger
from zoe_jupyter.model.errors import Unavailable
from zoe_jupyter.store.errors import Fenced, StoreError
from zoe_jupyter.store.repository import Store

logger = logging.getLogger(__name__)

TAKEN_OVER = "another Zoe has taken over this store: stop that one, or restart this server"
DOUBT = "the database was cut off while something was stored: what came of it is read again; try again in some seconds"
"""Memory and store are not one any more: who opens it next sees what is the case, and repairs it as after a crash."""
BEAT_S = 5.0
"""How often the core that acts writes at least."""
SILENT_S = 20.0
"""For so long it must not have written before another takes over."""
_HOLDER = re.compile(r"(.*) pid (\d+) start (\d+) boot (\S*)")
_sightings: dict[str, tuple[int, int, float]] = {}
"""``{database: (epoch, writes, when that was first seen)}``, for one try after the other."""


class StandingBy(Unavailable):
    """Another core acts for this database; this one takes over when that is gone."""

    reason = "standing_by"


def holder() -> str:
    """Who this core is, for people, and for others to see whether it still lives."""
    return f"{socket.gethostname()} pid {os.getpid()} start {_start_of(os.getpid())} boot {_boot_id()}"


def find_turn(store: Store) -> int | None:
    """The epoch to take over from; None: any. Blocks. Raises StandingBy while another core acts, or may."""
    if not store.is_shared:
        return None
    epoch, held_by, writes = store.seat()
    if not held_by or held_by == holder() or _has_gone(held_by):
        return epoch
    seen = _sightings.get(store.place)
    if seen is None or seen[:2] != (epoch, writes):
        seen = _sightings[store.place] = epoch, writes, time.monotonic()
    if time.monotonic() - seen[2] > SILENT_S:
        return epoch
    who = held_by.partition(" start ")[0]
    raise StandingBy(
        f"another Zoe ({who}) acts for this database; this one stands by, and takes over when that is gone"
    )


def _has_gone(held_by: str) -> bool:
    """Whether that process was on this host, since it was started, and is no more."""
    match = _HOLDER.fullmatch(held_by)
    if match is None or match[1] != socket.gethostname() or not match[4] or match[4] != _boot_id():
        return False
    return _start_of(int(match[2])) != match[3]


def _start_of(pid: int) -> str:
    """When the process was started, in ticks; empty when there is none, or when it only waits to be waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def _boot_id() -> str:
    """With the namespace of process ids, as containers of one host number their own."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


class Seat:
    """That this core is the one that acts, proved by writing."""

    def __init__(self, ledger: Ledger, *, is_shared: bool, on_fenced: Callable[[], None]) -> None:
        self._ledger = ledger
        self._is_shared = is_shared
        self._on_fenced = on_fenced
        self._proved_at = running_s()

    async def prove(self) -> None:
        """Right before an action; what was proved a moment ago still holds, as others wait longer. Raises Fenced, StoreError."""
        if self._is_shared and running_s() - self._proved_at > BEAT_S:
            await self._prove()

    async def beating(self) -> None:
        """The task that keeps the seat."""
        while self._is_shared:
            await asyncio.sleep(BEAT_S)
            try:
                await self._prove()
            except Fenced:
                return
            except StoreError as error:
                logger.warning("this core cannot show that it lives: %s", error)

    async def _prove(self) -> None:
        begun_at = running_s()
        try:
            await self._ledger.prove()
        except Fenced:
            logger.error("another core has taken over this store; this one stops acting")
            self._on_fenced()
            raise
        self._proved_at = begun_at
