"""The parts that need no process: verdicts, the meter, the machine, translations."""

from __future__ import annotations

import pytest

from zoe_jupyter.backends.local.machine import local_node, total_memory_bytes, usable_cores
from zoe_jupyter.backends.local.meter import Meter
from zoe_jupyter.backends.local.supervisor import verdict
from zoe_jupyter.backends.local.supervisor.verdict import End, judge
from zoe_jupyter.backends.local.translate import reason, seen_services

GIB = 1024**3


@pytest.mark.parametrize(
    ("end", "code", "text", "is_blameless"),
    [
        (End(0), "exited", "exited with 0", False),
        (End(3), "exited", "exited with 3", False),
        (End(139), "killed", "killed by SIGSEGV", False),
        (End(128 + 40), "killed", "killed by signal 40", False),
        (End(143, cause=verdict.STOP), "killed", "killed by SIGTERM", False),
        (End(0, cause=verdict.STOP), "exited", "exited with 0", False),
        (End(None), "lost", "nobody saw how it ended", True),
        (End(143, cause=verdict.SHUTDOWN), "lost", None, True),
        (
            End(143, cause=verdict.EXPIRED, why_expired="its lifetime is over"),
            "expired",
            "ended by its supervisor: its lifetime is over",
            False,
        ),
        (
            End(143, cause=verdict.UNHEALTHY, was_ready=True, failures=3, waited_for="x"),
            "unhealthy",
            "it works no more: 3 times in a row waited for x",
            False,
        ),
        (
            End(143, cause=verdict.NOT_READY, timeout_s=60, waited_for="x"),
            "not_ready",
            "not ready after 60 s: waited for x",
            False,
        ),
        (End(1, taken=[80]), "port_taken", "another program took its port 80 before it could", True),
        (End(1, taken=[80], was_ready=True), "exited", "exited with 1", False),
        (End(143, cause=verdict.STOP, taken=[80]), "killed", "killed by SIGTERM", False),
        (End(137, oom_kills=1, since_oom_s=1000), "out_of_memory", None, False),
        (End(1, oom_kills=1, since_oom_s=1), "out_of_memory", None, False),
        (End(1, oom_kills=1, since_oom_s=1000), "exited", "exited with 1", False),
        (End(0, oom_kills=1, since_oom_s=1), "exited", "exited with 0", False),
        (End(137, cause=verdict.OUT_OF_MEMORY), "out_of_memory", None, False),
    ],
)
def test_the_reason_of_an_end(end: End, code: str, text: str | None, is_blameless: bool) -> None:
    told, blameless = judge(end)
    assert told["code"] == code
    assert blameless is is_blameless
    if text is not None:
        assert told["text"] == text


def test_last_words_are_told_of_failures_only() -> None:
    assert judge(End(1, log=["oh"]))[0]["numbers"]["log"] == ["oh"]
    assert "log" not in judge(End(0, log=["fine"]))[0]["numbers"]
    assert "log" not in judge(End(143, cause=verdict.STOP, log=["bye"]))[0]["numbers"]


def test_memory_is_told_as_people_read_it() -> None:
    told = reason({"code": "out_of_memory", "text": "", "numbers": {"used": int(2.1 * GIB), "limit": 2 * GIB}})
    assert told is not None
    assert told.text == "out of memory: used 2.1 GiB of 2 GiB"


def count(cpu_s: float, *, attempt: int = 1, age_s: float = 10.0) -> dict[str, object]:
    return {"attempt": attempt, "age_s": age_s, "cpu_s": cpu_s, "memory_bytes": 7, "processes": 2}


def test_use_is_the_difference_of_two_counts_and_at_first_the_mean() -> None:
    meter = Meter()
    (first,) = meter.measure({"one": {"a": count(5.0)}}, 100.0)
    assert first.cpu_cores == 0.5
    (second,) = meter.measure({"one": {"a": count(9.0)}}, 102.0)
    assert second.cpu_cores == 2.0
    assert (second.memory_bytes, second.processes) == (7, 2)
    (too_soon,) = meter.measure({"one": {"a": count(9.0)}}, 102.001)
    assert too_soon.cpu_cores == 2.0
    (fewer,) = meter.measure({"one": {"a": count(3.0)}}, 103.0)
    assert fewer.cpu_cores == 0.0
    (another,) = meter.measure({"one": {"a": count(1.0, attempt=2, age_s=1.0)}}, 104.0)
    assert another.cpu_cores == 1.0


def test_cores_are_overcommitted_and_memory_is_not() -> None:
    node = local_node(overcommit=4.0, memory_fraction=1.0)
    assert node.capacity.microcores == int(usable_cores() * 4_000_000)
    total = total_memory_bytes()
    assert node.capacity.memory_bytes == total - max(GIB, total // 10)
    assert local_node(overcommit=1.0, memory_fraction=0.25).capacity.memory_bytes == total // 4


def test_a_supervised_state_is_taken_as_it_is_and_another_is_lost() -> None:
    record = {
        "attempt": 2, "state": "ready", "pid": 5, "start": 6, "ports": {"web": 80}, "exit_code": None, "reason": None, "is_blameless": False,
        "memory": "none", "oom_kills": 0, "dropped_bytes": 0,
    }  # fmt: skip
    ended = {
        **record,
        "state": "exited",
        "exit_code": 3,
        "reason": {"code": "exited", "text": "exited with 3", "numbers": {}},
    }
    state = {
        "execution": "one",
        "boot_id": "b",
        "supervisor": {"pid": 1},
        "services": {"living": record, "ended": ended},
    }
    living, known = seen_services(state, is_supervised=True, is_same_boot=True)
    assert (living.state.value, living.ports, living.attempt) == ("ready", {"web": 80}, 2)
    lost, still_known = seen_services(state, is_supervised=False, is_same_boot=False)
    assert lost.reason is not None
    assert (lost.state.value, lost.exit_code, lost.is_blameless, lost.reason.text) == (
        "exited",
        None,
        True,
        "lost: the machine was restarted",
    )
    assert known == still_known
