"""Whom Zoe asks what services use."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.backends.kubernetes.test_upkeep import SITE
from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.kubernetes import usage
from zoe_jupyter.backends.kubernetes.client import ApiError
from zoe_jupyter.backends.kubernetes.usage import Meter

NONE = ApiError(404, "NotFound", "there is no metrics API")


@pytest.mark.parametrize("silence", [Unreachable("not within 10 s"), ApiError(503, "", "the kubelet does not answer")])
async def test_who_does_not_answer_once_is_asked_again_soon(
    silence: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "SOON_S", 0.0)
    server: Any = SimpleNamespace(get=AsyncMock(side_effect=[NONE, silence, NONE, {}]))
    machines: Any = SimpleNamespace(begun=AsyncMock(), all={"n1": {}})
    meter = Meter(SITE)

    await asyncio.wait_for(meter.find(server, machines), 5)
    assert meter.source == "kubelets"


async def test_who_never_answers_is_asked_less_and_less(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses = list[float]()

    async def sleep(for_s: float) -> None:
        pauses.append(for_s)

    monkeypatch.setattr(usage.asyncio, "sleep", sleep)
    silent = ApiError(503, "ServiceUnavailable", "the server is currently unable to handle the request")
    server: Any = SimpleNamespace(get=AsyncMock(side_effect=[*[silent] * 8, {}]))
    machines: Any = SimpleNamespace(begun=AsyncMock(), all={})
    await Meter(SITE).find(server, machines)
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]
