"""Progress while a verb works: steps with their seconds, a clock that moves them on, and lines for terminals, scripts and pipes."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TextIO

from zoe_jupyter.client.follow import Step
from zoe_jupyter.client.text import as_line, clean
from zoe_jupyter.client.verbs.results import Tone
from zoe_jupyter.model.units import format_duration

TICK_S = 1.0
_WORTH_TELLING_S = 1.0
_REST_OF_LINE = "\x1b[K"


def _now() -> float:
    return time.monotonic()


@dataclass(slots=True)
class Progress:
    """One step, and how long it has taken; it goes on until it is ended."""

    text: str
    tone: Tone = Tone.PLAIN
    began_s: float = field(default_factory=_now)
    took_s: float | None = None

    def end(self) -> None:
        self.took_s = time.monotonic() - self.began_s

    def seconds(self) -> str:
        """``12 s``; empty while that is not worth telling."""
        took_s = time.monotonic() - self.began_s if self.took_s is None else self.took_s
        return format_duration(round(took_s)) if took_s >= _WORTH_TELLING_S else ""

    def told(self) -> str:
        """``starting master (12 s)``."""
        seconds = self.seconds()
        return f"{self.text} ({seconds})" if seconds else self.text


class Ticker:
    """Calls every second, from a thread of its own, until it is stopped."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._thread is None:
            self._over.clear()
            self._thread = threading.Thread(target=self._run, name="zoe-progress", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Nothing is called any more when this returns; not to be called with a lock that the call waits for."""
        thread, self._thread = self._thread, None
        self._over.set()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while not self._over.wait(TICK_S):
            with suppress(OSError, ValueError):  # whoever read it has gone
                self._call()


class LineScreen:
    """Each step as a line of its own; on a terminal the one that is under way counts its seconds."""

    def __init__(self, stream: TextIO | None = None, *, output: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout
        self._output = output or sys.stdout
        self._is_live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._now: Progress | None = None
        self._lock = threading.Lock()
        self._ticker = Ticker(self._tick)

    def step(self, step: Step) -> None:
        self.say(f"{step.execution['name']}: {step.text}")

    def say(self, text: str) -> None:
        with self._lock:
            if self._now and self._now.text == text:
                return
            self._leave()
            self._now = Progress(text)
            if not self._is_live:
                print(as_line(text), file=self._stream, flush=True)
                return
            self._draw()
        self._ticker.start()

    def warn(self, text: str) -> None:
        self._between(f"warning: {as_line(text)}", self._stream)

    def line(self, text: str) -> None:
        """A line that a program has written."""
        self._between(clean(text), self._output)

    def give_up(self) -> None:
        pass

    def close(self) -> None:
        self._ticker.stop()
        with self._lock:
            self._leave()
            self._now = None

    def _between(self, text: str, stream: TextIO) -> None:
        with self._lock:
            if self._now and self._is_live:
                print(f"\r{_REST_OF_LINE}", end="", file=self._stream, flush=True)
            print(text, file=stream, flush=True)

    def _tick(self) -> None:
        with self._lock:
            if self._now:
                self._draw()

    def _draw(self, end: str = "") -> None:
        """The step that is under way, on one line of the terminal."""
        if self._now:
            told, columns = as_line(self._now.told()), shutil.get_terminal_size().columns
            shown = told if end else told[: columns - 1]
            print(f"\r{shown}{_REST_OF_LINE}", end=end, file=self._stream, flush=True)

    def _leave(self) -> None:
        """The step that was under way is over."""
        if self._now and self._is_live:
            self._now.end()
            self._draw(end="\n")
