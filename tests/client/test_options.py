"""Options that are not there, and values that cannot be."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.client.running import RunningZoe
from tests.client.test_verbs import do, reader, session
from zoe_jupyter.client.text import to_lines
from zoe_jupyter.client.verbs.parser import Usage
from zoe_jupyter.client.verbs.session import Session

__all__ = ["reader", "session"]


def test_a_near_option_is_named_as_help_writes_it(session: Session, zoe: RunningZoe) -> None:
    entry = zoe.core.shop().entry("spark")
    zoe.core.shop()._entries.append(
        replace(entry, name="many", form={"type": "object", "properties": {"worker_gpus": {"type": "integer"}}})
    )
    with pytest.raises(Usage, match=r"did you mean --worker-gpus\?"):
        do(session, "start many --wroker_gpus 1")


def test_so_many_lines_of_a_log_as_there_cannot_be_are_refused_with_the_number(reader: Session) -> None:
    do(reader, "start spark --name one")
    for count in (-1, -5, 1_000_001):
        with pytest.raises(Usage, match=rf"^--tail takes a number of lines from 0 to 1000000, not {count}$"):
            do(reader, f"logs one --tail {count}")
    assert list(to_lines(do(reader, "logs one --tail 1000000")))[1:] == ["first line", "second line"]
