"""What another Unix user of this machine tries: to read what is mine, to connect to it, to be there before me."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from zoe_jupyter.backends.base import ServiceOrder
from zoe_jupyter.backends.local import LocalBackend
from zoe_jupyter.backends.local.supervisor.processes import boot_id, start_of
from zoe_jupyter.model.errors import Fatal
from zoe_jupyter.store import migration
from zoe_jupyter.store.connections import file_url
from zoe_jupyter.store.errors import StoreError
from zoe_jupyter.store.location import state_folder
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.chaos import ChaosHarness, until

STRANGER = 65534
pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can play a second user")


@pytest.fixture
def town() -> Iterator[Path]:
    """A folder that everybody may read and nobody else write to, on the way to a home."""
    folder = Path(tempfile.mkdtemp(prefix="zoe-town-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def careless() -> Iterator[None]:
    """A user whose files everybody may write to unless somebody takes care."""
    before = os.umask(0)
    yield
    os.umask(before)


def as_stranger(act: Callable[[], object]) -> object:
    """What it returned when another user did it, in a process of its own."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(STRANGER)
            os.setuid(STRANGER)
            os.umask(0)
            os.write(write_end, json.dumps(act()).encode())
        except BaseException as error:
            os.write(write_end, json.dumps(f"{type(error).__name__}: {error}").encode())
        os._exit(0)
    os.close(write_end)
    with open(read_end, "rb") as answer:
        said = json.loads(answer.read())
    os.waitpid(pid, 0)
    return said


def reached(paths: list[Path]) -> list[str]:
    """What the calling user can look at, connect to, or add to."""
    return [str(path) for path in paths if not is_closed(path)]


def is_closed(path: Path) -> bool:
    try:
        if stat.S_ISSOCK(path.stat().st_mode):
            socket.socket(socket.AF_UNIX).connect(str(path))
        elif path.is_dir():
            os.listdir(path)
        else:
            path.open("rb").close()
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def migrated(path: Path) -> None:
    store = Store(file_url(path))
    try:
        store.migrate()
    finally:
        store.close()


def everything(folder: Path) -> list[Path]:
    return [folder, *(Path(top) / name for top, folders, files in os.walk(folder) for name in [*folders, *files])]


def test_a_stranger_reaches_nothing_of_a_zoe_at_work_whatever_the_umask(town: Path, careless: None) -> None:
    home = ChaosHarness(town / "home")
    home.folder.mkdir()
    home.furnish('c.Zoe.backend_options = {"log_limit_bytes": 10, "log_files": 3}')
    server = home.serve()
    try:
        for name, entry in (("mine", "crew"), ("done", "job")):
            server.ask("POST", "executions", {"use": entry, "name": name})
        until(lambda: server.ask("GET", "executions/mine")["state"] == "running", 30)
        until(lambda: server.ask("GET", "executions/done")["state"] == "ended", 30)
        own = everything(home.state)
        names = {path.name for path in own}
        assert {
            "zoe.db",
            "zoe.db-wal",
            "control.sock",
            "state.json",
            "crew.head-0.log",
            "core.lock",
            "core.json",
        } <= names
        assert as_stranger(lambda: reached(own)) == []
        own = [path for path in everything(home.state) if "work" not in path.relative_to(home.state).parts]
        open_ones = {str(path): oct(path.lstat().st_mode & 0o777) for path in own if path.lstat().st_mode & 0o077}
        assert open_ones == {}, "behind the closed door every file is closed, too"
        server.ask("POST", "executions/mine/stop")
        home.settle(server, is_idle=True)
        kept = everything(home.state / "logs")
        assert "crew.head-0.log" in {path.name for path in kept}
        assert [str(path) for path in kept if path.lstat().st_mode & 0o077] == []
    finally:
        server.end()


def test_a_backup_is_as_private_as_the_database(town: Path, careless: None) -> None:
    path = town / "state" / "zoe.db"
    migrated(path)
    assert migration._back_up(path).stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_missing_folders_on_the_way_to_the_state_are_for_their_user_only(town: Path, careless: None) -> None:
    state_folder(town / "share" / "jupyter")
    for folder in (town / "share", town / "share" / "jupyter", town / "share" / "jupyter" / "zoe"):
        assert oct(folder.stat().st_mode & 0o777) == "0o700", folder


@pytest.mark.parametrize("trap", ["folder", "link", "file"])
def test_a_state_folder_that_somebody_else_made_before_me_is_refused(town: Path, trap: str) -> None:
    common = town / "common"
    common.mkdir()
    common.chmod(0o1777)
    loot = town / "loot"

    def set_trap() -> None:
        place = common / "zoe"
        if trap == "folder":
            place.mkdir(mode=0o777)
        elif trap == "link":
            place.symlink_to(loot)
        else:
            place.touch()

    assert as_stranger(set_trap) is None
    with pytest.raises(StoreError, match=r"belongs to somebody else|cannot be made"):
        state_folder(common)
    assert not loot.exists()


@pytest.mark.parametrize("trap", ["file", "link", "wal", "open folder"])
def test_a_database_that_somebody_else_laid_out_is_not_opened(town: Path, trap: str) -> None:
    common = town / "common"
    common.mkdir()
    common.chmod(0o1777)
    path, loot = common / "zoe.db", town / "loot"

    def set_trap() -> None:
        if trap == "file":
            sqlite3.connect(path).execute("CREATE TABLE planted (x)").connection.close()
            path.chmod(0o666)
        elif trap == "link":
            path.symlink_to(loot)
        elif trap == "wal":
            path.with_name("zoe.db-wal").touch()

    assert as_stranger(set_trap) is None
    with pytest.raises(StoreError, match=r"somebody else|everybody"):
        migrated(path)
    assert not loot.exists()


@pytest.mark.parametrize("trap", ["folder", "link", "socket"])
async def test_a_run_folder_that_somebody_else_made_before_me_is_refused(town: Path, trap: str) -> None:
    """The state folder itself is closed; here somebody opened it."""
    data_dir = town / "data"
    run = data_dir / "run"
    run.mkdir(parents=True)
    for folder in (data_dir, run):
        folder.chmod(0o777)
    place, loot = run / "one", town / "loot"

    def set_trap() -> None:
        if trap == "link":
            place.symlink_to(town)
            return
        place.mkdir(mode=0o777)
        if trap == "socket":
            socket.socket(socket.AF_UNIX).bind(str(place / "control.sock"))
            supervisor = {"pid": 1, "start": start_of(1)}
            state = {"deployment": "test", "execution": "one", "boot_id": boot_id(), "supervisor": supervisor}
            (place / "state.json").write_text(json.dumps(state))

    assert as_stranger(set_trap) is None
    backend = LocalBackend(deployment="test", data_dir=data_dir)
    await backend.start()
    order = ServiceOrder(
        deployment="test", execution_id="one", owner="ada", service="app.main-0", attempt=1,
        command=(sys.executable, "-c", "pass"), files={"secret": "x"},
    )  # fmt: skip
    try:
        with pytest.raises(Fatal, match=r"belongs to somebody else"):
            await backend.launch(order, "local")
    finally:
        await backend.close()
    assert not loot.exists()
    assert not (town / "services").exists()
    assert "services" not in ({path.name for path in place.iterdir()} if trap != "link" else {})
