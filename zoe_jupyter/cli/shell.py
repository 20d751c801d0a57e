"""``jupyter zoe attach``: an interactive Python with the session in it."""

from __future__ import annotations

import code
import sys
from collections.abc import Mapping
from typing import Any

from zoe_jupyter.client.text import to_lines
from zoe_jupyter.client.verbs.session import Session
from zoe_jupyter.client.verbs.table import Verb


def open_shell(session: Session, verb: Verb, arguments: Mapping[str, Any]) -> int:
    """Attach, then hand the terminal over; the session goes when the shell ends."""
    result = verb.call(session, **arguments)
    for line in to_lines(result):
        print(line)
    namespace = dict(session.namespace)
    try:
        from IPython import start_ipython
    except ImportError:
        code.interact(banner="", local=namespace, exitmsg="")
        return 0
    start_ipython(argv=["--no-banner", "--ext=zoe_jupyter", *_quietly()], user_ns=namespace)
    return 0


def _quietly() -> list[str]:
    """Without a terminal, as in a script, IPython must not draw a prompt."""
    return [] if sys.stdin.isatty() else ["--simple-prompt", "--TerminalInteractiveShell.confirm_exit=False"]
