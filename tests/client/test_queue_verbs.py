"""What waits, what may be held, and what would be: words about the queue and quotas."""

from __future__ import annotations

import pytest

from tests.client.running import RunningZoe
from tests.client.test_verbs import do, session
from zoe_jupyter.client.text import to_text
from zoe_jupyter.client.verbs.parser import Usage
from zoe_jupyter.client.verbs.session import Session
from zoe_jupyter.model.execution import State
from zoe_jupyter.model.quota import Limit, Quota, Supposed

__all__ = ["session"]


def test_what_waits_is_told_with_the_reason(session: Session, zoe: RunningZoe) -> None:
    zoe.begin_in(State.QUEUED)
    do(session, "start spark --name one")
    assert "needs 8 GiB, 6 GiB are free" in to_text(do(session, "queue"))
    assert "queued, number 1 in line: needs 8 GiB" in to_text(do(session, "ps"))


def test_a_quota_is_set_shown_and_taken_back(session: Session, zoe: RunningZoe) -> None:
    zoe.admit()
    told = to_text(do(session, "quota ada --set cores=32 executions=4 run=8h --share cores=8"))
    assert "1 of 32 (own: 8)" in told
    assert "at most 8 h" in told
    assert zoe.core.quota_by_owner["ada"] == Quota(
        share=Limit(microcores=8_000_000), limit=Limit(executions=4, microcores=32_000_000, run_s=28800.0)
    )
    do(session, "quota ada --set cores=16.5 executions=-")
    assert zoe.core.quota_by_owner["ada"] == Quota(
        share=Limit(microcores=8_000_000), limit=Limit(microcores=16_500_000, run_s=28800.0)
    ), "what is not named stays, as --what-if tells it"
    do(session, "quota ada --share cores=-")
    assert zoe.core.quota_by_owner["ada"] == Quota(limit=Limit(microcores=16_500_000, run_s=28800.0))
    assert "by default" in to_text(do(session, "quota ada --remove"))
    with pytest.raises(Usage, match="say whose quota"):
        do(session, "quota --set cores=1")
    with pytest.raises(Usage, match="is no limit"):
        do(session, "quota ada --set disks=1")


def test_what_if_sends_what_is_supposed_and_says_that_nothing_was_changed(session: Session, zoe: RunningZoe) -> None:
    zoe.admit()
    told = to_text(do(session, "queue --what-if policy=srpt quota.ada.cores=8 quota.ada.memory=- quota.default.gpus=-"))
    supposed = {
        "ada": Supposed(Limit(microcores=8_000_000), frozenset({"memory_bytes"})),
        "default": Supposed(unlimited=frozenset({"gpus"})),
    }
    assert zoe.core.supposed == [("srpt", supposed)]
    assert "nothing was changed" in told
    with pytest.raises(Usage, match="cannot be supposed"):
        do(session, "queue --what-if weather=fine")
    with pytest.raises(Usage, match="run decides nothing"):
        do(session, "queue --what-if quota.ada.run=1h")
