"""Control groups of version 2, as a tree of files that follows the kernel's rules: most test machines still have version 1."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from zoe_jupyter.backends.local.supervisor import cages
from zoe_jupyter.backends.local.supervisor.cages import Cage, Place

MIB = 1024**2
ALL = ("cpu", "memory", "pids")
FILES = {
    "memory": {"memory.max": "max\n", "memory.swap.max": "max\n", "memory.peak": "0\n", "memory.events": "oom 0\noom_kill 0\n"},
    "cpu": {"cpu.weight": "100\n"},
    "pids": {"pids.max": "max\n", "pids.events": "max 0\n"},
}  # fmt: skip


class Kernel:
    """The part of Linux that keeps ``cgroup2``: what there is in a new group, and what it refuses."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._mkdir, self._rmdir = os.mkdir, os.rmdir
        root.mkdir()
        self._fill(root, ALL)

    def group(self, path: str, *, hands_down: Sequence[str] = (), pids: Sequence[int] = ()) -> Path:
        folder = self.root / path
        folder.mkdir()
        for controller in hands_down:
            self.write(str(folder / "cgroup.subtree_control"), f"+{controller}")
        (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))
        return folder

    def mkdir(self, path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        self._mkdir(path, mode, dir_fd=dir_fd)
        if self.root in Path(path).parents:
            self._fill(Path(path), (Path(path).parent / "cgroup.subtree_control").read_text().split())

    def rmdir(self, path: str, *, dir_fd: int | None = None) -> None:
        if dir_fd is not None or self.root not in Path(path).parents:
            self._rmdir(path, dir_fd=dir_fd)
        elif (Path(path) / "cgroup.procs").read_text():
            raise OSError(errno.EBUSY, "it has processes")
        else:
            self._tear(Path(path))

    def write(self, path: str, value: object) -> None:
        file = Path(path)
        if not file.exists():
            raise FileNotFoundError(path)
        if file.name == "cgroup.procs":
            self._move(file.parent, int(str(value)) or os.getpid())
        elif file.name == "cgroup.subtree_control":
            self._hand_down(file.parent, str(value).removeprefix("+"))
        else:
            file.write_text(f"{value}\n")

    def _fill(self, folder: Path, controllers: Sequence[str]) -> None:
        files = {"cgroup.procs": "", "cgroup.subtree_control": "", "cgroup.controllers": " ".join(controllers)}
        for controller in controllers:
            files.update(FILES[controller])
        for name, text in files.items():
            (folder / name).write_text(text)

    def _tear(self, folder: Path) -> None:
        for file in folder.iterdir():
            file.unlink()
        self._rmdir(folder)

    def _hand_down(self, folder: Path, controller: str) -> None:
        if controller not in (folder / "cgroup.controllers").read_text().split():
            raise FileNotFoundError(errno.ENOENT, "no such controller here")
        if folder != self.root and (folder / "cgroup.procs").read_text():
            raise OSError(errno.EBUSY, "a group with processes limits no groups below it")
        control = folder / "cgroup.subtree_control"
        control.write_text(f"{control.read_text()} {controller}".strip())

    def _move(self, folder: Path, pid: int) -> None:
        for file in self.root.rglob("cgroup.procs"):
            file.write_text("".join(f"{one}\n" for one in file.read_text().split() if int(one) != pid))
        with (folder / "cgroup.procs").open("a") as file:
            file.write(f"{pid}\n")


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel(tmp_path / "cgroup")
    monkeypatch.setattr(os, "mkdir", kernel.mkdir)
    monkeypatch.setattr(os, "rmdir", kernel.rmdir)
    monkeypatch.setattr(cages, "_write", kernel.write)
    return kernel


@pytest.fixture
def slice_of_apps(kernel: Kernel) -> Path:
    """As systemd makes it for a user who has logged in at a desktop; this process is in a group below."""
    for controller in ALL:
        kernel.write(str(kernel.root / "cgroup.subtree_control"), f"+{controller}")
    kernel.group("user@7.service", hands_down=ALL)
    apps = kernel.group("user@7.service/app.slice", hands_down=("memory",))
    kernel.group("user@7.service/app.slice/jupyter.scope", pids=[os.getpid()])
    return apps


def found(kernel: Kernel, own: str) -> tuple[Place, ...]:
    group, mounts = kernel.root.parent / "own", kernel.root.parent / "mounts"
    group.write_text(f"0::{own}\n")
    mounts.write_text(f"30 23 0:26 / {kernel.root} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n")
    return cages.places(str(group), str(mounts))


def test_a_user_of_systemd_has_all_limits_in_one_group_beside_the_own(kernel: Kernel, slice_of_apps: Path) -> None:
    places = found(kernel, "/user@7.service/app.slice/jupyter.scope")
    assert places == tuple(Place(name, 2, str(slice_of_apps)) for name in ("memory", "cpu", "pids"))
    cage = Cage("zoe.d.one.crew.worker-0.1", places, memory_bytes=96 * MIB, microcores=2_000_000, tasks=64)
    assert cage.folders == [str(slice_of_apps / "zoe.d.one.crew.worker-0.1")]
    told = {name: (Path(cage.folders[0]) / name).read_text().strip() for name in ("memory.max", "memory.swap.max", "cpu.weight", "pids.max")}  # fmt: skip
    assert told == {"memory.max": str(96 * MIB), "memory.swap.max": "0", "cpu.weight": "200", "pids.max": "64"}
    assert not list(slice_of_apps.glob("zoe.probe.*"))


def test_readying_the_kernel_for_moves_moves_nothing(kernel: Kernel, slice_of_apps: Path) -> None:
    found(kernel, "/user@7.service/app.slice/jupyter.scope")
    own = cages.own_group(str(kernel.root.parent / "own"), str(kernel.root.parent / "mounts"))
    assert own == str(slice_of_apps / "jupyter.scope" / "cgroup.procs")
    before = {place: place.read_text() for place in kernel.root.rglob("cgroup.procs")}
    cages.rouse(own)
    assert {place: place.read_text() for place in before} == before


def test_what_the_kernel_tells_of_a_service_is_read(kernel: Kernel, slice_of_apps: Path) -> None:
    places = found(kernel, "/user@7.service/app.slice/jupyter.scope")
    cage = Cage("zoe.d.one.crew.worker-0.1", places, memory_bytes=96 * MIB, microcores=0, tasks=64)
    folder = Path(cage.folders[0])
    cage.join()
    cage.check(os.getpid())
    assert (cage.limits_memory, cage.limits_tasks) == (True, True)
    assert cages.pids_in(cage.folders) == {os.getpid()}
    assert (cage.oom_kills(), cage.refused_tasks(), cage.peak_bytes()) == (0, 0, 0)
    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n")
    (folder / "memory.peak").write_text(f"{96 * MIB}\n")
    (folder / "pids.events").write_text("max 5\n")
    assert (cage.oom_kills(), cage.refused_tasks(), cage.peak_bytes()) == (2, 5, 96 * MIB)
    (folder / "memory.peak").unlink()  # before Linux 5.19
    assert cage.peak_bytes() == 0


def test_a_group_is_sealed_and_goes_when_it_is_empty(kernel: Kernel, slice_of_apps: Path) -> None:
    places = found(kernel, "/user@7.service/app.slice/jupyter.scope")
    cage = Cage("zoe.d.one.crew.worker-0.1", places, memory_bytes=96 * MIB, microcores=0, tasks=64)
    cage.join()
    cages.seal(cage.folders)
    assert (Path(cage.folders[0]) / "pids.max").read_text() == "0\n"
    assert cages.remove(cage.folders) == cage.folders
    kernel.write(str(slice_of_apps / "jupyter.scope" / "cgroup.procs"), os.getpid())
    assert cages.remove(cage.folders) == []
    assert not Path(cage.folders[0]).exists()


def test_who_did_not_get_into_the_group_is_watched(kernel: Kernel, slice_of_apps: Path) -> None:
    places = found(kernel, "/user@7.service/app.slice/jupyter.scope")
    cage = Cage("zoe.d.one.crew.worker-0.1", places, memory_bytes=96 * MIB, microcores=0, tasks=64)
    cage.check(os.getpid())
    assert (cage.limits_memory, cage.limits_tasks) == (False, False)


def test_a_group_with_processes_of_its_own_is_passed_over(kernel: Kernel, slice_of_apps: Path) -> None:
    (slice_of_apps / "cgroup.subtree_control").write_text("")
    (slice_of_apps / "cgroup.procs").write_text("1\n")
    places = found(kernel, "/user@7.service/app.slice/jupyter.scope")
    assert {place.parent for place in places} == {str(slice_of_apps.parent)}


def test_all_limits_are_in_the_group_of_the_first_as_a_process_is_in_one_only(
    kernel: Kernel, slice_of_apps: Path
) -> None:
    (slice_of_apps / "cgroup.controllers").write_text("memory pids")
    places = found(kernel, "/user@7.service/app.slice/jupyter.scope")
    assert [place.controller for place in places] == ["memory", "pids"]


def test_in_a_container_that_sees_its_own_group_only_there_is_no_place(kernel: Kernel) -> None:
    assert found(kernel, "/") == ()


def test_a_tree_that_may_only_be_read_has_no_place(kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel.write(str(kernel.root / "cgroup.subtree_control"), "+memory")
    kernel.group("box")

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "read-only file system")

    monkeypatch.setattr(os, "mkdir", refuse)
    monkeypatch.setattr(cages, "_write", refuse)
    assert found(kernel, "/box") == ()
