"""Which tests the workers of one run are given, and when: the longest chains first, and at the end what can be shared one by one."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

BENCHMARKS = "tests/benchmarks/test_benchmarks.py"
CHAINS = ("tests/backends/kubernetes/", "tests/backends/docker/", "tests/e2e/", "tests/labextension/", "tests/docs/")
"""Files of long tests that have a server, an engine or a browser in common."""
LATE = ("tests/backends/docker/test_attach.py", "tests/backends/docker/test_browser_story.py")
"""Last of their chain: several Sparks that start at once take longer than one after another, and run into limits."""
ENGINES = ("docker", "kubernetes")
"""Real ones, each with nodes and names that its tests share: what uses one is given to one worker."""
SINGLES = (BENCHMARKS, "tests/chaos/test_failpoints.py", "tests/chaos/test_random_kills.py")
"""Files of long tests that have nothing in common."""


class Distribution(LoadFileScheduling):  # type: ignore[misc]
    """As ``--dist loadfile``, in the order of ``turn``; the tests of SINGLES are not kept together, those of an engine are."""

    def _split_scope(self, nodeid: str) -> str:
        engine = next((name for name in ENGINES if nodeid.startswith(_of(name))), None)
        if engine or nodeid.startswith(SINGLES):
            return engine or nodeid
        return super()._split_scope(nodeid)


def _of(engine: str) -> tuple[str, str]:
    return f"tests/backends/{engine}/", f"{BENCHMARKS}::test_a_quick_run_ends_with_the_figures_as_json[{engine}_"


def turn(nodeid: str) -> tuple[int, bool]:
    """When its turn comes: the least first."""
    chain = next((number for number, start in enumerate(CHAINS) if nodeid.startswith(start)), None)
    return len(CHAINS) + nodeid.startswith(SINGLES) if chain is None else chain, nodeid.startswith(LATE)
