"""``%load_ext zoe_jupyter``: the magics, their completion, and notices between cells."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable
from contextlib import suppress
from traceback import walk_tb
from typing import Any

from IPython.core.magic import Magics, line_cell_magic, magics_class

from zoe_jupyter.attach import registry
from zoe_jupyter.attach.verbs import VERBS
from zoe_jupyter.attach.watch import watcher
from zoe_jupyter.client.api import Api
from zoe_jupyter.client.http import Http
from zoe_jupyter.client.text import clean, to_lines, to_text
from zoe_jupyter.client.verbs.completion import Source
from zoe_jupyter.client.verbs.look import panel
from zoe_jupyter.client.verbs.parser import HelpWanted, Usage, find, overview, parse
from zoe_jupyter.client.verbs.results import Lines, Result, Tone
from zoe_jupyter.client.verbs.session import EXCERPT, Session
from zoe_jupyter.client.verbs.table import Faces, Verb
from zoe_jupyter.client.verbs.wording import told_as_options
from zoe_jupyter.magics.completing import matcher
from zoe_jupyter.magics.functions import call
from zoe_jupyter.magics.html import message_html, to_html
from zoe_jupyter.magics.objects import Execution
from zoe_jupyter.magics.screens import screen_for
from zoe_jupyter.model.errors import UserError, ZoeError

LOOK_S = 2.0
RETURNING = ("start", "run", "zapp")
"""Verbs whose magic returns the execution."""


class ZoeFailed(UserError):
    """An error to read, not to debug: IPython shows its message alone, and the cell counts as failed."""

    def __init__(self, error: ZoeError) -> None:
        super().__init__(clean(error.message), details=error.details)
        self.reason = error.reason

    def _render_traceback_(self) -> list[str]:
        return [f"Zoe: {self.message}"]


@magics_class
class ZoeMagics(Magics):
    """``%zoe VERB ...`` and ``%%zoe VERB ...``."""

    def __init__(self, shell: Any) -> None:
        super().__init__(shell=shell)
        self.session = Session(namespace=shell.user_ns, command="%zoe", excerpt=EXCERPT)
        self.source = Source(Api(Http(patience_s=0.0)))

    @line_cell_magic
    def zoe(self, line: str, cell: str | None = None) -> Any:
        """Run and use clusters and applications: `%zoe --help` lists the verbs, `%zoe` alone shows what is running."""
        screen = screen_for(self.shell)
        self.session.screen = screen
        try:
            with told_as_options():
                return self._run(line, cell)
        except HelpWanted as wanted:
            print(wanted.text)
        except ZoeError as error:
            screen.give_up()
            raise ZoeFailed(error) from None
        finally:
            screen.close()
        return None

    def _run(self, line: str, cell: str | None) -> Any:
        words = _words(line)
        if not words and cell is None:
            return self._show(panel(self.session))
        if words[0:1] == ["help"]:
            words = [*words[1:2], "--help"]
        if not words or words[0] in ("-h", "--help"):
            print(overview(VERBS, command=self.session.command, face=Faces.NOTEBOOK))
            return None
        verb = find(VERBS, words[0], command=self.session.command)
        arguments = parse(verb, words[1:], session=self.session)
        arguments.update(_cell_argument(verb, cell))
        result = verb.call(self.session, **arguments)
        if verb.name in RETURNING and len(result.executions) == 1:
            said = result.blocks if arguments.get("wait") else ()
            return Execution(self.session, result.executions[0], call=call, said=said)
        return self._show(result)

    def _show(self, result: Result) -> None:
        from IPython.display import display

        if any(isinstance(block, Lines) for block in result.blocks):
            with suppress(KeyboardInterrupt):
                for line in to_lines(result):
                    print(line, flush=True)
            return
        whole = result.whole()
        html = to_html(whole, own_origin=self.session.own_origin)
        display({"text/html": html, "text/plain": to_text(whole)}, raw=True)


def load(shell: Any) -> None:
    """Add the magics to a shell; loading twice is loading once."""
    if _loaded.get(id(shell)):
        return
    magics = ZoeMagics(shell)
    shell.register_magics(magics)
    hooks = _Hooks(shell, magics)
    hooks.add()
    _loaded[id(shell)] = hooks


def unload(shell: Any) -> None:
    hooks = _loaded.pop(id(shell), None)
    if hooks is not None:
        hooks.remove()
    for kind in ("line", "cell"):
        shell.magics_manager.magics[kind].pop("zoe", None)


class _Hooks:
    """What a shell calls: completion, and before and after each cell."""

    def __init__(self, shell: Any, magics: ZoeMagics) -> None:
        self._shell = shell
        self._magics = magics
        self._is_new = True
        self._matchers: list[Any] = getattr(shell.Completer, "custom_matchers", [])  # IPython has them from 8.6 on
        self.matcher = matcher(magics.source)
        self._events: tuple[tuple[str, Callable[..., None]], ...] = (
            ("pre_run_cell", self.before_cell),
            ("post_run_cell", self.after_cell),
        )

    def add(self) -> None:
        for name, hook in self._events:
            self._shell.events.register(name, hook)
        self._matchers.append(self.matcher)

    def remove(self) -> None:
        if self.matcher in self._matchers:
            self._matchers.remove(self.matcher)
        for name, hook in self._events:
            with suppress(ValueError):
                self._shell.events.unregister(name, hook)

    def before_cell(self, info: Any = None) -> None:
        """Say what has ended since the last cell."""
        if registry.attachments():
            _tell(watcher().notices())

    def after_cell(self, result: Any = None) -> None:
        """A cell that failed may have failed because the cluster has gone: ask, and say so below the driver's long trace, each time."""
        self._own_up(result)
        error = getattr(result, "error_in_exec", None)
        if registry.attachments() and error is not None:
            with suppress(ZoeError, OSError):
                watcher().look(timeout_s=LOOK_S)
            _tell([*watcher().notices(), *_losses_behind(error)])
        if isinstance(error, NameError):
            _tell(filter(None, [registry.absence(str(error.name))]))

    def _own_up(self, result: Any) -> None:
        """What was loaded by no cell, but by the notebook's toolbar, a cell may still load without being told that it has."""
        is_new, self._is_new = self._is_new, False
        if is_new and not getattr(getattr(result, "info", None), "store_history", True):
            self._shell.extension_manager.loaded.discard("zoe_jupyter")


_loaded: dict[int, _Hooks] = {}


def _losses_behind(error: BaseException) -> list[str]:
    """What has become of the clusters whose drivers raised that error."""
    packages = {str(frame.f_globals.get("__name__", "")).partition(".")[0] for frame, _ in walk_tb(error.__traceback__)}
    found = (
        watcher().loss(one.execution_id)
        for one in registry.attachments()
        if type(one.value).__module__.partition(".")[0] in packages
    )
    return [loss for loss in found if loss]


def _tell(notices: Iterable[str]) -> None:
    from IPython.display import display

    for notice in dict.fromkeys(notices):
        display({"text/html": message_html(notice, Tone.BAD), "text/plain": f"Zoe: {clean(notice)}"}, raw=True)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError as error:
        raise Usage(f"{error}: {line}") from error


def _cell_argument(verb: Verb, cell: str | None) -> dict[str, str]:
    if verb.cell:
        if cell is None:
            raise Usage(f"{verb.name} takes a cell: write `%%zoe {verb.name} ...` as its first line")
        return {verb.cell: cell}
    if cell is not None and cell.strip():
        raise Usage(f"{verb.name} takes no cell; write `%zoe {verb.name} ...`")
    return {}
