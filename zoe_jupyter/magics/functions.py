"""The Python API: every verb as a function, ``zoe.start("spark", workers=4)``. Works in scripts too, without IPython."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import replace
from functools import lru_cache
from pathlib import PurePath
from typing import Any

from zoe_jupyter.attach.flow import Attached
from zoe_jupyter.attach.verbs import VERBS
from zoe_jupyter.client.verbs.parser import Usage
from zoe_jupyter.client.verbs.results import Result
from zoe_jupyter.client.verbs.session import Session
from zoe_jupyter.client.verbs.table import Argument, Verb, by_name
from zoe_jupyter.magics.objects import Execution
from zoe_jupyter.magics.screens import current_shell, screen_for
from zoe_jupyter.model.errors import ZoeError

_TABLE = by_name(VERBS)
_OBJECTS = {"Execution": Execution}


def function(name: str) -> Any:
    """The function (or class) of that name; KeyError when there is none."""
    return _OBJECTS.get(name) or _function(name)


@lru_cache(maxsize=1)
def session() -> Session:
    """The one of this process; its variables go where the user's are."""
    return Session(namespace=_namespace(), command="%zoe" if current_shell() else "jupyter zoe")


def call(name: str, /, *arguments: Any, **named: Any) -> Any:
    """Call a verb; executions come as objects, lists as lists."""
    verb = _TABLE[name]
    bound = bind(verb, arguments, named)
    screen = screen_for(current_shell())
    current = session()
    current.screen = screen
    try:
        return to_value(current, verb, verb.call(current, **bound))
    except ZoeError:
        screen.give_up()
        raise
    finally:
        screen.close()


def to_value(current: Session, verb: Verb, result: Result) -> Any:
    """What a Python function returns for a result."""
    if isinstance(result.value, Attached):
        values = [one.value for one in result.value.attachments]
        return values[0] if len(values) == 1 else tuple(values)
    if result.value is not None:
        return result.value
    found = [Execution(current, record, call=call) for record in result.executions]
    if verb.name in ("ps", "stop") and not (verb.name == "stop" and len(found) == 1):
        return found
    return found[0] if found else result.data


def bind(verb: Verb, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> dict[str, Any]:
    """Python arguments by the names of the verb's; what it does not know is a parameter of the application, where it takes any."""
    known = {word: argument for argument in _all(verb) for word in _words(argument)}
    bound = _positional(verb, list(arguments))
    others = {name: value for name, value in named.items() if name not in known and name != "parameters"}
    if others and not verb.has_form:
        raise Usage(f"{verb.name} takes no {', '.join(sorted(others))}; it takes {', '.join(sorted(known))}")
    bound.update({known[name].name: value for name, value in named.items() if name in known})
    bound = {name: _fitting(verb, argument, bound[name]) for name, argument in _by_name(verb).items() if name in bound}
    if verb.has_form:
        bound["parameters"] = {**_mapping(named.get("parameters")), **others}
    missing = [
        argument.name
        for argument in _all(verb)
        if argument.is_required and not argument.flags and argument.name not in bound
    ]
    if missing:
        raise Usage(f"{verb.name} needs {', '.join(missing)}")
    return bound


def _positional(verb: Verb, values: list[Any]) -> dict[str, Any]:
    bound: dict[str, Any] = {}
    for argument in [argument for argument in _all(verb) if not argument.flags]:
        if not values:
            break
        if argument.is_many:
            bound[argument.name] = values
            values = []
        else:
            bound[argument.name] = values.pop(0)
    if values:
        raise Usage(f"{verb.name} takes fewer arguments: {values[0]!r} is too many")
    return bound


def _fitting(verb: Verb, argument: Argument, value: Any) -> Any:
    """A value as the verb takes it from words: executions by name, paths as text. Raises Usage for what is no text where one is wanted."""
    if argument.is_many:
        return [_fitting(verb, replace(argument, is_many=False), one) for one in value]
    if isinstance(value, (Execution, PurePath)):
        return value.name if isinstance(value, Execution) else str(value)
    if value is None or isinstance(value, str) or argument.is_switch or argument.convert is not str:
        return value
    raise Usage(f"{verb.name} takes a text as {argument.name}, not {value!r:.60}")


def _mapping(parameters: Any) -> dict[str, Any]:
    if parameters is None or isinstance(parameters, Mapping):
        return dict(parameters or {})
    raise Usage(f"parameters are given as a mapping of names to values, not {parameters!r:.60}")


def _by_name(verb: Verb) -> dict[str, Argument]:
    return {argument.name: argument for argument in _all(verb)}


def _all(verb: Verb) -> list[Argument]:
    return [*verb.arguments, *([Argument(verb.cell, "the text")] if verb.cell else [])]


def _words(argument: Argument) -> set[str]:
    """What Python calls it: its name, and its long options (``--for`` is ``for_``)."""
    long = {flag[2:].replace("-", "_") for flag in argument.flags if flag.startswith("--")}
    return {argument.name, *long, *(f"{word}_" for word in long)}


@lru_cache(maxsize=64)
def _function(name: str) -> Callable[..., Any]:
    verb = _TABLE[name]

    def named(*arguments: Any, **options: Any) -> Any:
        return call(name, *arguments, **options)

    named.__name__ = named.__qualname__ = verb.name
    named.__doc__ = f"{verb.summary}\n\n" + "\n".join(f"{argument.name}: {argument.help}" for argument in _all(verb))
    return named


def _namespace() -> MutableMapping[str, Any]:
    shell = current_shell()
    return shell.user_ns if shell is not None else vars(sys.modules["__main__"])
