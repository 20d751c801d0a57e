"""Which tests the workers of one run are given, and when: the longest chains first, and at the end what can be shared one by one."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

CHAINS = ("tests/e2e/", "tests/backends/docker/", "tests/backends/kubernetes/", "tests/labextension/", "tests/docs/")
"""Files of long tests that have a server, an engine or a browser in common."""
SINGLES = ("tests/benchmarks/test_benchmarks.py", "tests/chaos/test_failpoints.py", "tests/chaos/test_random_kills.py")
"""Files of long tests that have nothing in common."""


class Distribution(LoadFileScheduling):  # type: ignore[misc]
    """As ``--dist loadfile``, in the order of ``turn``, and without keeping the tests of SINGLES together."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(SINGLES) else super()._split_scope(nodeid)


def turn(nodeid: str) -> int:
    """When its turn comes: the least first."""
    return next((number for number, start in enumerate(CHAINS) if nodeid.startswith(start)), _later(nodeid))


def _later(nodeid: str) -> int:
    return len(CHAINS) + nodeid.startswith(SINGLES)
