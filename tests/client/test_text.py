"""Plain text: nothing in it controls a terminal."""

from __future__ import annotations

import pytest

from zoe_jupyter.client.text import as_line, clean, to_text
from zoe_jupyter.client.verbs.results import Cell, Facts, Heading, Lines, Note, Result, Table


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\after", "after"),
        ("bell\x07 back\x08 null\x00", "bell back null"),
        ("\x9b31mred", "31mred"),
        ("a\u202eb\u2066c", "abc"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("over\rwritten", "overwritten"),
        ("\x1b", ""),
        ("größe ☃", "größe ☃"),
    ],
)
def test_control_characters_and_sequences_go(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_a_name_stays_on_its_line() -> None:
    assert as_line("one\ntwo\t three") == "one two three"


def test_tables_are_aligned_and_empty_ones_say_so() -> None:
    table = Table(("NAME", "STATE"), [["a", Cell("running")], ["longer\n\x1b[1m", "x"]], empty="nothing")
    assert to_text(Result([table])) == "NAME    STATE\na       running\nlonger  x"
    assert to_text(Result([Table(("A",), [], empty="nothing")])) == "nothing"


def test_blocks_follow_each_other() -> None:
    result = Result(
        [
            Note("done"),
            Facts([("id", "1"), ("name", Cell("page", link="http://x/"))]),
            Heading("Log"),
            Lines(["a\x1b[2J", "b"]),
        ]
    )
    assert to_text(result) == "done\nid:   1\nname: page http://x/\n\nLog\na\nb"
