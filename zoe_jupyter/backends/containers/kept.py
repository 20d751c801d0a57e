"""Files of what a service said in each of its starts: all together have a limit, however often it is started."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

LEFT_OUT = b"[zoe] more was said before this and is not kept (`log_limit_bytes`)\n"
MOST_FILES = 1000


def keep_within(files: Sequence[Path], limit_bytes: int) -> None:
    """Remove the oldest of a service's files while there is too much, but for the newest; in the place of the last one that went stands a line that says so.

    ``files``: oldest first. What the disk does not let happen is left as it is.
    """
    with suppress(OSError):
        sizes = [file.stat().st_size for file in files]
        gone = 0
        while gone < len(files) - 1 and (sum(sizes[gone:]) > limit_bytes or len(files) - gone > MOST_FILES):
            gone += 1
        for file in files[: max(0, gone - 1)]:
            file.unlink(missing_ok=True)
        if gone:
            files[gone - 1].write_bytes(LEFT_OUT)
