"""Results as HTML: what people wrote stays text, and what is to be typed looks like it."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from zoe_jupyter.client.verbs.results import Tone
from zoe_jupyter.magics.html import message_html
from zoe_jupyter.magics.screens import DisplayScreen


def test_what_is_between_backticks_is_shown_as_code() -> None:
    shown = message_html("it has ended; `%zoe attach spark` starts a new one", Tone.BAD)
    assert "<code>%zoe attach spark</code>" in shown
    assert "`" not in shown


def test_what_is_between_backticks_cannot_inject_html() -> None:
    assert "<code>&lt;img src=x&gt;</code>" in message_html("`<img src=x>`", Tone.PLAIN)


def test_steps_that_took_long_say_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []
    times = iter([0.0, 0.4, 80.4])
    monkeypatch.setattr("IPython.display.display", lambda bundle, **_: shown.append(bundle))
    monkeypatch.setattr("zoe_jupyter.magics.screens.time", SimpleNamespace(monotonic=lambda: next(times)))
    screen = DisplayScreen()
    for text in ("queued", "starting master", "connecting"):
        screen.say(text)
    assert shown[-1]["text/plain"].splitlines() == ["queued", "starting master (1 min)", "connecting"]
    assert shown[-1]["text/html"].count("zoe-progress-now") == 1
