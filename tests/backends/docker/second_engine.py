"""An engine of the tests' own, to be stopped and killed: in a network namespace of its own, since two in one flush each other's rules."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError

START_S = 60.0


class SecondEngine:
    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.url = f"unix://{folder / 's'}"
        self.socket = folder / "s"
        self._folder = folder
        self._process = process

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    @property
    def pid(self) -> int:
        return int((self._folder / "pid").read_text())

    def client(self) -> Any:
        return docker.APIClient(base_url=self.url, version="auto", timeout=60)

    def close(self) -> None:
        self.go_on()
        client = self.client()
        for each in client.containers(all=True):
            with suppress(APIError):  # somebody is removing it
                client.remove_container(each["Id"], force=True)
        client.close()
        os.kill(self.pid, signal.SIGTERM)
        self._process.wait(30)


@contextmanager
def second_engine(images: tuple[str, ...], first: Any, *options: str) -> Iterator[SecondEngine]:
    """Started with those images of the first one, and more options of ``dockerd``; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="zd-", dir="/tmp"))
    log = (folder / "log").open("wb")
    command = [
        "unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
        "dockerd", "-H", f"unix://{folder / 's'}", "--data-root", str(folder / "d"),
        "--exec-root", str(folder / "x"), "--pidfile", str(folder / "pid"), *options,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    engine = SecondEngine(folder, process)
    try:
        _wait(engine, folder)
        client = engine.client()
        for image in images:
            client.load_image(first.get_image(image), quiet=True)
        client.close()
        yield engine
    finally:
        engine.close()
        log.close()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(engine: SecondEngine, folder: Path) -> None:
    end = time.monotonic() + START_S
    while subprocess.run(["docker", "-H", engine.url, "version"], capture_output=True, check=False).returncode:
        assert time.monotonic() < end, (folder / "log").read_text()[-2000:]
        time.sleep(0.1)
