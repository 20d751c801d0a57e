"""The lists that a process asks an API server for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from zoe_jupyter.backends.kubernetes.client import ApiServer

_KINDS = {"nodes", "pods", "jobs", "events", "services", "secrets", "networkpolicies"}
_MEASURED = "/apis/metrics.k8s.io/"
"""No objects of the cluster, and nothing that could be watched."""


@contextmanager
def lists() -> Iterator[Counter[str]]:
    """How often each is asked for from now on, by its path and its fields; watches are none, and the pages of one are one."""
    counts: Counter[str] = Counter()
    asked = ApiServer._answered

    def remember(server: ApiServer, method: str, path: str, query: Any, **options: Any) -> Any:
        wanted = query or {}
        is_whole = not path.startswith(_MEASURED) and not {"watch", "continue"} & wanted.keys()
        if method == "GET" and path.rpartition("/")[2] in _KINDS and is_whole:
            counts[f"{path}?{wanted.get('fieldSelector', '')}"] += 1
        return asked(server, method, path, query, **options)

    ApiServer._answered = remember  # type: ignore[method-assign]
    try:
        yield counts
    finally:
        ApiServer._answered = asked  # type: ignore[method-assign]
