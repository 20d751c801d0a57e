from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zoe_jupyter.testing.fake_backend import FakeBackend
from zoe_jupyter.testing.house import House


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    house = House(tmp_path, FakeBackend(data_dir=tmp_path / "backend"))
    house.furnish()
    await house.open()
    yield house
    await house.core.close()
