"""A running Zoe for each test that wants one."""

from __future__ import annotations

from tests.client.running import zoe

__all__ = ["zoe"]
