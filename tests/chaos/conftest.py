"""A home for each test; a file's own ``home`` adds to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from zoe_jupyter.testing.chaos import ChaosHarness


@pytest.fixture
def home(tmp_path: Path) -> Iterator[ChaosHarness]:
    """Furnished; what still runs in it at the end is killed."""
    home = ChaosHarness(tmp_path)
    home.furnish()
    yield home
    home.clear()
