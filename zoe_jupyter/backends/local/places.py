"""Where the local backend keeps things: one folder for each execution while it lives, and its logs afterwards."""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zoe_jupyter.backends.local.supervisor.files import (
    COMPLAINTS_FILE,
    LOCK_FILE,
    SETTINGS_FILE,
    SOCKET_FILE,
    STATE_FILE,
)
from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.model.errors import Fatal, NoRoom, ReadOnly, UserError

LEAST_FREE_BYTES = 16 << 20
"""Nothing new is begun with less room than this for run folders and logs: what runs needs it."""
LEAST_FREE_FILES = 64
"""Nor with fewer files that can still be made: an execution of three services has about 30."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,149}", re.ASCII)


def checked(name: str) -> str:
    """The name, when it may be a file's name; else Fatal."""
    if not _NAME.fullmatch(name):
        raise Fatal(f"{name[:80]!r} cannot be the name of a folder; use letters, digits, '.', '_' and '-'")
    return name


@dataclass(frozen=True, slots=True)
class Places:
    data_dir: Path

    def run_dir(self, execution_id: str) -> Path:
        """Everything of a living execution."""
        return self.data_dir / "run" / checked(execution_id)

    def work_dir(self, execution_id: str) -> Path:
        """Where its services work unless they were told otherwise."""
        return self.run_dir(execution_id) / "work"

    def service_dir(self, execution_id: str, service: str) -> Path:
        return self.run_dir(execution_id) / "services" / checked(service)

    def live_logs(self, execution_id: str) -> Path:
        return self.run_dir(execution_id) / "logs"

    def kept_logs(self, execution_id: str) -> Path:
        """Where logs are after the execution was cleaned."""
        return self.data_dir / "logs" / checked(execution_id)

    def executions(self) -> list[str]:
        """Ids of all executions that have a folder; what somebody else put there (``lost+found``) is passed over."""
        try:
            return sorted(
                entry.name
                for entry in os.scandir(self.data_dir / "run")
                if entry.is_dir(follow_symlinks=False) and _NAME.fullmatch(entry.name)
            )
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise Fatal(f"{self.data_dir / 'run'} is not a folder; remove it") from None

    def refuse_without_room(self) -> None:
        """Raises NoRoom when the disk of run folders has too little of it, ReadOnly when it cannot be written to."""
        trouble = self.trouble()
        if trouble is not None:
            raise trouble

    def trouble(self) -> UserError | None:
        """What keeps new executions from getting their folders and logs."""
        folder = self.data_dir / "run"
        try:
            found = os.statvfs(folder if folder.exists() else self.data_dir)
        except FileNotFoundError:
            return None  # What is gone is not full: whoever writes next tells what has happened.
        if found.f_flag & os.ST_RDONLY:
            return ReadOnly(
                f"the disk of {folder} is read-only now; once it can be written to again, Zoe goes on by itself"
            )
        free_bytes = found.f_bavail * found.f_frsize
        left, least = f"{free_bytes >> 10} KiB", f"{LEAST_FREE_BYTES >> 20} MiB"
        if free_bytes >= LEAST_FREE_BYTES:
            if not found.f_files or found.f_favail >= LEAST_FREE_FILES:
                return None
            left, least = f"room for {found.f_favail} files", f"{LEAST_FREE_FILES}"
        return NoRoom(
            f"the disk of {folder} has {left} left, and new executions need at least {least} for their logs; make room, Zoe goes on by itself"
        )

    def prepare(self, execution_id: str) -> Path:
        """Make the execution's folders, readable by their owner only; returns the first of them. Raises Fatal where another user was first."""
        folder = self.run_dir(execution_id)
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        for path in (self.data_dir, folder.parent, folder, folder / "work", folder / "services", folder / "logs"):
            _make_private(path)
        return folder

    def remove(self, execution_id: str, *, keep_logs: bool) -> None:
        """Remove the execution's folder; its logs go where they stay readable, or with it."""
        kept = self.kept_logs(execution_id)
        if keep_logs:
            self._keep(self.live_logs(execution_id), kept)
        else:
            shutil.rmtree(kept, ignore_errors=True)
        failpoint("clean.kept")
        folder = self.run_dir(execution_id)
        if folder.exists():
            _remove_tree(folder)

    @staticmethod
    def _keep(live: Path, kept: Path) -> None:
        """Logs only: a service can put a link to somebody's folder into the place of its own, and other things beside its log."""
        if live.is_symlink() or not live.is_dir():
            return
        for folder in (kept.parent, kept):
            _make_private(folder)
        for entry in list(os.scandir(live)):
            if entry.is_file(follow_symlinks=False):
                shutil.move(entry.path, kept / entry.name)  # also where run folders have a disk of their own


def clear_places(run_dir: Path) -> None:
    """Move aside what a service put where the next supervisor has to write: pipes, links, folders."""
    for name in (LOCK_FILE, SETTINGS_FILE, STATE_FILE, COMPLAINTS_FILE, SOCKET_FILE):
        place = run_dir / name
        expected = stat.S_IFSOCK if name == SOCKET_FILE else stat.S_IFREG
        with suppress(FileNotFoundError):
            if stat.S_IFMT(place.lstat().st_mode) != expected:
                place.rename(run_dir / f"{name}.{time.monotonic_ns()}")


def _make_private(folder: Path) -> None:
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise Fatal(
            f"{folder} is a link or belongs to somebody else; remove it, services run only in a folder of yours"
        )
    if found.st_mode & 0o077:
        folder.chmod(0o700)


def _remove_tree(folder: Path) -> None:
    """However deep it is, also where a service took away our own right to write, and where somebody else removes it at the same time."""
    with suppress(FileNotFoundError):
        while _emptied(folder):
            pass
        folder.rmdir()


def _emptied(top: Path) -> bool:
    """Remove all files in it and in its folders, whose own folders come up into it; says whether there was anything."""
    top.chmod(0o700)
    entries = list(os.scandir(top))
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            os.unlink(entry.path)
            continue
        os.chmod(entry.path, 0o700)
        for inner in list(os.scandir(entry.path)):
            if inner.is_dir(follow_symlinks=False):
                os.chmod(inner.path, 0o700)
                os.rename(inner.path, top / f".{time.monotonic_ns()}.{inner.inode()}")
            else:
                os.unlink(inner.path)
        os.rmdir(entry.path)
    return bool(entries)
