"""Logs: rotation, followers, great amounts, a full disk."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import hashlib
import os
import resource
import signal
import stat
import sys
import time
from pathlib import Path

import pytest

from tests.backends.local.conftest import LocalWorld, status
from zoe_jupyter.backends.base import SeenState, Unreachable
from zoe_jupyter.backends.local.logs import LogReader
from zoe_jupyter.backends.local.supervisor.logfile import LogFile
from zoe_jupyter.model.errors import NotFound
from zoe_jupyter.testing.backend_contract import FOREVER, Runner, eventually

LINES = "import sys, time\nfor n in range({count}):\n    print('line', n, flush=True)\n    time.sleep({pause})\n"
HUNDRED_MB = """
import hashlib, sys
block = b"".join(b"%09d" % n + b"x" * 90 + b"\\n" for n in range(10000))
for _ in range(100):
    sys.stdout.buffer.write(block)
"""


async def test_a_follower_sees_every_line_once_across_rotations(world: LocalWorld) -> None:
    world.options.update(log_limit_bytes=2000, log_files=3)
    runner = Runner(world, await world.open())
    await runner.start("one", code=LINES.format(count=2000, pause=0.001) + FOREVER)
    following = asyncio.create_task(runner.output("one", follow=True))
    await runner.said("one", "app.main-0", b"line 1999\n")
    await runner.backend.stop("one", "app.main-0", 1, grace_s=5)
    said = await asyncio.wait_for(following, 20)
    numbers = [int(line.split()[1]) for line in said.decode().splitlines()]
    assert numbers == list(range(numbers[0], 2000))
    files = sorted(path.name for path in (world.run_dir("one") / "logs").iterdir())
    assert files == ["app.main-0.log", "app.main-0.log.1", "app.main-0.log.2"]
    assert sum(path.stat().st_size for path in (world.run_dir("one") / "logs").iterdir()) < 3 * 70_000
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_a_follower_is_told_when_zoe_is_closed(world: LocalWorld) -> None:
    runner = Runner(world, await world.open())
    await runner.start("one")
    following = asyncio.create_task(runner.output("one", follow=True))
    await asyncio.sleep(0)
    await runner.backend.close()
    with pytest.raises(Unreachable, match="being closed"):
        await asyncio.wait_for(following, 20)
    runner = Runner(world, await world.open())
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


@pytest.mark.parametrize("is_marked", [True, False])
@pytest.mark.parametrize("rotations", [1, 2, 3, 8])
def test_a_reader_that_is_too_slow_is_told_where_and_how_much_output_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rotations: int, is_marked: bool
) -> None:
    if not is_marked:
        monkeypatch.setattr(os, "setxattr", unsupported)
    log = LogFile(str(tmp_path / "app.log"), limit_bytes=10, files=2)
    log.write(b"line 0, and not its end")
    reader = LogReader([tmp_path], "app")
    assert reader.open()
    assert reader.read() == b"line 0, and not its end"
    for number in range(1, rotations + 1):
        log.write(b"line %d, which fills a file\n" % number)
    said = b"".join(iter(reader.read, b""))
    reader.close()
    log.close()
    kept = [b"line %d, which fills a file\n" % number for number in range(max(1, rotations - 1), rotations + 1)]
    missing = 27 * (rotations - 2)
    gap = f"\n[zoe] {missing} bytes of output are missing here: it made room for newer output faster than it was read\n"
    if not is_marked:
        gap = gap.replace(f"{missing} bytes of output are", "output may be")
    has_gap = rotations > 2 or (rotations == 2 and not is_marked)
    assert said == (gap.encode() if has_gap else b"") + b"".join(kept)


def unsupported(*_: object) -> None:
    raise OSError(errno.ENOTSUP, "the disk takes no attributes")


async def test_a_follower_goes_on_with_the_next_attempt_and_ends_when_the_execution_is_cleaned(runner: Runner) -> None:
    await runner.launch(runner.order("one", code="print('first')"))
    await runner.ended("one")
    following = asyncio.create_task(runner.output("one", follow=True))
    await runner.launch(runner.order("one", attempt=2, code="print('second')"))
    await runner.ended("one", attempt=2)
    await runner.said("one", "app.main-0", b"second")
    assert not following.done()
    await runner.backend.clean("one", keep_logs=True)
    assert await asyncio.wait_for(following, 10) == b"first\n[zoe] attempt 2\nsecond\n"


async def test_a_hundred_megabytes_arrive_whole_and_in_small_chunks(world: LocalWorld) -> None:
    world.options.update(log_limit_bytes=60_000_000, log_files=3)
    runner = Runner(world, await world.open())
    block = b"".join(b"%09d" % n + b"x" * 90 + b"\n" for n in range(10000))
    wanted = hashlib.sha256()
    for _ in range(100):
        wanted.update(block)
    await runner.start("one", code=HUNDRED_MB)
    got, size = hashlib.sha256(), 0
    stopped = False
    async for chunk in runner.backend.logs("one", "app.main-0", tail=None, follow=True):
        assert 0 < len(chunk) <= 65536
        got.update(chunk)
        size += len(chunk)
        if size == 100_000_000:
            stopped = True
            break
    assert stopped
    assert got.digest() == wanted.digest()
    assert (await runner.output("one", tail=1)) == block[-100:]
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_the_supervisor_stays_responsive_and_small_while_a_service_floods(runner: Runner) -> None:
    seen = await runner.start("one", code="import sys\nwhile True: sys.stdout.write('x' * 65536 + chr(10))")
    for _ in range(20):
        await runner.backend.observe()
    lines = status(seen.handle["supervisor"]["pid"], "status").splitlines()
    (rss,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    assert rss < 40_000
    files = list((runner.world.run_dir("one") / "logs").iterdir())
    assert len(files) <= 3
    assert sum(path.stat().st_size for path in files) < 31_000_000


async def test_bytes_that_are_no_text_pass_unchanged(runner: Runner) -> None:
    await runner.launch(runner.order("one", code="import os; os.write(1, bytes(range(256)))"))
    await runner.ended("one")
    assert await runner.output("one") == bytes(range(256))


async def test_closing_a_follower_leaves_no_open_file(runner: Runner) -> None:
    await runner.start("one", code=LINES.format(count=100000, pause=0.01))

    def opened() -> int:
        links = [
            Path(f"/proc/self/fd/{n}")
            for n in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
            if Path(f"/proc/self/fd/{n}").exists()
        ]
        return sum("app.main-0.log" in str(link.readlink()) for link in links if link.is_symlink())

    following = runner.backend.logs("one", "app.main-0", tail=None, follow=True)
    assert await following.__anext__()
    await following.aclose()
    task = asyncio.create_task(runner.output("one", follow=True))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    async def is_closed() -> bool:
        return opened() == 0

    await eventually(is_closed)


def test_the_tail_reaches_back_over_files_and_great_blocks(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "app.log"), limit_bytes=300_000, files=3)
    lines = [f"{n:06d}".encode() + b"y" * 93 + b"\n" for n in range(8000)]
    for line in lines:
        log.write(line)
    log.close()
    whole = read_all(tmp_path)
    for count in (0, 1, 2, 655, 656, 1000, 5000):
        assert read_all(tmp_path, tail=count) == b"".join(lines[-count:] if count else [])
    assert whole == b"".join(lines[-len(whole) // 100 :])
    assert read_all(tmp_path, tail=100_000) == whole


@pytest.mark.parametrize(
    ("content", "tail", "wanted"),
    [(b"", 3, b""), (b"a\nb", 1, b"b"), (b"a\nb\n", 1, b"b\n"), (b"\n\n\n", 2, b"\n\n"), (b"a", 5, b"a")],
)
def test_the_tail_of_odd_logs(tmp_path: Path, content: bytes, tail: int, wanted: bytes) -> None:
    (tmp_path / "app.log").write_bytes(content)
    assert read_all(tmp_path, tail=tail) == wanted


def read_all(folder: Path, *, tail: int | None = None) -> bytes:
    reader = LogReader((folder,), "app")
    assert reader.open()
    if tail is not None:
        reader.seek_tail(tail)
    chunks = list(iter(reader.read, b""))
    reader.close()
    return b"".join(chunks)


def test_a_full_disk_costs_output_and_nothing_else(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: the write fails all the same."""
    log = LogFile(str(tmp_path / "app.log"), limit_bytes=10**9, files=3)
    log.write(b"before\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (7, before[1]))
    try:
        log.write(b"lost\n")
        assert log.dropped == 5
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    log.write(b"after\n")
    log.close()
    said = (tmp_path / "app.log").read_bytes()
    assert said == b"before\n[zoe] 5 bytes of output are missing here: the disk was full\nafter\n"


async def test_following_what_still_runs_gives_what_was_said_before(runner: Runner) -> None:
    await runner.start("one", code="print('early', flush=True); " + FOREVER)
    await runner.said("one", "app.main-0", b"early")
    following = runner.backend.logs("one", "app.main-0", tail=1, follow=True)
    assert await asyncio.wait_for(following.__anext__(), 10) == b"early\n"
    await following.aclose()
    assert (await runner.until("one", "app.main-0", SeenState.READY)).exit_code is None


async def test_what_a_command_beside_a_service_says_is_bounded_too(world: LocalWorld) -> None:
    world.options.update(log_limit_bytes=100_000, log_files=2)
    runner = Runner(world, await world.open())
    await runner.start("one")
    command = (sys.executable, "-c", "for n in range(10**5): print('drained', n)")
    assert await runner.backend.run("one", "app.main-0", 1, command, environment={"A": "1"}, timeout_s=60) == 0
    await runner.said("one", "app.main-0", b"drained 99999\n")
    assert sum(path.stat().st_size for path in (world.run_dir("one") / "logs").iterdir()) < 2 * 170_000
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


@pytest.mark.parametrize("trap", ["os.mkfifo(path)", "os.symlink('/proc/self/environ', path)"])
async def test_what_a_service_puts_into_the_place_of_its_log_holds_up_nobody(
    runner: Runner, world: LocalWorld, trap: str
) -> None:
    reserved = await runner.reserve("one", ports=())
    paths = [str(world.run_dir("one") / name) for name in ("logs/app.main-0.log", "state.json", "supervisor.json")]
    code = f"import os\nfor path in {paths!r}:\n    os.unlink(path)\n    {trap}\nprint('trap', flush=True)\n{FOREVER}"
    await runner.start("one", code=code)
    assert reserved.cwd.startswith(str(world.data_dir))

    async def is_trapped() -> bool:
        return not stat.S_ISREG(os.lstat(paths[0]).st_mode)

    await eventually(is_trapped)
    with contextlib.suppress(NotFound):
        assert await asyncio.wait_for(runner.output("one"), 5) in (b"", b"trap\n")
    assert await asyncio.wait_for(runner.backend.observe(), 5)
    await runner.start("one", "app.other-0")
    other = await world.open()
    assert await asyncio.wait_for(other.observe(), 10)
    await runner.backend.stop("one", "app.main-0", 1, grace_s=5)
    began = time.monotonic()
    await runner.backend.clean("one", keep_logs=True)
    assert time.monotonic() - began < 6, "the supervisor had to be killed"
