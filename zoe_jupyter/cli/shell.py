"""``jupyter zoe attach``: an interactive Python with the session in it."""

from __future__ import annotations

import code
import sys

from zoe_jupyter.client.text import to_lines
from zoe_jupyter.client.verbs.results import Result
from zoe_jupyter.client.verbs.session import Session


def open_shell(session: Session, result: Result) -> int:
    """Tell what was attached and hand the terminal over; the session goes when the shell ends."""
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
