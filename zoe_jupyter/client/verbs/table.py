"""What a verb is: its function, its arguments, its help. ``%zoe`` and ``jupyter zoe`` draw parsers, help and completion from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from zoe_jupyter.client.verbs.results import Result


class Names(str, Enum):
    """What the values of an argument name; for completion."""

    ANYTHING = ""
    ENTRY = "entry"
    EXECUTION = "execution"
    ENDED = "ended execution"
    TARGET = "entry or execution"
    NODE = "node"
    FILE = "file"


class Faces(str, Enum):
    """Where a verb can be called."""

    ALL = "all"
    NOTEBOOK = "notebook"
    SHELL = "shell"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument: positional when its flags are empty."""

    name: str
    help: str
    flags: tuple[str, ...] = ()
    convert: Callable[[str], Any] = str
    default: Any = None
    is_switch: bool = False
    is_required: bool = True
    is_many: bool = False
    metavar: str = ""
    choices: tuple[str, ...] = ()
    names: Names = Names.ANYTHING


@dataclass(frozen=True, slots=True)
class Verb:
    name: str
    call: Callable[..., Result]
    """Takes the session, then the arguments by name."""
    summary: str
    arguments: tuple[Argument, ...] = ()
    aliases: tuple[str, ...] = ()
    has_form: bool = False
    """Takes ``--PARAMETER VALUE`` from the form of the entry that its first argument names, as ``parameters``."""
    cell: str = ""
    """Name of the argument that a notebook's cell fills; a file does in a shell."""
    faces: Faces = Faces.ALL
    example: str = ""
    instead: str = ""
    """The verb that takes a name, where people give one to this."""


def by_name(verbs: tuple[Verb, ...]) -> Mapping[str, Verb]:
    """The verbs by each name that they go by."""
    return {name: verb for verb in verbs for name in (verb.name, *verb.aliases)}
