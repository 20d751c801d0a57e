"""Results as HTML: what people wrote stays text, and what is to be typed looks like it."""

from __future__ import annotations

import threading

import pytest

from zoe_jupyter.client.verbs import screens
from zoe_jupyter.client.verbs.results import Tone
from zoe_jupyter.magics.html import message_html
from zoe_jupyter.magics.screens import DisplayScreen
from zoe_jupyter.testing.jupyter_home import wait_for


def test_what_is_between_backticks_is_shown_as_code() -> None:
    shown = message_html("it has ended; `%zoe attach spark` starts a new one", Tone.BAD)
    assert "<code>%zoe attach spark</code>" in shown
    assert "`" not in shown


def test_what_is_between_backticks_cannot_inject_html() -> None:
    assert "<code>&lt;img src=x&gt;</code>" in message_html("`<img src=x>`", Tone.PLAIN)


class Clock:
    """Goes on when a test says so."""

    now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr("zoe_jupyter.client.verbs.screens.time", found)
    return found


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: found.append(bundle))
    return found


def test_steps_that_took_long_say_how_long(clock: Clock, shown: list[dict[str, str]]) -> None:
    screen = DisplayScreen()
    for text, took_s in (("queued", 0.4), ("starting master", 80.0), ("connecting", 0.0)):
        screen.say(text)
        clock.now_s += took_s
    screen.close()
    assert shown[-1]["text/plain"].splitlines() == ["queued", "starting master (1 min)", "connecting"]
    assert shown[-2]["text/html"].count("zoe-progress-now") == 1


def test_the_step_that_is_under_way_counts_its_seconds(
    clock: Clock, shown: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the eye of who looks; a screen reader and a toolbar hear of each step once."""
    monkeypatch.setattr(screens, "TICK_S", 0.01)
    screen = DisplayScreen()
    screen.say("starting connect")
    clock.now_s += 12
    wait_for("a tick", lambda: 'starting connect<span aria-hidden="true"> (12 s)</span>' in shown[-1]["text/html"])
    assert shown[-1]["text/plain"] == "starting connect"
    screen.say("connected")
    screen.close()
    count = len(shown)
    assert "starting connect<span> (12 s)</span>" in shown[-1]["text/html"]
    assert shown[-1]["text/plain"] == "starting connect (12 s)\nconnected"
    assert [thread for thread in threading.enumerate() if thread.name == "zoe-progress"] == []
    assert len(shown) == count
