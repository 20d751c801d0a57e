"""What others wrote reaches a terminal as text: no verb passes on what would control it."""

from __future__ import annotations

import json

import pytest

from tests.client.hostile import CONTROLS, MARKUP, TEXT, poison
from tests.client.running import RunningZoe
from zoe_jupyter.cli.app import main
from zoe_jupyter.model.execution import State

READING = {
    State.RUNNING: ("ps", "shop", "nodes", "info bad", "logs bad", "open bad"),
    State.QUEUED: ("ps", "queue", "info bad"),
    State.ENDED: ("ps --all", "info bad", "logs bad"),
}
CHANGING = ("start evil --help", "attach evil --help", "start evil --bogus", "start evil --size x", "stop bad")


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("state", READING, ids=lambda state: state.value)
def test_no_verb_that_reads_passes_controls_on(
    zoe: RunningZoe, state: State, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    poison(zoe, state)
    for line in READING[state]:
        main([*line.split(), *options])
        told = capsys.readouterr()
        assert CONTROLS.search(told.out + told.err) is None, (line, told)
        assert MARKUP in told.out, (line, told)


def test_neither_does_help_nor_an_error(zoe: RunningZoe, capsys: pytest.CaptureFixture[str]) -> None:
    poison(zoe)
    for line in CHANGING:
        main(line.split())
        told = capsys.readouterr()
        assert CONTROLS.search(told.out + told.err) is None, (line, told)


def test_json_loses_nothing(zoe: RunningZoe, capsys: pytest.CaptureFixture[str]) -> None:
    poison(zoe)
    main(["info", "bad", "--json"])
    assert json.loads(capsys.readouterr().out)["parameters"] == {"mood": TEXT}
