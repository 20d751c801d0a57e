"""What a Jupyter server that ends says of the executions that run on."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from zoe_jupyter.server.home import Home
from zoe_jupyter.server.wire import Visitor, WireRequest

ASK_S = 2.0
"""Jupyter's end waits no longer than that for it."""
ALIVE = ("submitted", "queued", "starting", "running")


async def farewell(home: Home, visitor: Visitor) -> str:
    """What runs on, until when, and how to go on with it; empty where nothing does, or another server looks after it."""
    if not home.holds_core:
        return ""
    with suppress(Exception):
        query = urlencode({"state": ALIVE, "owner": visitor.user, "limit": 200}, doseq=True)
        asked = WireRequest("GET", "executions", visitor, query=query)
        answer = await asyncio.wait_for(home.answer(asked), ASK_S)
        if answer.status == 200 and isinstance(answer.body, bytes):
            return told(json.loads(answer.body)["items"], time.time())
    return ""


def told(executions: Sequence[dict[str, Any]], now: float) -> str:
    """The same of records as the API has them."""
    if not executions:
        return ""
    them = "it" if len(executions) == 1 else "them"
    parts = ", ".join(_prospect(one, now) for one in executions)
    return f"Nothing was stopped: {parts}. Start Jupyter again to go on with {them}"


def _prospect(execution: dict[str, Any], now: float) -> str:
    if execution["state"] in ("submitted", "queued"):
        return f"{execution['name']} waits for its turn"
    end = min(_ends(execution["lifetime"], now), default=None)
    until = "" if end is None else f" until {time.strftime('%H:%M', time.localtime(end))}"
    return f"{execution['name']} runs on{until}"


def _ends(lifetime: dict[str, Any], now: float) -> Iterator[float]:
    """Kernels and server are gone in a moment."""
    if lifetime["ends_at"] is not None:
        yield lifetime["ends_at"]
    if lifetime["together_with"] is not None:
        yield now + lifetime["grace_s"]
