"""What is known, after a time without a core, of executions that the cluster has removed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.backends.kubernetes.test_parents import Clock
from tests.backends.kubernetes.test_upkeep import NOON, SITE
from zoe_jupyter.backends.base import Bounds
from zoe_jupyter.backends.kubernetes import deadlines, manifests
from zoe_jupyter.backends.kubernetes.deadlines import Deadlines
from zoe_jupyter.backends.kubernetes.parents import removed_at, renewal


def test_what_one_core_wrote_down_the_next_one_knows(tmp_path: Path) -> None:
    file = tmp_path / "kubernetes" / "deadlines.json"
    left = Deadlines(file)
    for execution_id, at in {"gone": NOON, "renewed": NOON, "there": NOON, "later": NOON + 10, "cleaned": NOON}.items():
        left.note(execution_id, at)
    left.note("renewed", NOON + 10)
    left.forget("cleaned")
    left.write()

    found = Deadlines(file)
    found.read()
    assert found.over({"there"}, NOON + 1) == {"gone": deadlines.WHY}
    found.forget("gone")
    found.write()
    assert oct(file.stat().st_mode & 0o777) == "0o600"

    last = Deadlines(file)
    last.read()
    assert set(last.over(set(), NOON + 1)) == {"there"}


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x1": "noon", "x2": null, "x3": NaN, "x4": [1]}'])
def test_a_file_that_is_none_says_nothing(tmp_path: Path, content: str) -> None:
    file = tmp_path / "deadlines.json"
    file.write_text(content)
    found = Deadlines(file)
    found.read()

    assert found.over(set(), NOON) == {}


def test_nothing_fails_where_nothing_can_be_written_and_it_is_written_once_it_can(tmp_path: Path) -> None:
    file = tmp_path / "kubernetes" / "deadlines.json"
    file.parent.write_text("no folder")
    left = Deadlines(file)
    left.note("x1", NOON)
    left.write()
    file.parent.unlink()
    left.write()

    found = Deadlines(file)
    found.read()
    assert set(found.over(set(), NOON + 1)) == {"x1"}


def test_a_parent_is_removed_as_long_after_its_core_was_heard_as_it_was_told() -> None:
    bounds = Bounds(ends_at=None, silence_s=100.0)
    parent = manifests.parent(SITE, "x1", bounds, NOON)
    parent["metadata"]["uid"] = "u"
    assert removed_at(parent) == NOON + 100 + manifests.SLACK_S

    assert removed_at(renewal(parent, bounds, Clock(50).moments)) == NOON + 150 + manifests.SLACK_S
    timed = Bounds(ends_at=NOON + 70, silence_s=100.0)
    assert removed_at(renewal(parent, timed, Clock(50).moments)) == NOON + 70 + manifests.SLACK_S


@pytest.mark.parametrize("is_early", [True, False])
def test_who_is_removed_before_its_time_was_removed_by_somebody(tmp_path: Path, *, is_early: bool) -> None:
    """An admin who deletes the Job of what no store knows: nothing of it is told any more."""
    parent = manifests.parent(SITE, "x1", Bounds(ends_at=None, silence_s=100.0), NOON)
    found, name = Deadlines(tmp_path / "deadlines.json"), parent["metadata"]["name"]
    found.hear(name, parent, NOON)
    found.hear(name, None, NOON + (10 if is_early else 100 + manifests.SLACK_S + 5))

    assert found.over(set(), NOON + 1000) == ({} if is_early else {"x1": deadlines.WHY})
