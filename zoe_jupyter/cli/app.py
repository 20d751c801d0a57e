"""The program ``jupyter zoe``: words to a verb, its result to standard output, errors to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from zoe_jupyter.attach.verbs import VERBS
from zoe_jupyter.cli import commands, completion
from zoe_jupyter.client.text import clean, to_json, to_lines
from zoe_jupyter.client.verbs.parser import HelpWanted, Usage, arguments_of, find, overview, parse
from zoe_jupyter.client.verbs.results import Result
from zoe_jupyter.client.verbs.screens import LineScreen
from zoe_jupyter.client.verbs.session import EXCERPT, Interrupted, Session
from zoe_jupyter.client.verbs.submit import read_text
from zoe_jupyter.client.verbs.table import Argument, Faces, Verb, by_name
from zoe_jupyter.client.verbs.wording import told_as_options
from zoe_jupyter.model.errors import Unavailable, ZoeError

COMMAND = "jupyter zoe"
OK, FAILED, MISUSED, ABSENT, INTERRUPTED = 0, 1, 2, 3, 130
"""Exit codes: done; Zoe refused or it failed; not understood; no Zoe is running; Ctrl-C."""
_JSON = Argument("as_json", "print JSON", ("--json",), is_switch=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        return _dispatch(words)
    except HelpWanted as wanted:
        print(wanted.text)
        return OK
    except ZoeError as error:
        _complain(error.message)
        return _code_of(error)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has enough, such as `head`; Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK


def _dispatch(words: list[str]) -> int:
    if words[0:1] == ["help"]:
        words = [*words[1:2], "--help"]
    if not words or words[0] in ("-h", "--help"):
        print(_overview())
        return OK
    if words[0] in ("--completion", "--complete"):
        return _complete(words)
    if words[0] == "--version":
        from zoe_jupyter._version import __version__

        print(__version__)
        return OK
    if words[0] == "--generate-config":
        return _generate_config(words[1:])
    if words[0] not in by_name(_shell_verbs()) and words[0] in commands.commands():
        return commands.run(words[0], words[1:])
    return _verb(find(_shell_verbs(), words[0], command=COMMAND), words[1:])


def _complete(words: list[str]) -> int:
    """``--completion`` prints what a shell reads once; that calls ``--complete WORDS`` at each press of the key."""
    if words[0] == "--completion":
        print(completion.SCRIPT, end="")
        return OK
    verbs = [
        replace(verb, arguments=tuple(arguments_of(verb, command=COMMAND, extra=[_JSON]))) for verb in _shell_verbs()
    ]
    for word in completion.completions(verbs, words[1:]):
        print(word)
    return OK


def _verb(verb: Verb, words: list[str]) -> int:
    with told_as_options():
        return _run(Session(command=COMMAND), verb, words)


def _run(session: Session, verb: Verb, words: list[str]) -> int:
    arguments = parse(verb, words, session=session, extra=[_JSON])
    as_json = arguments.pop("as_json")
    if verb.cell:
        arguments[verb.cell] = _content(arguments[verb.cell])
    session.excerpt = EXCERPT if sys.stdout.isatty() and not as_json else None
    result = _called(session, verb, arguments, output=sys.stderr if as_json else sys.stdout)
    if verb.name == "attach":
        from zoe_jupyter.cli.shell import open_shell

        return open_shell(session, result)
    return _print(result, as_json=as_json)


def _called(session: Session, verb: Verb, arguments: Mapping[str, Any], *, output: TextIO) -> Result:
    """Progress goes to standard error, so that what is printed can be piped."""
    session.screen = screen = LineScreen(sys.stderr, output=output)
    try:
        return verb.call(session, **arguments)
    finally:
        screen.close()


def _print(result: Result, *, as_json: bool) -> int:
    is_ascii = not _writes_unicode()
    if as_json and isinstance(result.data, Iterator):
        for item in result.data:
            print(to_json(item, is_ascii=is_ascii), flush=True)
    elif as_json:
        print(to_json(result.data, is_ascii=is_ascii))
    else:
        for line in to_lines(result):
            print(_writable(line), flush=True)
    if result.trouble:
        _complain(result.trouble)
    return result.exit_code or (FAILED if result.trouble else OK)


def _content(name: str) -> str:
    return sys.stdin.read() if name == "-" else read_text(Path(name))


def _generate_config(words: list[str]) -> int:
    found = commands.commands()
    if "generate-config" in found:
        return commands.run("generate-config", words)
    if "serve" in found:
        return commands.run("serve", ["--generate-config", *words])
    raise Unavailable("this installation has no server: install zoe-jupyter with its requirements to configure one")


def _shell_verbs() -> tuple[Verb, ...]:
    return tuple(verb for verb in VERBS if verb.faces in (Faces.ALL, Faces.SHELL))


def _overview() -> str:
    others = {name: summary for name, summary in commands.commands().items() if name != "generate-config"}
    options = [
        "",
        "options:",
        "  --json             print JSON (after the verb)",
        "  --generate-config  write jupyter_zoe_config.py",
        '  --completion       print what completes words in bash and zsh: eval "$(jupyter zoe --completion)"',
        "  --version",
    ]
    return overview(_shell_verbs(), command=COMMAND, face=Faces.SHELL, others=others) + "\n" + "\n".join(options)


def _code_of(error: ZoeError) -> int:
    if isinstance(error, Usage):
        return MISUSED
    if isinstance(error, Interrupted):
        return INTERRUPTED
    return ABSENT if isinstance(error, Unavailable) else FAILED


def _complain(message: str) -> None:
    for number, line in enumerate(clean(message).splitlines() or [""]):
        print(f"jupyter zoe: {line}" if number == 0 else line, file=sys.stderr)


def _writable(line: str) -> str:
    """The line as the output's encoding can say it; a pipe may be ASCII."""
    encoding = sys.stdout.encoding or "utf-8"
    return line.encode(encoding, "replace").decode(encoding)


def _writes_unicode() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


if __name__ == "__main__":
    raise SystemExit(main())
