"""A registry of our own on loopback, which engines believe without TLS: Debian's ``docker-registry``."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from tarfile import TarFile, TarInfo
from typing import Any

from zoe_jupyter.testing.chaos import until

PROGRAM = "docker-registry"
CONFIG = """
version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}, delete: {{enabled: true}}}}
http: {{addr: "127.0.0.1:{port}", secret: "of-this-test"}}
"""
START_S = 30.0


@dataclass
class Registry:
    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        config = self.folder / "config.yml"
        config.write_text(CONFIG.format(folder=self.folder / "images", port=self.port))
        self.process = subprocess.Popen(
            [PROGRAM, "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        until(self._answers, START_S)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def name(self, image: str) -> str:
        return f"127.0.0.1:{self.port}/{image}"

    def push(self, client: Any, base: str, image: str, *, content: bytes) -> str:
        """Put ``base`` with one more file there and remove it here; its digest."""
        repository, _, tag = self.name(image).rpartition(":")
        made = client.create_container(base, ["true"])["Id"]
        try:
            client.put_archive(made, "/", _archive(content))
            client.commit(made, repository=repository, tag=tag)
        finally:
            client.remove_container(made, force=True)
        pushed = [line for line in client.push(repository, tag=tag, stream=True, decode=True) if "aux" in line]
        client.remove_image(self.name(image), force=True)
        return str(pushed[-1]["aux"]["Digest"])

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/v2/", timeout=2) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError):
            return False


def is_there() -> bool:
    return shutil.which(PROGRAM) is not None


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found = Registry(folder, int(probe.getsockname()[1]))
    found.start()
    try:
        yield found
    finally:
        found.stop()


def _archive(content: bytes) -> bytes:
    packed = BytesIO()
    with TarFile(fileobj=packed, mode="w") as tar:
        entry = TarInfo("content")
        entry.size, entry.mtime = len(content), int.from_bytes(os.urandom(3), "big")
        tar.addfile(entry, BytesIO(content))
    return packed.getvalue()
