"""Progress while a verb works: one display that changes in a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from typing import Any, Protocol, TextIO
from uuid import uuid4

from zoe_jupyter.client.follow import Step
from zoe_jupyter.client.text import as_line
from zoe_jupyter.client.verbs.results import Tone
from zoe_jupyter.magics.html import progress_html
from zoe_jupyter.model.units import format_duration

_WORTH_TELLING_S = 1.0


class LiveScreen(Protocol):
    """A screen with an end."""

    def step(self, step: Step) -> None: ...

    def say(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...

    def give_up(self) -> None:
        """The last step came to nothing."""

    def close(self) -> None: ...


class LineScreen:
    """Each change as a line of its own."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._last = ""

    def step(self, step: Step) -> None:
        self.say(f"{step.execution['name']}: {step.text}")

    def say(self, text: str) -> None:
        if text != self._last:
            print(as_line(text), file=self._stream or sys.stdout, flush=True)
        self._last = text

    def warn(self, text: str) -> None:
        print(f"warning: {as_line(text)}", file=self._stream or sys.stdout, flush=True)

    def give_up(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass(slots=True)
class _Line:
    """One step, and how long it took once the next one has come."""

    text: str
    tone: Tone
    began_s: float
    took_s: float = 0.0

    def told(self) -> str:
        return f"{self.text} ({format_duration(round(self.took_s))})" if self.took_s >= _WORTH_TELLING_S else self.text


class DisplayScreen:
    """One HTML display that is updated in place; its plain form is the same lines."""

    def __init__(self) -> None:
        self._lines: list[_Line] = []
        self._id = ""

    def step(self, step: Step) -> None:
        self._add(
            step.text,
            Tone.BAD
            if step.execution["state"] == "ended" and step.execution.get("outcome") != "succeeded"
            else Tone.PLAIN,
        )

    def say(self, text: str) -> None:
        self._add(text, Tone.PLAIN)

    def warn(self, text: str) -> None:
        self._add(text, Tone.BAD)

    def give_up(self) -> None:
        if self._lines:
            self._lines[-1].tone = Tone.BAD

    def close(self) -> None:
        if self._id:
            self._show(is_done=True)

    def _add(self, text: str, tone: Tone) -> None:
        now_s, last = time.monotonic(), self._lines[-1] if self._lines else None
        if last and last.text == text:
            return
        if last:
            last.took_s = now_s - last.began_s
        self._lines.append(_Line(text, tone, now_s))
        self._show(is_done=False)

    def _show(self, *, is_done: bool) -> None:
        from IPython.display import display

        steps = [(line.told(), line.tone) for line in self._lines]
        plain = "\n".join(as_line(text) for text, _ in steps)
        bundle = {"text/html": progress_html(steps, is_done=is_done), "text/plain": plain}
        is_first, self._id = not self._id, self._id or f"zoe-{uuid4().hex}"
        display(bundle, raw=True, display_id=self._id, update=not is_first)


def screen_for(shell: Any) -> LiveScreen:
    """A live display in a kernel, lines in a terminal or a script."""
    return DisplayScreen() if hasattr(shell, "kernel") else LineScreen()
