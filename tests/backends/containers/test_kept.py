"""What is kept of the logs of a service that is started again and again."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoe_jupyter.backends.containers import kept
from zoe_jupyter.backends.containers.kept import LEFT_OUT, keep_within


def written(folder: Path, number: int, size: int) -> Path:
    file = folder / f"{number:03}.log"
    file.write_bytes(b"%d" % (number % 10) * size)
    return file


def test_the_oldest_go_and_a_line_in_their_place_says_so(tmp_path: Path) -> None:
    for number in range(1, 9):
        written(tmp_path, number, 1000)
        keep_within(sorted(tmp_path.iterdir()), 3100)

    assert [(file.name, file.read_bytes()[:1]) for file in sorted(tmp_path.iterdir())] == [
        ("005.log", b"["), ("006.log", b"6"), ("007.log", b"7"), ("008.log", b"8")
    ]  # fmt: skip
    assert (tmp_path / "005.log").read_bytes() == LEFT_OUT


def test_what_is_within_the_limit_is_left_as_it_is(tmp_path: Path) -> None:
    files = [written(tmp_path, number, 10) for number in range(3)]
    keep_within(files, 30)
    assert [file.stat().st_size for file in files] == [10, 10, 10]


def test_the_newest_stays_however_large_it_is(tmp_path: Path) -> None:
    files = [written(tmp_path, number, 100) for number in range(2)]
    keep_within(files, 50)
    assert [file.read_bytes() for file in files] == [LEFT_OUT, b"1" * 100]


def test_there_are_not_too_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_FILES", 3)
    keep_within([written(tmp_path, number, 1) for number in range(6)], 1000)
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["002.log", "003.log", "004.log", "005.log"]


def test_a_file_that_is_gone_is_no_error(tmp_path: Path) -> None:
    keep_within([tmp_path / "gone.log", written(tmp_path, 1, 10)], 5)
    assert (tmp_path / "001.log").exists()
