"""Connections to an engine or a cluster on which nothing may be said for long."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

BROKEN = (aiohttp.ClientError, HttpProcessingError, asyncio.TimeoutError, OSError)
"""What is raised where nobody answers, or no HTTP."""
LONGEST_LINE = 65536
"""Of an answer's head: cookies and policies of pages may be long."""
_KEPT_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds, seconds, and how often in vain; not every system has all three."""


def keep_alive(way: Any) -> None:
    """Have the kernel ask whether the other side is still there: who only listens would never know.

    ``way``: whatever tells its socket, None once it is closed. For TCP only; others are left as they are.
    """
    found = way.get_extra_info("socket") if way is not None else None
    if found is not None and found.family in (socket.AF_INET, socket.AF_INET6):
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEPT_ALIVE.items():
            if hasattr(socket, name):
                found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def keep_answer_alive(answer: aiohttp.ClientResponse) -> None:
    """The connection over which it comes, while there is one."""
    keep_alive(answer.connection.transport if answer.connection else None)


def break_off(answer: aiohttp.ClientResponse) -> None:
    """Who leaves in the middle of an answer does not wait until the server has said goodbye."""
    connection = answer.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
