"""Jupyter's own fixtures (``jp_fetch``, ``jp_serverapp``, ...), on the loop that pytest-asyncio runs the tests on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from jupyter_server.serverapp import ServerApp
from pytest_jupyter.jupyter_server import *  # noqa: F403
from traitlets.config import Config

from zoe_jupyter.server import extension
from zoe_jupyter.server.config import Zoe
from zoe_jupyter.server.extension import ZoeExtension
from zoe_jupyter.testing.fake_core import FakeCore

# pytest-asyncio runs the coroutines; Jupyter's hooks would run them on a second loop.
del pytest_pycollect_makeitem, pytest_pyfunc_call  # noqa: F821


@pytest.fixture
def jp_asyncio_loop(_function_scoped_runner: asyncio.Runner) -> asyncio.AbstractEventLoop:
    """The loop of the running test."""
    return _function_scoped_runner.get_loop()


@pytest.fixture
def core() -> FakeCore:
    """The core in memory that the server under test opens at its first use."""
    return FakeCore()


@pytest.fixture
def _fake_core(core: FakeCore, monkeypatch: pytest.MonkeyPatch) -> None:
    async def open_core(zoe: Zoe, folder: Path) -> FakeCore:
        return core

    monkeypatch.setattr(extension, "open_core", open_core)


@pytest.fixture
def jp_server_config(_fake_core: None) -> Config:
    """A Jupyter server with Zoe, that lets nobody in without a token."""
    return Config({"ServerApp": {"jpserver_extensions": {"zoe_jupyter": True}, "allow_unauthenticated_access": False}})


@pytest.fixture
def zoe(jp_serverapp: ServerApp) -> ZoeExtension:
    """The extension in the server under test."""
    (found,) = jp_serverapp.extension_manager.extension_apps["zoe_jupyter"]
    return found
