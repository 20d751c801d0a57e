"""Progress while a verb works: one display that changes in a notebook, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
from typing import Any, Protocol
from uuid import uuid4

from zoe_jupyter.client.follow import Step
from zoe_jupyter.client.text import as_line, clean
from zoe_jupyter.client.verbs.results import Tone
from zoe_jupyter.client.verbs.screens import LineScreen, Progress, Ticker
from zoe_jupyter.client.verbs.session import Screen
from zoe_jupyter.magics.html import progress_html


class LiveScreen(Screen, Protocol):
    """A screen with an end."""

    def give_up(self) -> None:
        """The last step came to nothing."""

    def close(self) -> None: ...


class DisplayScreen:
    """One HTML display that is updated in place, its last step each second; its plain form is the same lines."""

    def __init__(self) -> None:
        self._steps: list[Progress] = []
        self._id = ""
        self._lock = threading.Lock()
        self._ticker = Ticker(self._tick)

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

    def line(self, text: str) -> None:
        """A line that a program has written: below, as if the cell had printed it."""
        print(clean(text), flush=True)

    def give_up(self) -> None:
        if self._steps:
            self._steps[-1].tone = Tone.BAD

    def close(self) -> None:
        self._ticker.stop()
        if self._id:
            self._show(is_done=True)

    def _add(self, text: str, tone: Tone) -> None:
        with self._lock:
            last = self._steps[-1] if self._steps else None
            if last and last.text == text:
                return
            if last:
                last.end()
            self._steps.append(Progress(text, tone))
            self._show(is_done=False)
        self._ticker.start()

    def _tick(self) -> None:
        with self._lock:
            self._show(is_done=False)

    def _show(self, *, is_done: bool) -> None:
        from IPython.display import display

        plain = "\n".join(as_line(step.text if step.took_s is None else step.told()) for step in self._steps)
        bundle = {"text/html": progress_html(self._steps, is_done=is_done), "text/plain": plain}
        is_first, self._id = not self._id, self._id or f"zoe-{uuid4().hex}"
        display(bundle, raw=True, display_id=self._id, update=not is_first)


def current_shell() -> Any:
    """The IPython shell of this process; None in a plain script."""
    if "IPython" not in sys.modules:
        return None
    from IPython import get_ipython

    return get_ipython()


def screen_for(shell: Any) -> LiveScreen:
    """A live display in a kernel, lines in a terminal or a script."""
    return DisplayScreen() if hasattr(shell, "kernel") else LineScreen()
