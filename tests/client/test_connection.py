"""Finding the running Zoe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoe_jupyter.client import connection
from zoe_jupyter.client.connection import find_connection, read_connection
from zoe_jupyter.model.errors import Unavailable


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("ZOE_CONNECTION_FILE", raising=False)
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    (tmp_path / "zoe" / "servers").mkdir(parents=True)
    return tmp_path / "zoe"


def write(file: Path, *, age_s: float = 0.0, **fields: object) -> Path:
    content = {
        "address": f"unix:/{file.stem}",
        "token": "t",
        "pid": os.getpid(),
        "boot_id": connection.boot_id(),
        **fields,
    }
    file.write_text(json.dumps(content))
    moment = file.stat().st_mtime - age_s
    os.utime(file, (moment, moment))
    return file


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_nothing_running_says_what_to_do(data: Path) -> None:
    with pytest.raises(Unavailable, match=r"make lab.*jupyter zoe serve"):
        find_connection()


def test_the_newest_live_server_is_taken(data: Path) -> None:
    write(data / "servers" / "old.json", age_s=100)
    write(data / "servers" / "new.json", age_s=10)
    write(data / "servers" / "gone.json", pid=dead_pid())
    assert find_connection().address == "unix:/new"


def test_servers_come_before_the_core_itself(data: Path) -> None:
    write(data / "core.json")
    assert find_connection().address == "unix:/core"
    write(data / "servers" / "one.json", age_s=1000)
    assert find_connection().address == "unix:/one"


def test_the_server_that_started_this_kernel_comes_before_newer_ones(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(data / "servers" / "ours.json", age_s=100, pid=os.getppid())
    write(data / "servers" / "new.json")
    monkeypatch.setenv("JPY_PARENT_PID", str(os.getppid()))
    assert find_connection().address == "unix:/ours"


def test_the_environment_names_a_file_before_all_others(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(data / "servers" / "new.json")
    monkeypatch.setenv("ZOE_CONNECTION_FILE", str(write(tmp_path / "mine.json")))
    assert find_connection().address == "unix:/mine"


def test_a_named_file_of_a_dead_server_is_passed_over(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(data / "servers" / "new.json")
    monkeypatch.setenv("ZOE_CONNECTION_FILE", str(write(tmp_path / "mine.json", pid=dead_pid())))
    assert find_connection().address == "unix:/new"


def test_another_boot_is_another_machine(data: Path) -> None:
    write(data / "servers" / "other.json", boot_id="another")
    with pytest.raises(Unavailable):
        find_connection()


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"address": "x"}', "\x00", '{"address": "a", "token": "t", "pid": "many"}']
)
def test_a_broken_file_is_no_connection(tmp_path: Path, content: str) -> None:
    file = tmp_path / "broken.json"
    file.write_text(content)
    assert read_connection(file) is None


def test_a_file_of_another_user_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path / "file.json")
    monkeypatch.setattr(os, "getuid", lambda: 4242)
    if file.stat().st_uid == 0:
        os.chown(file, 4243, -1)
    assert read_connection(file) is None


def test_jupyters_folder_is_found_without_jupyter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "jupyter_core.paths", None)
    monkeypatch.delenv("JUPYTER_DATA_DIR", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert connection.data_dir() == tmp_path / "jupyter"
    monkeypatch.delenv("XDG_DATA_HOME")
    assert connection.data_dir() == Path.home() / ".local/share/jupyter"
    monkeypatch.setattr(sys, "platform", "darwin")
    assert connection.data_dir() == Path.home() / "Library/Jupyter"
