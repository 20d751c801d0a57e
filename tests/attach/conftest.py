"""A running Zoe for each test that wants one, and a kernel that is attached to nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attach.fake_kind import FakeSpark
from tests.client.running import in_kernel, zoe
from zoe_jupyter.attach import kinds, registry, watch

__all__ = ["fake_spark", "fresh_kernel", "in_kernel", "zoe"]


@pytest.fixture(autouse=True)
def fresh_kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(registry, "_attachments", [])
    monkeypatch.setattr(registry, "_ended", set())
    monkeypatch.setattr(registry, "_taken", {})
    monkeypatch.setattr(watch, "_watcher", None)
    yield
    if watch._watcher is not None:
        for execution_id in list(watch._watcher._states):
            watch._watcher.forget(execution_id)
    registry._leave()


@pytest.fixture
def fake_spark(monkeypatch: pytest.MonkeyPatch) -> type[FakeSpark]:
    FakeSpark.reset()
    monkeypatch.setitem(kinds._OWN, "spark", "tests.attach.fake_kind:FakeSpark")
    return FakeSpark
