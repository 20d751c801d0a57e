"""Where local state lives, and who may use it: a folder on a disk of this host, and a lock that ends with its process."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType

from zoe_jupyter.store.errors import StoreError

LOCK_NAME = "core.lock"

# fmt: off
_NETWORK_TYPES = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs",
    "nfs4", "ocfs2", "openafs", "orangefs", "panfs", "pvfs2", "smb3", "smbfs", "wekafs",
})
_NETWORK_FUSE = frozenset({
    "blobfuse", "blobfuse2", "ceph", "cernvm-fs", "gcsfuse", "glusterfs", "goofys", "gvfsd-fuse", "juicefs", "mount-s3", "rclone",
    "s3fs", "seaweedfs", "sshfs",
})
# fmt: on
_MOUNTS = Path("/proc/self/mountinfo")


def is_network_filesystem(path: Path) -> bool:
    """Say whether ``path`` (or where it would be made) is on another machine's disk; False without Linux's mount table."""
    kind = _filesystem_type(_existing(path))
    if kind.startswith("fuse."):
        return kind.removeprefix("fuse.") in _NETWORK_FUSE
    return kind in _NETWORK_TYPES


def state_folder(data_dir: Path, *, is_network: Callable[[Path], bool] = is_network_filesystem) -> Path:
    """Make the folder for the database and sockets, mode 0700: ``data_dir/zoe``, or one on this host where that is remote.

    SQLite's shared memory and locks do not work across machines. Raises StoreError for a folder that others could write to.
    """
    wanted = data_dir / "zoe"
    if not _is_text(wanted):
        raise StoreError(
            f"{str(data_dir)!a} is not UTF-8, and Zoe keeps its state below it; set JUPYTER_DATA_DIR to another folder"
        )
    if not is_network(wanted):
        return _private(wanted)
    digest = hashlib.sha256(os.fsencode(wanted.absolute())).hexdigest()[:12]
    for base in _local_bases():
        if not is_network(base):
            return _private(_private(base) / digest)
    # A host without a disk of its own: its temporary folder is at least not shared with other hosts.
    return _private(_private(base) / digest)


def _is_text(path: Path) -> bool:
    """Whether its name can be written in a URL, a log, an answer."""
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def _local_bases() -> Iterator[Path]:
    home = os.environ.get("XDG_STATE_HOME", "")
    if home.startswith("/"):
        yield Path(home) / "zoe"
    yield Path("/var/tmp") / f"zoe-{os.getuid()}"  # noqa: S108 (survives a restart; owner and kind are checked)


def _private(folder: Path) -> Path:
    """Have the folder, mode 0700; raises StoreError when it is a link or somebody else's."""
    try:
        make_folder(folder)
        found = folder.lstat()
    except OSError as error:
        raise StoreError(f"the folder {folder} for Zoe's state cannot be made: {error.strerror or error}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StoreError(
            f"{folder} is a link or belongs to somebody else; remove it, Zoe keeps its state only in a folder of yours"
        )
    if stat.S_IMODE(found.st_mode) != 0o700:
        folder.chmod(0o700)
    return folder


def make_folder(folder: Path) -> None:
    """Have it; what has to be made, on the way to it too, is mode 0700."""
    if not folder.exists():
        if folder.parent != folder:
            make_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def _existing(path: Path) -> Path:
    path = Path(os.path.realpath(path))
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _filesystem_type(path: Path) -> str:
    """Of the deepest mount over ``path``, the newest where several are on top of each other; empty when unknown."""
    best, kind = -1, ""
    for point, mounted in _mounts():
        if path.is_relative_to(point) and len(point.parts) >= best:
            best, kind = len(point.parts), mounted
    return kind


def _mounts() -> Iterator[tuple[Path, str]]:
    try:
        lines = _MOUNTS.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        left, _, right = line.partition(" - ")
        point = re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), left.split(" ")[4])
        yield Path(point), right.split(" ")[0]


class CoreLock:
    """Held as long as the process lives, or until ``release``."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def release(self) -> None:
        """Let the next core have it; the second call does nothing."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            # Closing is not enough while a child is on its way from fork to exec.
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> CoreLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def core_lock(folder: Path) -> CoreLock | None:
    """Take the lock of this folder's core, or None while another process has it. The kernel frees it however that one ends.

    The file tells people who holds it (host, boot id, pid); it is never removed, since its next holder may have it open already.
    """
    path = folder / LOCK_NAME
    while True:
        descriptor = _open_plain(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_still_at(path, descriptor):
            _write_holder(descriptor)
            return CoreLock(descriptor)
        os.close(descriptor)


def _open_plain(path: Path) -> int:
    """Raises StoreError for a link, a folder, a pipe: nobody but a stranger or a broken disk puts such in the place of the lock."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StoreError(f"{path} cannot be opened: {error.strerror or error}; remove it") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StoreError(f"{path} is not a plain file; remove it")
    return descriptor


def _is_still_at(path: Path, descriptor: int) -> bool:
    """Say whether nobody removed or replaced the file between opening and locking."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write_holder(descriptor: int) -> None:
    holder = {"host": socket.gethostname(), "boot_id": _boot_id(), "pid": os.getpid()}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, (json.dumps(holder) + "\n").encode(), 0)


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
