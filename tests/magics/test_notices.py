"""What is said between cells, and below the error of a cell, of clusters that a notebook is or was attached to."""

from __future__ import annotations

import time
from typing import Any

import pytest
from IPython.utils.capture import capture_output

from tests.client.running import RunningZoe
from tests.magics.test_magics import run, shown
from zoe_jupyter.attach.watch import watcher
from zoe_jupyter.testing.jupyter_home import wait_for

pytestmark = pytest.mark.usefixtures("fake_spark")


def test_the_next_cell_tells_that_the_cluster_has_ended(shell: Any, zoe: RunningZoe) -> None:
    run(shell, "%zoe attach spark")
    zoe.end(zoe.only.id)
    deadline = time.monotonic() + 10
    while not watcher()._notices:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    (notice,) = shown(shell, "1")
    assert "has ended: failed: out of memory: used 2.1 GiB of 2 GiB" in notice.data["text/plain"]
    assert "%zoe attach spark" in notice.data["text/html"]
    assert shown(shell, "1") == []


def test_a_cell_that_failed_tells_it_at_once(shell: Any, zoe: RunningZoe) -> None:
    run(shell, "%zoe attach spark")
    zoe.end(zoe.only.id)
    with capture_output() as captured:
        shell.run_cell("1/0")
        if not captured.outputs:
            shell.run_cell("1")
    assert any("has ended: failed" in output.data.get("text/plain", "") for output in captured.outputs)


def test_what_has_become_of_the_cluster_stands_below_the_driver_s_trace_each_time(shell: Any, zoe: RunningZoe) -> None:
    run(shell, "%zoe attach spark")
    zoe.end(zoe.only.id)
    wait_for("the news", lambda: watcher()._notices)
    for code, notices in (("spark.count()", 2), ("spark.count()", 1), ("1/0", 0), ("spark.nonsense", 0)):
        with capture_output() as captured:
            shell.run_cell(code)
        told = [output.data["text/plain"] for output in captured.outputs]
        assert len(told) == notices, (code, told)
        assert all("has ended: failed: out of memory" in one and "%zoe attach spark" in one for one in told)


def test_of_a_cluster_that_runs_nothing_is_said_below_an_error(shell: Any, zoe: RunningZoe) -> None:
    run(shell, "%zoe attach spark")
    shell.user_ns["spark"].is_over = lambda: True
    assert_silent(shell, "spark.count()")


def assert_silent(shell: Any, code: str) -> None:
    with capture_output() as captured:
        shell.run_cell(code)
    assert captured.outputs == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%zoe stop spark", "which has ended. What it held is lost; `%zoe attach spark` starts a new one"),
        ("%zoe detach", "`spark` went when this notebook was detached from {0}. `%zoe attach {0}` brings it back"),
    ],
)
def test_a_variable_that_has_gone_is_explained_where_it_is_missed(
    shell: Any, zoe: RunningZoe, line: str, said: str
) -> None:
    run(shell, "%zoe attach spark")
    run(shell, line)
    for code, notices in (("spark.count()", 1), ("spark.count()", 1), ("nonsense", 0), ("1/0", 0)):
        with capture_output() as captured:
            shell.run_cell(code)
        told = [output.data["text/plain"] for output in captured.outputs]
        assert len(told) == notices, (code, told)
        assert all(said.format(zoe.only.name) in one for one in told)
    run(shell, "%zoe attach spark")
    run(shell, "spark.count()")
    run(shell, "del spark")
    assert_silent(shell, "spark")
