"""Progress on a terminal and in a pipe."""

from __future__ import annotations

import io
import re

import pytest

from zoe_jupyter.client.verbs import screens
from zoe_jupyter.client.verbs.screens import LineScreen
from zoe_jupyter.testing.jupyter_home import wait_for


class Terminal(io.StringIO):
    """What a terminal was sent."""

    def isatty(self) -> bool:
        return True

    def seen(self) -> list[str]:
        """Its lines, each as it was left; what was written before a carriage return is overwritten."""
        text = re.sub(r"\x1b\[K", "", self.getvalue())
        return [line.rpartition("\r")[2] for line in text.split("\n")]


class Clock:
    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(screens, "time", found)
    monkeypatch.setattr(screens, "TICK_S", 0.01)
    monkeypatch.setenv("TERM", "xterm")
    return found


def test_on_a_terminal_the_step_under_way_counts_its_seconds(clock: Clock) -> None:
    terminal = Terminal()
    screen = LineScreen(terminal, output=terminal)
    screen.say("spark: starting connect")
    clock.now_s += 12
    wait_for("a tick", lambda: terminal.seen() == ["spark: starting connect (12 s)"])
    screen.line("what a program wrote \x1b[2J")
    assert terminal.seen()[0] == "what a program wrote "
    wait_for("the step again", lambda: terminal.seen()[1:] == ["spark: starting connect (12 s)"])
    screen.say("spark: running")
    screen.close()
    assert terminal.seen()[1:] == ["spark: starting connect (12 s)", "spark: running", ""]


def test_a_long_step_stays_on_one_line_while_it_is_under_way(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    screen = LineScreen(terminal)
    screen.say("queued: " + "x" * 100)
    assert len(terminal.seen()[0]) == 19
    screen.close()
    assert len(terminal.seen()[0]) == 108


def test_elsewhere_each_step_is_a_line_and_nothing_moves() -> None:
    stream, output = io.StringIO(), io.StringIO()
    screen = LineScreen(stream, output=output)
    for text in ("starting", "starting", "running"):
        screen.say(text)
    screen.warn("careful")
    screen.line("from the program")
    screen.close()
    assert stream.getvalue() == "starting\nrunning\nwarning: careful\n"
    assert output.getvalue() == "from the program\n"
