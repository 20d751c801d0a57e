"""Results as HTML: what people wrote stays text, and what is to be typed looks like it."""

from __future__ import annotations

from zoe_jupyter.client.verbs.results import Tone
from zoe_jupyter.magics.html import message_html


def test_what_is_between_backticks_is_shown_as_code() -> None:
    shown = message_html("it has ended; `%zoe attach spark` starts a new one", Tone.BAD)
    assert "<code>%zoe attach spark</code>" in shown
    assert "`" not in shown


def test_what_is_between_backticks_cannot_inject_html() -> None:
    assert "<code>&lt;img src=x&gt;</code>" in message_html("`<img src=x>`", Tone.PLAIN)
