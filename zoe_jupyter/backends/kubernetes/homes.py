"""Namespaces: whether the one for pods is there, and what to do where it is not."""

from __future__ import annotations

import re

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer
from zoe_jupyter.backends.kubernetes.site import Site

_NO_NAMESPACE = re.compile(r'^namespaces "([^"]+)" not found')


async def look_for(server: ApiServer, site: Site) -> None:
    """Raises Unreachable where it is missing: of what is not there, nothing is known to have ended. Who may not see it is asked nothing more.

    Where each user has one, who starts something is told.
    """
    if site.is_per_user:
        return
    try:
        await server.get(f"/api/v1/namespaces/{site.namespace}", {})
    except ApiError as error:
        if error.status == 404:
            raise Unreachable(f"{error}{way_out(str(error))}") from None
        if error.status != 403:
            raise


def way_out(text: str) -> str:
    """What to do about what a cluster said, where that is that a namespace is missing; else nothing."""
    missing = _NO_NAMESPACE.match(text)
    if missing is None:
        return ""
    return (
        f"; make it by `kubectl apply -f deploy/kubernetes/namespace.yaml`, with {missing[1]} for its name, or name another"
        " in the option `namespace`"
    )
