"""``jupyter zoe simulate``."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

from zoe_jupyter.cli.app import ABSENT, FAILED, MISUSED, OK, main
from zoe_jupyter.scheduler.snapshot import Job, Snapshot

HEADER = "id,owner,priority,submit_s,run_s,core_services,core_cores,core_memory_mib,elastic_services,elastic_cores,elastic_memory_mib"
ROWS = (
    "spark,ada,100,0,100,1,1,1024,3,1,1024",
    "job,bob,batch,10,30,2,1,1024,0,0,0",
    "huge,bob,100,10,30,2,99,1024,0,,",
)
CLUSTER = "nodes: [{count: 1, cores: 4, memory: 16GiB}]"


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """The arguments that name a small trace and a small cluster."""
    (tmp_path / "trace.csv").write_text("\n".join([HEADER, *ROWS]))
    (tmp_path / "cluster.yaml").write_text(CLUSTER)
    return ["--trace", str(tmp_path / "trace.csv"), "--cluster", str(tmp_path / "cluster.yaml")]


def test_json_has_the_statistics_by_policy(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *files, "--policy", "fifo", "--policy", "sjf", "--json"]) == OK
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["fifo", "sjf"]
    assert told["fifo"] == {
        "turnaround_s": {"mean": 72.5, "p50": 72.5, "p95": 110.75},
        "waiting_s": {"mean": 0.0, "p50": 0.0, "p95": 0.0},
        "slowdown": {"mean": 1.075, "p50": 1.075, "p95": 1.1425},
        "allocated": {"cores": 1.0, "memory": 0.25},
        "makespan_s": 115.0,
        "preempted": 0,
        "reclaimed": 2,
        "never_fits": ["huge"],
    }


def test_the_timeline_says_when_each_started_and_ended(files: list[str], tmp_path: Path) -> None:
    timeline = tmp_path / "when.csv"
    assert main(["simulate", *files, "--policy", "fifo", "--drain-s", "5", "--timeline", str(timeline)]) == OK
    with timeline.open(newline="") as file:
        assert list(csv.reader(file)) == [
            ["id", "started_s", "ended_s"],
            ["spark", "0.0", "117.5"],
            ["job", "15.0", "45.0"],
        ]


def test_of_several_policies_there_is_a_timeline_each(files: list[str], tmp_path: Path) -> None:
    main(["simulate", *files, "--policy", "fifo", "--policy", "srpt", "--timeline", str(tmp_path / "when.csv")])
    assert {path.name for path in tmp_path.glob("when*")} == {"when-fifo.csv", "when-srpt.csv"}


def test_a_table_is_for_people(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *files]) == OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["fifo"]
    assert ["turnaround,", "mean", "1", "min"] in [line.split() for line in lines]


def test_vega_lite_has_the_data_in_it(files: list[str], tmp_path: Path) -> None:
    drawn = tmp_path / "drawn.json"
    assert main(["simulate", *files, "--vega", str(drawn)]) == OK
    chart = json.loads(drawn.read_text())
    assert chart["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    assert len(chart["vconcat"]) == 5
    assert chart["vconcat"][0]["data"]["values"][0] == {"x": 30.0, "y": 0.5, "policy": "fifo"}


def test_a_png_is_drawn_where_matplotlib_is_installed(files: list[str], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drawn = tmp_path / "drawn.png"
    assert main(["simulate", *files, "--plot", str(drawn)]) == OK
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_where_it_is_not_the_error_says_what_to_do(
    files: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["simulate", *files, "--plot", "drawn.png"]) == ABSENT
    assert "needs Matplotlib: pip install matplotlib" in capsys.readouterr().err


def test_the_synthetic_workload_needs_no_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", "--synthetic", "--applications", "20", "--mix", "interactive", "--json"]) == OK
    assert json.loads(capsys.readouterr().out)["fifo"]["turnaround_s"]["mean"] > 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "one of the arguments --trace --synthetic --history"),
        (["--synthetic", "--drain-s", "-1"], "must be a number of seconds, not '-1'"),
        (["--synthetic", "--startup-s", "nan"], "must be a number of seconds, not 'nan'"),
        (["--synthetic", "--load", "0"], "must be a number of 0.001 to 1000"),
        (["--synthetic", "--applications", "1.5"], "must be a whole number"),
        (["--synthetic", "--reclaim", "maybe"], "invalid choice: 'maybe'"),
        (["--trace", "x.csv"], "--trace needs --cluster FILE"),
    ],
)
def test_words_that_make_no_sense_are_misuse(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *words]) == MISUSED
    assert told in capsys.readouterr().err


def test_an_unknown_policy_names_those_there_are(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *files, "--policy", "best"]) == FAILED
    assert "no 'best' among policies; installed: fair, fifo" in capsys.readouterr().err


class Lame:
    def order(self, waiting: list[Job], snapshot: Snapshot, now: float) -> list[str]:
        raise ZeroDivisionError("by nothing")


def test_a_policy_that_fails_is_named_with_what_it_said(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *files, "--policy", f"{__name__}:Lame"]) == FAILED
    told = capsys.readouterr().err
    assert f"the policy '{__name__}:Lame' failed at" in told
    assert "ZeroDivisionError: by nothing; correct it" in told


@pytest.mark.parametrize(
    "policy",
    [
        "os:system",
        "no.such:Policy",
        ":",
        "os:",
        "zoe_jupyter.simulator.simulation:Settings",
        "zoe_jupyter.scheduler.policies.base:Policy",
    ],
)
def test_a_path_that_leads_to_no_policy_is_an_error(
    policy: str, files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", *files, "--policy", policy]) == FAILED
    assert policy in capsys.readouterr().err


def test_a_full_disk_is_told(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *files, "--timeline", "/dev/full"]) == FAILED
    assert "what came of it cannot be written: No space left" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_an_error(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["simulate", *files, "--timeline", "/nowhere/when.csv"]) == FAILED
    assert "/nowhere/when.csv cannot be written" in capsys.readouterr().err


def test_a_bad_line_is_named(files: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "trace.csv").write_text("\n".join([HEADER, ROWS[0], "x,ada,100,-1,100,1,1,1,0,0,0"]))
    assert main(["simulate", *files]) == FAILED
    assert "trace.csv:3: submit_s: must not be negative, as -1 is" in capsys.readouterr().err
