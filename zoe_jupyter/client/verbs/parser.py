"""Words to arguments: argparse built from the verb table. Nothing here ends the process or prints."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from zoe_jupyter.client.text import clean
from zoe_jupyter.client.verbs.form import Option, coerce, options
from zoe_jupyter.client.verbs.session import Session
from zoe_jupyter.client.verbs.table import Argument, Faces, Names, Verb, by_name
from zoe_jupyter.model.errors import UserError, ZoeError

_FORM_DEST = "parameter:"
_WORD = re.compile(r"[\w.+-]+")
"""What argparse can wrap in a usage line, and a terminal show."""


class Usage(UserError):
    """Words that a verb does not understand; the message says how it is called."""

    reason = "usage"


class HelpWanted(Exception):
    """``--help``; carries the text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Usage(f"{message}\n{self.format_usage().strip()}")

    def print_help(self, file: Any = None) -> None:
        raise HelpWanted(clean(self.format_help()))


def parse(verb: Verb, words: Sequence[str], *, session: Session, extra: Sequence[Argument] = ()) -> dict[str, Any]:
    """The arguments by name. A verb with a form asks Zoe for it. Raises Usage, HelpWanted."""
    form = _form_of(verb, words, session)
    parser = build(verb, command=session.command, form=form, extra=extra)
    known, unknown = parser.parse_known_args(list(words))
    if unknown and verb.instead and not unknown[0].startswith("-"):
        way_out = f"`{session.command} {verb.instead} {unknown[0]}` tells about one"
        raise Usage(f"{verb.name} takes no name; {way_out}")
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}{_meant(unknown, parser)}")
    found = vars(known)
    parameters = {
        option.name: coerce(option, found.pop(_FORM_DEST + option.name))
        for option in form
        if found.get(_FORM_DEST + option.name) is not None
    }
    for name in [name for name in found if name.startswith(_FORM_DEST)]:
        del found[name]
    if verb.has_form:
        found["parameters"] = {**parameters, **_settings(found.pop("set") or [], form)}
    return found


