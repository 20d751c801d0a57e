"""State is on a disk of this host, in a folder of this user, and one process holds it."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from zoe_jupyter.store import location
from zoe_jupyter.store.errors import StoreError
from zoe_jupyter.store.location import core_lock, is_network_filesystem, state_folder

HOLDER = """
import sys, time
from pathlib import Path
from zoe_jupyter.store.location import core_lock
lock = core_lock(Path(sys.argv[1]))
print("held" if lock else "refused", flush=True)
sys.stdin.read()
"""

MOUNTS = """\
22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:22 / /home rw,relatime shared:2 - nfs4 server:/home rw,vers=4.2
24 23 0:23 / /home/ada/scratch rw - xfs /dev/vdb rw
25 22 0:24 / /mnt/my\\040disk rw - fuse.sshfs ada@host: rw
26 22 0:25 / /over rw - nfs server:/x rw
27 26 0:26 / /over rw - tmpfs tmpfs rw
28 22 0:27 / /sealed rw - fuse.gocryptfs /x rw
29 22 0:28 / /hom rw - cifs //server/share rw
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    table = tmp_path / "mountinfo"
    table.write_text(MOUNTS)
    monkeypatch.setattr(location, "_MOUNTS", table)
    return table


@pytest.mark.parametrize(
    ("path", "is_remote"),
    [
        ("/var/zoe", False),
        ("/home/bob/.local/share/jupyter/zoe", True),
        ("/home/ada/scratch/zoe", False),
        ("/mnt/my disk/zoe", True),
        ("/over/zoe", False),
        ("/sealed/zoe", False),
    ],
)
@pytest.mark.usefixtures("mounts")
def test_the_deepest_and_newest_mount_tells_whether_a_disk_is_remote(
    path: str, is_remote: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(location, "_existing", Path)
    assert is_network_filesystem(Path(path)) is is_remote


def test_where_there_is_no_mount_table_disks_count_as_local(mounts: Path) -> None:
    mounts.unlink()
    assert not is_network_filesystem(Path("/home"))


def test_a_folder_that_will_be_made_counts_as_where_it_will_be(tmp_path: Path) -> None:
    assert not is_network_filesystem(tmp_path / "a" / "b")


def test_a_folder_whose_name_is_no_text_is_refused_with_the_way_out(tmp_path: Path) -> None:
    """It could stand in no URL, no log and no answer."""
    with pytest.raises(StoreError, match=r"not UTF-8.*JUPYTER_DATA_DIR"):
        state_folder(tmp_path / os.fsdecode(b"\xff\xfe"), is_network=lambda path: False)
    assert list(tmp_path.iterdir()) == []


def test_state_lives_in_the_data_folder_for_its_user_only(tmp_path: Path) -> None:
    folder = state_folder(tmp_path / "data", is_network=lambda path: False)
    assert folder == tmp_path / "data" / "zoe"
    assert mode(folder) == 0o700


def test_a_folder_that_others_could_read_is_closed(tmp_path: Path) -> None:
    (tmp_path / "zoe").mkdir(mode=0o755)
    assert mode(state_folder(tmp_path, is_network=lambda path: False)) == 0o700


def test_state_of_a_remote_home_lives_on_this_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    home = tmp_path / "home"

    def is_in_home(path: Path) -> bool:
        return path.is_relative_to(home)

    folder = state_folder(home / "data", is_network=is_in_home)
    assert folder.parent == tmp_path / "state" / "zoe"
    assert mode(folder) == mode(folder.parent) == 0o700
    assert state_folder(home / "data", is_network=is_in_home) == folder
    assert state_folder(home / "other", is_network=is_in_home) != folder
    assert not home.exists()


def test_without_a_local_home_state_lives_in_the_lasting_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    assert list(location._local_bases()) == [Path(f"/var/tmp/zoe-{os.getuid()}")]
    monkeypatch.setattr(location, "_local_bases", lambda: iter([tmp_path / "a", tmp_path / "b"]))
    assert state_folder(tmp_path / "home", is_network=lambda path: path.name != "b").parent == tmp_path / "b"
    assert state_folder(tmp_path / "home", is_network=lambda path: True).parent == tmp_path / "b"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "zoe").mkdir()
    os.chown(tmp_path / "zoe", 65534, 65534)
    with pytest.raises(StoreError, match="belongs to somebody else"):
        state_folder(tmp_path, is_network=lambda path: False)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "zoe").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match="link"):
        state_folder(tmp_path, is_network=lambda path: False)


def test_a_folder_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "zoe").write_text("")
    with pytest.raises(StoreError, match=str(tmp_path / "zoe")):
        state_folder(tmp_path, is_network=lambda path: False)


def test_the_lock_has_one_holder_and_tells_who(tmp_path: Path) -> None:
    lock = core_lock(tmp_path)
    assert lock is not None
    assert core_lock(tmp_path) is None
    holder = json.loads((tmp_path / "core.lock").read_text())
    assert holder["pid"] == os.getpid()
    assert set(holder) == {"host", "boot_id", "pid"}
    assert mode(tmp_path / "core.lock") == 0o600
    lock.release()
    lock.release()
    with core_lock(tmp_path) or pytest.fail("not free after release"):
        assert core_lock(tmp_path) is None
    assert core_lock(tmp_path) is not None


def test_a_killed_holder_frees_the_lock(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert core_lock(tmp_path) is None
        process.send_signal(signal.SIGKILL)
        process.wait(10)
    lock = core_lock(tmp_path)
    assert lock is not None
    lock.release()


def test_a_child_of_the_holder_does_not_keep_the_lock(tmp_path: Path) -> None:
    lock = core_lock(tmp_path)
    assert lock is not None
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, close_fds=False
    ):
        lock.release()
        again = core_lock(tmp_path)
        assert again is not None
        again.release()


def test_a_lock_file_that_was_removed_does_not_make_two_holders(tmp_path: Path) -> None:
    lock = core_lock(tmp_path)
    assert lock is not None
    (tmp_path / "core.lock").unlink()
    other = core_lock(tmp_path)
    assert other is not None
    assert core_lock(tmp_path) is None
    lock.release()
    assert core_lock(tmp_path) is None
    other.release()


def test_a_lock_file_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "core.lock").symlink_to(tmp_path / "target")
    with pytest.raises(StoreError, match="symbolic"):
        core_lock(tmp_path)


@pytest.mark.parametrize("lay", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
def test_what_is_no_file_in_the_place_of_the_lock_is_told(tmp_path: Path, lay: Callable[[Path], None]) -> None:
    lay(tmp_path / "core.lock")
    with pytest.raises(StoreError, match="remove it"):
        core_lock(tmp_path)
