"""Jupyter's own fixtures (``jp_fetch``, ``jp_serverapp``, ...), on the loop that pytest-asyncio runs the tests on."""

from __future__ import annotations

import asyncio

import pytest
from pytest_jupyter.jupyter_server import *  # noqa: F403

# pytest-asyncio runs the coroutines; Jupyter's hooks would run them on a second loop.
del pytest_pycollect_makeitem, pytest_pyfunc_call  # noqa: F821


@pytest.fixture
def jp_asyncio_loop(_function_scoped_runner: asyncio.Runner) -> asyncio.AbstractEventLoop:
    """The loop of the running test."""
    return _function_scoped_runner.get_loop()
