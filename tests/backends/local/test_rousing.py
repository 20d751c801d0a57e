"""The kernel is kept ready for moves for as long as something is being started, by one thread, and not longer."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from zoe_jupyter.backends.local import rousing
from zoe_jupyter.backends.local.rousing import Rouser


@pytest.fixture
def roused(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The threads that did it, one entry each time."""
    found: list[str] = []
    monkeypatch.setattr(rousing.cages, "own_group", lambda: "own")
    monkeypatch.setattr(rousing.cages, "rouse", lambda own: found.append(threading.current_thread().name))
    return found


def test_one_thread_does_it_again_and_again_and_ends(roused: list[str]) -> None:
    with ThreadPoolExecutor(4) as pool:
        rouser = Rouser(pool.submit)
        rouser.find()
        for _ in range(10):
            rouser.rouse()
    assert len(roused) > 1
    assert len(set(roused)) == 1
    count = len(roused)
    with ThreadPoolExecutor(1) as pool:
        rouser._run = pool.submit
        rouser.rouse()
        deadline = time.monotonic() + 10
        while len(roused) == count and time.monotonic() < deadline:
            time.sleep(0.001)
    assert len(roused) > count


def test_who_was_moved_to_another_group_is_not_moved_back(monkeypatch: pytest.MonkeyPatch) -> None:
    groups, written = ["first"], list[str]()
    monkeypatch.setattr(rousing.cages, "membership", lambda: groups[-1])
    monkeypatch.setattr(rousing.cages, "own_group", lambda: f"{groups[-1]}/cgroup.procs")
    monkeypatch.setattr(rousing.cages, "rouse", written.append)
    with ThreadPoolExecutor(1) as pool:
        rouser = Rouser(pool.submit)
        rouser.find()
        groups.append("second")
        rouser.rouse()
    assert set(written) == {"second/cgroup.procs"}


def test_without_a_group_of_our_own_nothing_is_done(roused: list[str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        Rouser(pool.submit).rouse()
    assert roused == []


def test_a_backend_that_was_closed_is_not_troubled(roused: list[str]) -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    rouser = Rouser(pool.submit)
    rouser.find()
    rouser.rouse()
    assert roused == []
