"""How many requests were answered, by route and status. Labels are routes, never paths: their number stays bounded."""

from __future__ import annotations

from collections import Counter

_requests: Counter[tuple[str, str, int]] = Counter()


def count_request(method: str, pattern: str, status: int) -> None:
    _requests[method, pattern, status] += 1


def requests_text() -> bytes:
    """The counters as Prometheus text."""
    lines = [
        "# HELP zoe_http_requests_total Requests answered, by route and status.",
        "# TYPE zoe_http_requests_total counter",
    ]
    lines += [
        f'zoe_http_requests_total{{method="{method}",route="{pattern}",status="{status}"}} {count}'
        for (method, pattern, status), count in sorted(_requests.items())
    ]
    return "\n".join([*lines, ""]).encode()
