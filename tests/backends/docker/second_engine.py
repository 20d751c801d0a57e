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
    """In that folder, with more options of ``dockerd``."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.url = f"unix://{folder / 's'}"
        self.socket = folder / "s"
        self._folder = folder
        self._command = [
            "unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh",
            "dockerd", "-H", self.url, "--data-root", str(folder / "d"),
            "--exec-root", str(folder / "x"), "--pidfile", str(folder / "pid"), *options,
        ]  # fmt: skip
        self._process = self._begun()

    def _begun(self) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            return subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        """Until it answers."""
        end = time.monotonic() + START_S
        while subprocess.run(["docker", "-H", self.url, "version"], capture_output=True, check=False).returncode:
            assert time.monotonic() < end, (self._folder / "log").read_text()[-2000:]
            time.sleep(0.1)

    def restart(self) -> None:
        """As with an upgrade: it ends its containers, and itself, and is started again."""
        self._end()
        self._process = self._begun()
        self.wait()

    def _end(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        self._process.wait(START_S)

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
        self._end()


@contextmanager
def second_engine(images: tuple[str, ...], first: Any, *options: str) -> Iterator[SecondEngine]:
    """Started with those images of the first one, and more options of ``dockerd``; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="zd-", dir="/tmp"))
    engine = SecondEngine(folder, *options)
    try:
        engine.wait()
        client = engine.client()
        for image in images:
            client.load_image(first.get_image(image), quiet=True)
        client.close()
        yield engine
    finally:
        engine.close()
        # One that was restarted may leave its folder mounted on itself.
        subprocess.run(["umount", "--lazy", str(folder / "d")], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)
