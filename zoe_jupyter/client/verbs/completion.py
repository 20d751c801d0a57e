"""What could come next on a line with a verb: verbs, options, names. For ``%zoe``; asks Zoe at most briefly."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from zoe_jupyter.client.api import LIVE, Api
from zoe_jupyter.client.verbs.form import Option, options
from zoe_jupyter.client.verbs.table import Argument, Names, Verb, by_name
from zoe_jupyter.model.errors import ZoeError

TIMEOUT_S = 1.0
FRESH_S = 3.0


class Source:
    """The names that Zoe knows now, kept for a moment: a key press must not ask again."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._kept: dict[str, tuple[float, object]] = {}

    def names(self, kind: Names) -> list[str]:
        found: list[str] = []
        if kind in (Names.ENTRY, Names.TARGET):
            found += self._ask("entries", self._entries)
        if kind in (Names.EXECUTION, Names.TARGET):
            found += self._ask("live", lambda: self._executions(LIVE))
        if kind is Names.ENDED:
            found += self._ask("ended", lambda: self._executions(("ended",)))
        if kind is Names.NODE:
            found += self._ask("nodes", lambda: [node["name"] for node in self._api.nodes(timeout_s=TIMEOUT_S)])
        return list(dict.fromkeys(found))

    def form(self, entry: str) -> list[Option]:
        return self._ask(
            f"form {entry}", lambda: options(self._api.entry(entry, timeout_s=TIMEOUT_S).get("form") or {})
        )

    def _entries(self) -> list[str]:
        return [entry["name"] for entry in self._api.entries(timeout_s=TIMEOUT_S) if entry["is_runnable"]]

    def _executions(self, states: Sequence[str]) -> list[str]:
        return [execution["name"] for execution in self._api.executions(states=states, limit=100, timeout_s=TIMEOUT_S)]

    def _ask(self, key: str, question: Callable[[], list]) -> list:  # type: ignore[type-arg]
        at, found = self._kept.get(key, (0.0, []))
        if time.monotonic() - at > FRESH_S:
            try:
                found = question()
            except (ZoeError, OSError, KeyError, ValueError):
                found = []
            self._kept[key] = (time.monotonic(), found)
        return found  # type: ignore[return-value]


def complete(verbs: tuple[Verb, ...], words: Sequence[str], *, text: str, source: Source) -> list[str]:
    """Completions of ``text``, the word being written, after ``words``."""
    if not words:
        return _starting([verb.name for verb in verbs], text)
    verb = by_name(verbs).get(words[0])
    if verb is None:
        return []
    before = words[1:]
    valued = _awaiting(verb, before)
    if valued is not None:
        return _starting([*valued.choices, *source.names(valued.names), *_files(valued, text)], text)
    form = source.form(_entry(before)) if verb.has_form and _entry(before) else []
    waiting = next(
        (option for option in form if before and before[-1] in option.flags and option.kind != "boolean"), None
    )
    if waiting is not None:
        return _starting(list(waiting.choices), text)
    if text.startswith("-"):
        return _starting([*_flags(verb), *(option.flag for option in form), "--help"], text)
    place = _place(verb, before)
    if place is None:
        return []
    names = (name for name in source.names(place.names) if name not in before)
    return _starting([*place.choices, *names, *_files(place, text)], text)


def _awaiting(verb: Verb, before: Sequence[str]) -> Argument | None:
    """The option whose value is being written."""
    return next(
        (argument for argument in verb.arguments if before and before[-1] in argument.flags and not argument.is_switch),
        None,
    )


def _place(verb: Verb, before: Sequence[str]) -> Argument | None:
    """The argument that the next word without a flag is; None when there are enough."""
    places = [argument for argument in verb.arguments if not argument.flags]
    given = [word for word in before if not word.startswith("-")]
    if not places or (len(given) >= len(places) and not places[-1].is_many):
        return None
    return places[min(len(given), len(places) - 1)]


def _files(argument: Argument, text: str) -> list[str]:
    """Files and folders whose paths begin with that text, where a file is wanted."""
    if argument.names is not Names.FILE:
        return []
    folder, slash, start = text.rpartition("/")
    try:
        found = list(os.scandir(os.path.expanduser(folder + slash) or "."))
    except OSError:
        return []
    return [
        f"{folder}{slash}{one.name}{'/' if one.is_dir() else ''}"
        for one in found
        if not one.name.startswith(".") or start
    ]


def _entry(before: Sequence[str]) -> str:
    return next((word for word in before if not word.startswith("-")), "")


def _flags(verb: Verb) -> list[str]:
    return [flag for argument in verb.arguments for flag in argument.flags if flag.startswith("--")]


def _starting(words: Sequence[str], text: str) -> list[str]:
    return sorted({word for word in words if word.startswith(text)})
