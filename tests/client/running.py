"""A running Zoe for tests of kernels and shells: the server's own routes on a Unix socket, over a core in memory."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from zoe_jupyter.model.execution import Execution, Outcome, Reason, State
from zoe_jupyter.server.dispatch import Dispatcher
from zoe_jupyter.server.files import write_address
from zoe_jupyter.server.sockets import Listener
from zoe_jupyter.server.wire import Visitor
from zoe_jupyter.testing.fake_core import FakeCore

SERVER_ID = "server-1"
USER = "ann"


class RunningZoe:
    """A core that outlives its server: ``restart`` gives it another socket and token, as a restarted Jupyter server would."""

    def __init__(self, folder: Path) -> None:
        self.core = FakeCore()
        self.file = folder / "zoe" / "servers" / "one.json"
        self._folder = folder
        self._count = 0
        self._is_admin = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="running-zoe", daemon=True)
        self._thread.start()
        self.up()

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(20)

    def up(self) -> None:
        self._count += 1
        self.call(self._listen())

    def down(self) -> None:
        self.file.unlink(missing_ok=True)
        self.call(self._listener.close())

    def restart(self) -> None:
        self.down()
        self.up()

    def close(self) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def change(self, execution_id: str, **fields: Any) -> None:
        """Let an execution become so, and tell it in an event."""

        async def work() -> None:
            changed = replace(self.core.by_id[execution_id], **fields)
            self.core.by_id[execution_id] = changed
            self.core._tell(f"execution.{changed.state.value}", changed)

        self.call(work())

    def admit(self) -> None:
        """From now on its user is an admin."""
        self._is_admin = True
        self.restart()

    def end(self, execution_id: str, text: str = "out of memory: used 2.1 GiB of 2 GiB") -> None:
        self.change(execution_id, state=State.ENDED, outcome=Outcome.FAILED, reason=Reason("oom", text), services={})

    def begin_in(self, state: State) -> None:
        """What is submitted from now on stays in that state until the test says more."""
        make = self.core._new

        def wrapped(submission: Any, caller: Any) -> Execution:
            execution = replace(make(submission, caller), state=state, started_at=None)
            self.core.by_id[execution.id] = execution
            return execution

        self.core._new = wrapped  # type: ignore[method-assign]

    async def _listen(self) -> None:
        self._listener = Listener(
            Dispatcher(self.core), Visitor(USER, self._is_admin, server=SERVER_ID, python="/server/python")
        )
        self._listener.bind(self._folder, f"s{self._count}")
        self._listener.start()
        write_address(self.file, self._listener.described(url="http://127.0.0.1:8888/base/"))

    @property
    def only(self) -> Execution:
        """The one execution there is."""
        (found,) = self.core.by_id.values()
        return found


@contextmanager
def running_zoe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningZoe]:
    """A Zoe that this process finds, and no other."""
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(folder))
    monkeypatch.delenv("ZOE_CONNECTION_FILE", raising=False)
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setenv("JPY_PARENT_PID", "0")
    zoe = RunningZoe(folder)
    try:
        yield zoe
    finally:
        zoe.close()


@pytest.fixture
def zoe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningZoe]:
    folder = tmp_path / "data"
    folder.mkdir()
    with running_zoe(folder, monkeypatch) as running:
        yield running


@pytest.fixture
def in_kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make this process a kernel of the running server, for the client's eyes."""

    def become(*, kernel: str = "k1", notebook: str = "/home/ann/flights.ipynb") -> None:
        monkeypatch.setattr("zoe_jupyter.client.facts._kernel_file", lambda: f"/run/kernel-{kernel}.json")
        monkeypatch.setenv("JPY_PARENT_PID", str(os.getpid()))
        monkeypatch.setenv("JPY_SESSION_NAME", notebook)

    return become
