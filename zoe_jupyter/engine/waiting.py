"""Waiting for an event for a limited time, in a way that never loses a cancellation."""

from __future__ import annotations

import asyncio


async def wait_set(event: asyncio.Event, timeout_s: float) -> None:
    """Return when the event is set; after ``timeout_s`` it sets it itself.

    ``asyncio.wait_for`` swallows a cancellation that comes in the same turn as the result (before Python 3.12), and the task lives for ever.
    """
    timer = asyncio.get_running_loop().call_later(timeout_s, event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()
