"""Connections to an engine or a cluster on which nothing may be said for long."""

from __future__ import annotations

import socket

_KEPT_ALIVE = {"TCP_KEEPIDLE": 15, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
"""Seconds, seconds, and how often in vain; not every system has all three."""


def keep_alive(connection: socket.socket) -> None:
    """Have the kernel ask whether the other side is still there: who only listens would never know. For TCP only."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEPT_ALIVE.items():
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
