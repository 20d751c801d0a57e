"""Text that others write, at its worst: markup that would run a script, and what controls a terminal."""

from __future__ import annotations

import re
from dataclasses import replace

from tests.client.running import USER, RunningZoe
from zoe_jupyter.engine.door import Caller, Submission, Waiting
from zoe_jupyter.model.application import Port
from zoe_jupyter.model.execution import Execution, Outcome, Reason, State

MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>"
TEXT = f"evil {MARKUP} \x1b[31mred\x1b]0;title\x07\x1b]52;c;YQ==\x07\x9b2J\u202eback\r\n\x1b[2J\x7f"
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Nothing of this may reach a terminal."""

FORM = {
    "type": "object",
    "properties": {
        "mood": {"type": "string", "title": TEXT, "description": TEXT, "enum": [TEXT, "a [b", " \n"], "default": TEXT},
        "size": {"type": "integer", "title": TEXT, "maximum": 4},
    },
}


def poison(zoe: RunningZoe, state: State = State.RUNNING) -> Execution:
    """Applications ``evil`` and ``unfit``, and an execution ``bad`` in that state, of which every free text is hostile."""
    shop = zoe.core.shop()
    evil = replace(
        shop.entry("spark"), name="evil", title=TEXT, summary=TEXT, version=TEXT, tags=(TEXT,), readme=TEXT, form=FORM
    )
    shop._entries += [evil, replace(evil, name="unfit", is_runnable=False, lacks=(TEXT,))]
    zoe.core.log_chunks = [f"{TEXT}\n".encode(), b"\xff\xfe\x1b[2J\n"]
    zoe.core.waiting = lambda execution_id: Waiting(execution_id, 1, Reason("hostile", TEXT))  # type: ignore[method-assign]
    zoe.core.node = replace(zoe.core.node, name=TEXT)
    bad = zoe.call(zoe.core.submit(Submission(use="spark", name="bad"), Caller(USER), key=None))[0]
    master = bad.application.processes[0]
    application = replace(
        bad.application,
        title=TEXT,
        processes=(replace(master, ports={"ui": Port("http", TEXT)}), *bad.application.processes[1:]),
    )
    services = {
        name: replace(service, node=TEXT, exit_code=1, reason=Reason("failed", TEXT))
        for name, service in bad.services.items()
    }
    client = replace(bad.client, notebook=TEXT, python=TEXT, cwd=TEXT)
    zoe.change(
        bad.id,
        state=state,
        outcome=Outcome.FAILED if state is State.ENDED else None,
        application=application,
        services=services,
        client=client,
        reason=Reason("hostile", TEXT),
        parameters={"mood": TEXT},
        labels={"note": TEXT},
        environment={"COLOUR": TEXT},
    )
    return zoe.core.by_id[bad.id]
