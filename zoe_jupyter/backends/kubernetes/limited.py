"""``python limited.py SECONDS COMMAND...``: run it, and end it with all that it began if it takes longer. Of its errors the end is told."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile

_TOLD_BYTES = 2000


def _run(seconds: float, command: list[str]) -> int:
    with tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(command, stderr=errors, start_new_session=True)
        except OSError as error:
            sys.exit(str(error))
        try:
            process.wait(seconds)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            sys.exit(f"it takes longer than {seconds:g} s" if isinstance(error, subprocess.TimeoutExpired) else 1)
        errors.seek(max(0, errors.seek(0, os.SEEK_END) - _TOLD_BYTES))
        sys.stderr.write(errors.read().decode(errors="replace"))
    return process.returncode


if __name__ == "__main__":
    for each in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, lambda *_: sys.exit(1))
    sys.exit(_run(float(sys.argv[1]), sys.argv[2:]))
