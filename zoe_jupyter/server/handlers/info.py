"""What this Zoe is."""

from __future__ import annotations

from dataclasses import asdict

from zoe_jupyter.model.errors import Forbidden
from zoe_jupyter.server.api import TEXT, ApiRequest, Raw, Subject
from zoe_jupyter.server.schemas import InfoBody

routes = Subject("info")


@routes("GET", "info", "Version, home, backend and its capabilities, the user and their rights.", answer=InfoBody)
async def get_info(request: ApiRequest) -> InfoBody:
    from zoe_jupyter._version import __version__

    capabilities = request.core.capabilities()
    return InfoBody(
        version=__version__,
        home=request.origin.home,
        backend=capabilities.name,
        capabilities=asdict(capabilities),
        policy=request.core.policy(),
        user=request.caller.name,
        is_admin=request.caller.is_admin,
        server=request.origin.server,
        python=request.origin.python,
        silence=request.core.silence(),
    )


@routes("GET", "openapi.json", "This document.", media=("application/json",))
async def get_openapi(request: ApiRequest) -> Raw:
    from zoe_jupyter.server.openapi import rendered

    return Raw(rendered().encode(), "application/json")


@routes("GET", "metrics", "Prometheus metrics of Zoe; for admins, because they count everybody's.", media=(TEXT,))
async def get_metrics(request: ApiRequest) -> Raw:
    if not request.caller.is_admin:
        raise Forbidden("metrics count what everybody does: they are for admins")
    from zoe_jupyter.server.counters import requests_text

    return Raw(request.core.metrics() + requests_text(), "text/plain; version=0.0.4; charset=utf-8")
