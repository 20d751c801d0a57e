"""What others wrote is text in a notebook's outputs, in their HTML as in their plain form."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from IPython.utils.capture import capture_output

from tests.client.hostile import CONTROLS, MARKUP, poison
from tests.client.running import RunningZoe
from zoe_jupyter.model.execution import State

OWN_TAGS = {"a", "br", "code", "div", "pre", "span", "table", "tbody", "td", "th", "thead", "tr"}
OWN_ATTRIBUTES = {"aria-hidden", "class", "href", "rel", "role", "scope", "style", "target"}
READING = {
    State.RUNNING: ("%zoe", "%zoe shop", "%zoe nodes", "%zoe info bad", "%zoe open bad"),
    State.QUEUED: ("%zoe", "%zoe queue", "%zoe info bad"),
    State.ENDED: ("%zoe ps --all", "%zoe info bad"),
}


class Shown(HTMLParser):
    """What a browser would make of a piece of HTML: its tags, their attributes, and the text that is seen."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def outputs(shell: Any, code: str) -> tuple[list[dict[str, str]], str]:
    """What a cell displays, and what it prints."""
    with capture_output() as captured:
        shell.run_cell(code)
    return [output.data for output in captured.outputs], captured.stdout + captured.stderr


@pytest.mark.parametrize("state", READING, ids=lambda state: state.value)
def test_outputs_show_markup_and_escapes_as_text(shell: Any, zoe: RunningZoe, state: State) -> None:
    poison(zoe, state)
    for line in READING[state]:
        (bundle,), _ = outputs(shell, line)
        shown = Shown(bundle["text/html"])
        assert shown.tags <= OWN_TAGS, line
        assert shown.attributes <= OWN_ATTRIBUTES, line
        assert MARKUP in shown.text, line
        assert MARKUP in bundle["text/plain"], line
        assert CONTROLS.search(shown.text + bundle["text/plain"]) is None, line


def test_what_is_printed_controls_nothing(shell: Any, zoe: RunningZoe) -> None:
    poison(zoe)
    for line in ("%zoe logs bad", "%zoe start evil --help"):
        _, printed = outputs(shell, line)
        assert MARKUP in " ".join(printed.split()), line
        assert CONTROLS.search(printed) is None, line


def test_an_execution_shows_itself_as_text(shell: Any, zoe: RunningZoe) -> None:
    poison(zoe)
    ((bundle,), _) = outputs(shell, "import zoe_jupyter as zoe\ndisplay(zoe.info('bad'))")
    shown = Shown(bundle["text/html"])
    assert shown.tags <= OWN_TAGS
    assert MARKUP in shown.text
    assert CONTROLS.search(shown.text + bundle["text/plain"]) is None
