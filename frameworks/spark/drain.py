"""Lets a worker hand over its work before it goes: no new tasks, running ones end, their results move to the others.

Tells the worker by a signal (Spark's decommissioning), and waits until none of its executors is left. Exits with 0 also when the
worker is gone already.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path

PAUSE_S = 0.2


def main() -> None:
    folder, address = Path(sys.argv[1]).parent, sys.argv[2]
    try:
        os.kill(int((folder / "pid").read_text(encoding="ascii")), _signal())
    except (OSError, ValueError):
        return
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while _executors(opener, address):
        time.sleep(PAUSE_S)


def _signal() -> int:
    return int(getattr(signal, "SIGPWR", signal.SIGWINCH))


def _executors(opener: urllib.request.OpenerDirector, address: str) -> int:
    """How many executors the worker has; 0 when it does not answer."""
    try:
        with opener.open(f"http://{address}/json/", timeout=5) as answer:
            return len(json.load(answer)["executors"])
    except (OSError, ValueError, KeyError):
        return 0


if __name__ == "__main__":
    main()
