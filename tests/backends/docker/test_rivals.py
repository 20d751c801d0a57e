"""Two deployments that chose one GPU of an engine in the same moment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.backends.docker.test_probing import FOUND
from zoe_jupyter.backends.docker import launching
from zoe_jupyter.backends.docker.launching import Launcher
from zoe_jupyter.backends.docker.translate import Holder
from zoe_jupyter.model.errors import Retryable

OWN = Holder(False, 1.0, FOUND.id, frozenset("0"))
LATER = Holder(True, 2.0, "later", frozenset("0"))
EARLIER = Holder(False, 0.0, "earlier", frozenset("0"))


@pytest.mark.parametrize(
    ("seen", "keeps"),
    [
        ([[OWN]], True),
        ([[OWN, LATER], [OWN]], True),
        ([[OWN, LATER], [OWN, LATER]], False),
        ([[OWN, EARLIER]], False),
        ([[OWN, LATER], [OWN, LATER, EARLIER]], False),
    ],
    ids=["alone", "the later one has given way", "the later one had looked before", "an earlier one", "both"],
)
async def test_who_was_made_first_waits_whether_the_later_one_that_runs_gives_way(
    monkeypatch: pytest.MonkeyPatch, seen: list[list[Holder]], *, keeps: bool
) -> None:
    """It does when it looks after its start: or else both gave way, and what had begun would begin again."""
    monkeypatch.setattr(launching, "_RIVAL_S", 0.0)
    asked = AsyncMock(side_effect=[*seen, None])
    engine: Any = SimpleNamespace(calls=SimpleNamespace(do=asked), containers={FOUND.id: FOUND}, name="docker")
    launcher = Launcher(engine, AsyncMock(), AsyncMock(), AsyncMock())
    if keeps:
        await launcher._keep(FOUND)
    else:
        with pytest.raises(Retryable, match="just taken"):
            await launcher._keep(FOUND)
    assert (FOUND.id in engine.containers) is keeps
    assert asked.await_count == len(seen) + (not keeps)
