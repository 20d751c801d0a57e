"""Where Zoe is: connection files, which a Jupyter server with Zoe (or ``jupyter zoe serve``) leaves in Jupyter's data folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zoe_jupyter.model.errors import Unavailable

VARIABLE = "ZOE_CONNECTION_FILE"
NOT_RUNNING = "no Zoe is running: open JupyterLab (`make lab`, `jupyter lab`) or run `jupyter zoe serve`"


@dataclass(frozen=True, slots=True)
class Connection:
    address: str
    """``unix:/path`` or ``http://127.0.0.1:port``."""
    token: str
    pid: int = 0
    boot_id: str = ""
    url: str = ""
    """Base URL of the Jupyter server, for links; empty when there is none."""
    file: str = ""
    prefix: str = "/zoe/api/"

    @property
    def is_alive(self) -> bool:
        """Whether the process that wrote it can still be there: same boot, and the pid exists."""
        here = boot_id()
        if self.boot_id and here and self.boot_id != here:
            return False
        return self.pid <= 0 or _exists(self.pid)


def find_connection() -> Connection:
    """The connection to use now; raises Unavailable, with the way out, when nothing is running.

    First the file that the environment names, then the Jupyter server that started this process, then the newest live server, then the core itself.
    """
    live = [connection for connection in _candidates() if connection.is_alive]
    if not live:
        raise Unavailable(NOT_RUNNING)
    if _is_named(live[0]):
        return live[0]
    return next((connection for connection in live if is_parent(connection)), live[0])


def is_parent(connection: Connection) -> bool:
    """Whether that Jupyter server started this process, so that its kernel manager knows when it ends."""
    return connection.pid > 0 and connection.pid in {os.getppid(), _parent_pid()}


def data_dir() -> Path:
    """Jupyter's data folder of this user, also where jupyter_core is not installed."""
    try:
        from jupyter_core.paths import jupyter_data_dir
    except ImportError:
        return _data_dir()
    return Path(jupyter_data_dir())


def read_connection(file: Path) -> Connection | None:
    """The connection in that file; None when it is gone, broken, or somebody else's."""
    try:
        if hasattr(os, "getuid") and file.stat().st_uid not in (os.getuid(), 0):
            return None
        content = json.loads(file.read_text(encoding="utf-8"))
        return Connection(
            address=str(content["address"]), token=str(content["token"]), pid=int(content.get("pid") or 0), boot_id=str(content.get("boot_id") or ""),
            url=str(content.get("url") or ""), file=str(file), prefix=str(content.get("prefix") or "/zoe/api/"),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def boot_id() -> str:
    """This boot of this machine; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _candidates() -> Iterator[Connection]:
    for file in _files():
        connection = read_connection(file)
        if connection is not None:
            yield connection


def _files() -> Iterator[Path]:
    if named := os.environ.get(VARIABLE):
        yield Path(named)
    folder = data_dir() / "zoe"
    yield from sorted((folder / "servers").glob("*.json"), key=_modified_at, reverse=True)
    yield folder / "core.json"


def _modified_at(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


def _is_named(connection: Connection) -> bool:
    return connection.file == os.environ.get(VARIABLE)


def _parent_pid() -> int:
    """The process that Jupyter says started this kernel."""
    text = os.environ.get("JPY_PARENT_PID", "")
    return int(text) if text.isdigit() else 0


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _data_dir() -> Path:
    if named := os.environ.get("JUPYTER_DATA_DIR"):
        return Path(named)
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Jupyter"
    return Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "jupyter"
