"""The database's disk fails for real: each access that reaches it comes back with EIO, or the kernel made its file system read-only for that."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.test_database import PATIENCE_S, refusal
from tests.chaos.test_disk import begins_soon, run, runs_after_all, served, until_state, until_told
from zoe_jupyter.testing.chaos import ChaosHarness, Server, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

SECTORS, FIRST = 131_072, 8
SAID = "cannot be written to now"


class FailingDisk:
    """A partition of a disk in a file, with a file system on it, mounted on ``folder``."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder = folder
        self._image = image
        self._disk = ""

    def make(self) -> None:
        """Raises CalledProcessError, or FileNotFoundError, where that cannot be done."""
        self.folder.mkdir(mode=0o700)
        with self._image.open("wb") as file:
            file.truncate(SECTORS * 512)
        self._disk = told("losetup", "--find", "--show", "--partscan", self._image)
        told("addpart", self._disk, 1, FIRST, SECTORS - FIRST)
        # Without a journal, and going on after errors: it is the disk that fails, and the file system never gives it up.
        told("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "nodiscard", self._partition)
        self.mount()

    @property
    def _partition(self) -> str:
        return f"{self._disk}p1"

    def mount(self, *, errors: str = "continue") -> None:
        told("mount", "-o", f"errors={errors}", self._partition, self.folder)
        self.folder.chmod(0o700)

    def unmount(self) -> None:
        told("umount", self.folder)

    def fail(self) -> None:
        """From now on all of it is beyond the partition's end, for reading and for writing."""
        told("resizepart", self._disk, 1, FIRST)

    def heal(self) -> None:
        told("resizepart", self._disk, 1, SECTORS - FIRST)

    def make_read_only(self) -> None:
        """As the kernel does when it finds the file system in disorder."""
        (Path("/sys/fs/ext4") / Path(self._partition).name / "trigger_fs_error").write_text("tried\n")

    def remove(self) -> None:
        for command in (("umount", self.folder), ("delpart", self._disk, 1), ("losetup", "--detach", self._disk)):
            with suppress(subprocess.CalledProcessError, FileNotFoundError):
                told(*command)


def told(*command: Any) -> str:
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def disk(home: ChaosHarness) -> Iterator[FailingDisk]:
    """The database is on it, and nothing else."""
    disk = FailingDisk(home.folder / "elsewhere", home.folder / "image")
    config = home.folder / "config" / "jupyter_zoe_config.py"
    config.write_text(config.read_text() + f"c.Zoe.database_url = 'sqlite:///{disk.folder}/zoe.db'\n")
    try:
        made(disk)
        yield disk
    finally:
        disk.remove()


def made(disk: FailingDisk) -> None:
    try:
        disk.make()
    except FileNotFoundError as error:
        pytest.skip(f"a disk that fails cannot be made here: {error}")
    except subprocess.CalledProcessError as error:
        pytest.skip(f"a disk that fails cannot be made here: {error.stderr.strip()}")


def is_refused(server: Server) -> None:
    """New work, and a wish for what runs; both with what the disk says."""
    for path, body in (("executions", {"use": "crew", "name": "late"}), ("executions/mine/stop", None)):
        status, error = refusal(server, "POST", path, body)
        assert (status, error["reason"]) == (503, "store_unwritable"), error
        assert SAID in error["message"]


def test_a_disk_that_fails_is_told_and_all_goes_on_when_it_works_again(home: ChaosHarness, disk: FailingDisk) -> None:
    """With the same Zoe; what was accepted has cost no try, what ended meanwhile is noticed, and the next start finds all of it."""
    with served(home) as server:
        run(server, "crew", "mine")
        soon = begins_soon(server)
        before = home.sleepers()
        disk.fail()
        is_refused(server)
        until_told(server, soon, SAID)
        assert home.sleepers() == before
        os.kill(dict(home.launches())["crew.worker-1#1"], signal.SIGKILL)
        assert server.ask("GET", "executions/mine")["state"] == "running"

        disk.heal()
        runs_after_all(server, soon)
        until(lambda: "crew.worker-1#2" in home.sleepers(), PATIENCE_S, home.sleepers)
        server.kill()
    with served(home) as server:
        until_state(server, "mine", "running")
        assert server.ask("GET", f"executions/{soon}")["state"] == "ended"
        server.ask("POST", "executions/mine/stop")
        until_state(server, "mine", "ended")
        until(lambda: not home.processes(), PATIENCE_S, home.processes)


@pytest.mark.parametrize("last", ["submit", "stop"])
def test_what_was_refused_last_may_be_there_after_a_kill_and_then_once(
    home: ChaosHarness, disk: FailingDisk, last: str
) -> None:
    """It was written when the disk said that it is not safe: only who is asked again with the same key, or sees it, knows."""
    late = {"use": "crew", "name": "late"}
    server = home.hatch()
    run(server, "crew", "mine")
    disk.fail()
    if last == "submit":
        assert refusal(server, "POST", "executions", late, key="once")[0] == 503
    else:
        assert refusal(server, "POST", "executions/mine/stop")[0] == 503
    server.kill()
    disk.heal()

    with served(home) as server:
        own = server.ask("POST", "executions", late, key="once")["id"]
        until_state(server, own, "running")
        assert [item["id"] for item in server.ask("GET", "executions")["items"] if item["name"] == "late"] == [own]
        for name in ("mine", "late"):
            server.ask("POST", f"executions/{name}/stop")
            assert until_state(server, name, "ended")["outcome"] == "stopped"
        until(lambda: not home.processes(), PATIENCE_S, home.processes)


def test_a_disk_that_the_kernel_made_read_only_is_told_and_what_runs_is_found_when_it_is_mounted_anew(
    home: ChaosHarness, disk: FailingDisk
) -> None:
    """Such a file system is never written to again as it is: Zoe has to let go of it."""
    disk.unmount()
    disk.mount(errors="remount-ro")
    with served(home) as server:
        run(server, "crew", "mine")
        soon = begins_soon(server)
        before = home.sleepers()
        disk.make_read_only()
        is_refused(server)
        until_told(server, soon, SAID)
        assert home.sleepers() == before
    assert home.sleepers() == before

    disk.unmount()
    disk.mount()
    with served(home) as server:
        until_state(server, "mine", "running")
        assert home.sleepers() == before
        runs_after_all(server, soon)
        server.ask("POST", "executions/mine/stop")
        until_state(server, "mine", "ended")
        until(lambda: not home.processes(), PATIENCE_S, home.processes)