def _meant(unknown: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """``; did you mean --workers?``, where an option is near."""
    flags = [word.partition("=")[0] for word in unknown if word.startswith("--")]
    known = parser._option_string_actions
    near = [_written(known[match]) for flag in flags for match in get_close_matches(flag, known, n=1)]
    return f"; did you mean {' and '.join(near)}?" if near else ""


def _written(action: argparse.Action) -> str:
    """The option as help writes it: of several spellings the first that is long."""
    return next((flag for flag in action.option_strings if flag.startswith("--")), action.option_strings[0])


def build(
    verb: Verb, *, command: str, form: Sequence[Option] = (), extra: Sequence[Argument] = ()
) -> argparse.ArgumentParser:
    """The parser of a verb, with the form's parameters as options where their names are free."""
    parser = _Parser(
        prog=f"{command} {verb.name}", description=verb.summary, allow_abbrev=False, epilog=verb.example.format(command=command) or None,
        formatter_class=argparse.RawDescriptionHelpFormatter, **_plain_help(),
    )  # fmt: skip
    for argument in arguments_of(verb, command=command, extra=extra):
        _add(parser, argument)
    if verb.has_form:
        parser.add_argument(
            "--set",
            action="append",
            metavar="NAME=VALUE",
            help="a parameter by its name, also one whose name is an option here",
        )
        _add_form(parser, form)
    return parser


def arguments_of(verb: Verb, *, command: str, extra: Sequence[Argument] = ()) -> list[Argument]:
    """Its arguments where it is called so: what a cell gives in a notebook comes from a file in a shell."""
    found = [*verb.arguments, *extra]
    if verb.cell and not command.startswith("%"):
        found.append(Argument(verb.cell, "a file, or - for standard input", metavar="FILE", names=Names.FILE))
    return found


def _plain_help() -> dict[str, Any]:
    """Python 3.14 colours help by default."""
    return {"color": False} if sys.version_info >= (3, 14) else {}


def _add(parser: argparse.ArgumentParser, argument: Argument) -> None:
    common: dict[str, Any] = {"help": argument.help.replace("%", "%%"), "default": argument.default}
    if argument.is_switch:
        parser.add_argument(*argument.flags, dest=argument.name, action="store_true", help=common["help"])
        return
    common |= {"type": argument.convert, "metavar": argument.metavar or argument.name.upper()}
    if argument.choices:
        common["choices"] = argument.choices
    if argument.flags:
        common |= {"nargs": "+", "action": "extend"} if argument.is_many else {}
        parser.add_argument(*argument.flags, dest=argument.name, **common)
    else:
        parser.add_argument(argument.name, nargs=_nargs(argument), **common)


def _nargs(argument: Argument) -> str | None:
    if argument.is_many:
        return "+" if argument.is_required else "*"
    return None if argument.is_required else "?"


def _add_form(parser: argparse.ArgumentParser, form: Sequence[Option]) -> None:
    taken = set(parser._option_string_actions)
    group = parser.add_argument_group("parameters of this application") if form else parser
    for option in form:
        flags = [flag for flag in option.flags if flag not in taken]
        if not flags:
            continue
        shown: dict[str, Any] = {
            "dest": _FORM_DEST + option.name,
            "action": "append",
            "metavar": _metavar(option),
            "help": option.help.replace("%", "%%"),
        }
        if option.kind == "boolean":
            group.add_argument(*flags, nargs="?", const="true", **shown)
            opposite = f"--no-{option.flag[2:]}"
            if opposite not in taken:
                group.add_argument(
                    opposite, dest=shown["dest"], action="append_const", const="false", help=argparse.SUPPRESS
                )
        else:
            group.add_argument(*flags, **shown)


def _metavar(option: Option) -> str:
    if option.choices and len(option.choices) <= 6 and all(_WORD.fullmatch(choice) for choice in option.choices):
        return "{" + ",".join(option.choices) + "}"
    return {"array": "ITEM,...", "object": "NAME=VALUE", "integer": "N", "number": "N", "boolean": "yes|no"}.get(
        option.kind, "VALUE"
    )


def _settings(pairs: Sequence[str], form: Sequence[Option]) -> dict[str, Any]:
    by_option = {option.name: option for option in form}
    grouped: dict[str, list[str]] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator:
            raise Usage(f"--set takes NAME=VALUE, not {pair!r}")
        grouped.setdefault(name, []).append(value)
    return {name: coerce(by_option.get(name) or Option(name, "any", {}), texts) for name, texts in grouped.items()}


def _form_of(verb: Verb, words: Sequence[str], session: Session) -> list[Option]:
    """The form of the entry that the first positional word names; none when Zoe cannot tell and only help is wanted."""
    entry = next((word for word in words if not word.startswith("-")), "")
    if not verb.has_form or not entry:
        return []
    try:
        return options(session.api.entry(entry).get("form") or {})
    except ZoeError:
        if {"-h", "--help"} & set(words):
            return []
        if verb.arguments and verb.arguments[0].names is Names.TARGET:
            return []
        raise


def find(verbs: tuple[Verb, ...], name: str, *, command: str) -> Verb:
    """The verb of that name; raises Usage that names near ones."""
    table = by_name(verbs)
    if name in table:
        return table[name]
    near = get_close_matches(name, table, n=1)
    hint = f"did you mean `{command} {near[0]}`?" if near else f"`{command} --help` lists the verbs"
    raise Usage(f"there is no verb {name[:40]!r}; {hint}")


def overview(verbs: tuple[Verb, ...], *, command: str, face: Faces, others: Mapping[str, str] | None = None) -> str:
    """The verbs with their summaries, as ``--help`` shows them."""
    rows = [
        (verb.name, verb.summary)
        for verb in verbs
        if verb.faces in (Faces.ALL, face) and not (verb.cell and face is Faces.NOTEBOOK)
    ]
    rows += sorted((others or {}).items())
    width = max(len(name) for name, _ in rows)
    listed = [f"  {name:<{width}}  {summary}" for name, summary in rows]
    cells = (
        [f"  %%zoe {verb.name:<{width}}  {verb.summary}" for verb in verbs if verb.cell]
        if face is Faces.NOTEBOOK
        else []
    )
    return "\n".join(
        [
            f"usage: {command} VERB ...",
            "",
            *listed,
            *(["", *cells] if cells else []),
            "",
            f"`{command} VERB --help` says more about one.",
        ]
    )
