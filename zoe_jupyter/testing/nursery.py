"""Servers that start in a fraction of the time: forked from a process that has imported everything already.

They run the very same program as ``jupyter zoe serve``, in a process of their own that may be killed at any moment.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO

import zoe_jupyter.backends.local
import zoe_jupyter.engine.core
import zoe_jupyter.scheduler.policies.fifo
import zoe_jupyter.server.dispatch
import zoe_jupyter.server.serve

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__])


class Hatchling:
    """The part of ``subprocess.Popen`` that tests of servers use."""

    def __init__(self, variables: Mapping[str, str], folder: Path, log: Path) -> None:
        reader, writer = _CONTEXT.Pipe(duplex=False)
        arguments = dict(variables), str(folder), str(log), writer
        self._process = _CONTEXT.Process(target=_be_server, args=arguments, daemon=True)
        self._process.start()
        writer.close()
        self.stdout: IO[str] = os.fdopen(os.dup(reader.fileno()), encoding="utf-8")
        reader.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("zoe serve", timeout or 0.0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> None:
        self.wait(timeout)
        self.stdout.close()

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def _be_server(variables: dict[str, str], folder: str, log: str, output: Connection) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(folder)
    os.dup2(output.fileno(), 1)
    os.dup2(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
    sys.exit(zoe_jupyter.server.serve.ServeCommand().run(["--port=0"]))
