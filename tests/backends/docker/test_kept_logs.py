"""What Zoe keeps on its own disk of the logs of a service that is started again and again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.backends.docker.test_probing import FOUND
from zoe_jupyter.backends.containers.kept import LEFT_OUT
from zoe_jupyter.backends.docker import logs
from zoe_jupyter.backends.docker.logs import KeptLogs


async def test_the_logs_of_a_service_that_is_started_again_and_again_have_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def follow(*_: Any, **__: Any) -> AsyncIterator[bytes]:
        yield b"x" * 999 + b"\n"

    monkeypatch.setattr(logs, "follow", follow)
    engine: Any = SimpleNamespace(copies=asyncio.Semaphore(1))
    kept = KeptLogs(tmp_path, limit_bytes=3000)
    for number in range(1, 13):
        for service in ("app.main-0", "app.main-1"):
            attempt = replace(FOUND.attempt, service=service, attempt=number)
            await kept.keep(engine, replace(FOUND, attempt=attempt))

    who = FOUND.attempt
    found = kept.sources(who.deployment, who.execution_id, "app.main-0")
    assert [(number, found[number].path.stat().st_size) for number in sorted(found)] == [
        (9, len(LEFT_OUT)), (10, 1000), (11, 1000), (12, 1000)
    ]  # fmt: skip
