"""Connection files: how programs of the same user find a server. Mode 0600, written at once or not at all."""

from __future__ import annotations

import json
import os
import secrets
import stat
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

CORE_FILE = "core.json"
SOCKET_PATH_LIMIT = 100
"""Bytes of a Unix socket's path that every system takes."""


@dataclass(frozen=True, slots=True)
class Address:
    """What a connection file says."""

    address: str
    """``unix:/path`` or ``http://127.0.0.1:port``."""
    token: str
    pid: int
    boot_id: str
    host: str = ""
    url: str = ""
    """Base URL of the Jupyter server, for links."""

    @property
    def socket_path(self) -> str | None:
        return self.address.removeprefix("unix:") if self.address.startswith("unix:") else None

    @property
    def is_alive(self) -> bool:
        """Whether its process can still be there: the same boot, and the pid exists."""
        return self.boot_id == boot_id() and process_exists(self.pid)

    @property
    def is_stopped(self) -> bool:
        """Whether its process is there and does nothing, as after SIGSTOP or Ctrl-Z; False where the system does not tell."""
        try:
            status = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        return status.rpartition(")")[2].split()[:1] in (["T"], ["t"])


def new_token() -> str:
    return secrets.token_urlsafe(32)


def write_address(file: Path, address: Address) -> None:
    """Replace the file in one step."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(descriptor, "w") as stream:
            json.dump(asdict(address), stream)
        if file.is_dir() and not file.is_symlink():
            file.rename(f"{file}.{secrets.token_hex(4)}")
        os.replace(name, file)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def read_address(file: Path) -> Address | None:
    """What the file says; None when it is not there, or not ours to believe."""
    try:
        with open(file, encoding="utf-8", opener=_without_waiting) as stream:
            found = os.fstat(stream.fileno())
            if not stat.S_ISREG(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != os.getuid()):
                return None
            content = json.load(stream)
        address = Address(**{name: content[name] for name in Address.__slots__ if name in content})
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    return address if _is_sound(address) else None


def _without_waiting(path: str, flags: int) -> int:
    """For nobody at the other end of a pipe that lies in the file's place."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _is_sound(address: Address) -> bool:
    texts = (address.address, address.token, address.boot_id, address.host, address.url)
    return all(isinstance(text, str) and "\0" not in text for text in texts) and (
        isinstance(address.pid, int) and 0 < address.pid < 1 << 31
    )


def remove_address(file: Path) -> None:
    """Remove the file, and the socket that it names."""
    address = read_address(file)
    with suppress(OSError):
        file.unlink()
    if address and address.socket_path:
        remove_socket(address.socket_path)


def clean_stale(folder: Path) -> None:
    """Remove the files of servers that this host's earlier boots or dead processes left."""
    for file in folder.glob("*.json"):
        address = read_address(file)
        if address is not None and address.boot_id == boot_id() and not process_exists(address.pid):
            remove_address(file)


def socket_path(folder: Path, name: str) -> Path:
    """Where a socket goes: the folder, or one of our own with a short name where its path would be too long."""
    path = folder / name
    if len(os.fsencode(path)) <= SOCKET_PATH_LIMIT:
        return path
    return Path(tempfile.mkdtemp(prefix="zoe-")) / "s"


def remove_socket(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)
    parent = Path(path).parent
    if parent.name.startswith("zoe-") and Path(path).name == "s":
        with suppress(OSError):
            parent.rmdir()


def boot_id() -> str:
    """This boot of this machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
