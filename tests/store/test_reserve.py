"""The file that keeps room on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from zoe_jupyter.store.reserve import RESERVE_BYTES, Reserve


@pytest.mark.parametrize(
    "lay", [os.mkfifo, os.mkdir, lambda path: os.symlink("/nowhere", path)], ids=["pipe", "folder", "link"]
)
def test_what_is_no_file_in_its_place_is_moved_aside(tmp_path: Path, lay: Callable[[Path], None]) -> None:
    place = tmp_path / "zoe.db.reserve"
    lay(place)

    assert Reserve(tmp_path / "zoe.db").hold()

    assert place.lstat().st_size == RESERVE_BYTES
    assert len(list(tmp_path.iterdir())) == 2


def test_it_is_given_up_by_slices_and_made_whole_again(tmp_path: Path) -> None:
    reserve = Reserve(tmp_path / "zoe.db")
    assert reserve.hold()
    given = 0
    while reserve.give_up():
        given += 1
    assert given * (1 << 20) == RESERVE_BYTES
    assert (tmp_path / "zoe.db.reserve").stat().st_size == 0
    assert reserve.hold()
    assert (tmp_path / "zoe.db.reserve").stat().st_size == RESERVE_BYTES
