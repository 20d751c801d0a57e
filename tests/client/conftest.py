"""A running Zoe for each test that wants one."""

from __future__ import annotations

from tests.client.running import in_kernel, zoe

__all__ = ["in_kernel", "zoe"]
