"""Retires a worker: the scheduler gives it no more work, and what it holds moves to the others. Exits with 0 also when it is gone."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

PAUSE_S = 0.2


def main() -> None:
    scheduler, name = sys.argv[1], sys.argv[2]
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    address = _address(opener, scheduler, name)
    if address is None:
        return
    _ask(opener, f"http://{scheduler}/api/v1/retire_workers", {"workers": [address]})
    while _address(opener, scheduler, name) is not None:
        time.sleep(PAUSE_S)


def _address(opener: urllib.request.OpenerDirector, scheduler: str, name: str) -> str | None:
    """The worker's address as the scheduler has it."""
    found = _ask(opener, f"http://{scheduler}/api/v1/get_workers")
    workers = found.get("workers", []) if found else []
    return next((str(worker["address"]) for worker in workers if worker.get("name") == name), None)


def _ask(opener: urllib.request.OpenerDirector, url: str, body: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """The answer; None when nobody answers."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})  # noqa: S310 - http only
    try:
        with opener.open(request, timeout=30) as answer:
            return dict(json.load(answer))
    except (urllib.error.URLError, OSError, ValueError):
        return None


if __name__ == "__main__":
    main()
