"""The routes, one file for each subject: plain functions from an ``ApiRequest`` to an answer.

Must not live here: HTTP, decisions. ``table()`` is what the HTTP handlers and the OpenAPI document are made from.
"""

from __future__ import annotations

from functools import cache

from zoe_jupyter.server.api import Route


@cache
def table() -> tuple[Route, ...]:
    """Every route of the interface, internal ones included."""
    from zoe_jupyter.server.handlers import (
        cluster,
        connections,
        events,
        executions,
        info,
        internal,
        leases,
        logs,
        queue,
        quotas,
        shop,
        targets,
        tickets,
    )

    subjects = (
        info,
        shop,
        executions,
        targets,
        tickets,
        logs,
        connections,
        leases,
        cluster,
        queue,
        quotas,
        events,
        internal,
    )
    return (*(route for subject in subjects for route in subject.routes), *tickets.internal)
