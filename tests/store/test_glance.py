"""Jupyter's start sees whether anything lives without loading the store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from zoe_jupyter.store.glance import has_live_executions
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.executions import make_execution
from zoe_jupyter.testing.store_contract import end, submit

KILLED = """
import os, signal, sys
from zoe_jupyter.store.repository import Store
from zoe_jupyter.testing.executions import make_execution
from zoe_jupyter.testing.store_contract import submit
store = Store(sys.argv[1])
store.migrate()
store.take_over("killed", 0.0)
submit(store, make_execution(1))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_no_store_and_an_empty_one_have_nothing_alive(path: Path, store: Store) -> None:
    assert not has_live_executions(path.with_name("none.db"))
    assert not path.with_name("none.db").exists()
    assert not has_live_executions(path)


def test_what_lives_is_seen_while_open_and_when_closed(path: Path, store: Store) -> None:
    submit(store, make_execution(1))
    assert has_live_executions(path)
    store.close()
    assert has_live_executions(path)


def test_what_has_ended_does_not_count(path: Path, store: Store) -> None:
    submit(store, make_execution(1))
    end(store, make_execution(1), 2.0)
    assert not has_live_executions(path)


def test_what_a_killed_core_left_in_its_journal_is_seen(path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, f"sqlite:///{path}"], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert os.path.getsize(f"{path}-wal") > 0
    assert has_live_executions(path)


@pytest.mark.parametrize("content", [b"", b"no database" * 1000])
def test_a_file_that_is_no_store_has_nothing_alive(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "50% #?.db"
    file.write_bytes(content)
    assert not has_live_executions(file)
    assert file.read_bytes() == content
