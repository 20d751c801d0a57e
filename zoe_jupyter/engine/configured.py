"""What a site may choose: from the names and options in its settings to the objects. What is wrong is told by the setting's name."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib.metadata import metadata
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from zoe_jupyter import plugins
from zoe_jupyter.backends.base import Backend
from zoe_jupyter.engine.fallback import WithFallback
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.errors import NotFound, ZoeError
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.shop.catalogue import Entry
from zoe_jupyter.shop.problems import close_names, shorten
from zoe_jupyter.store.repository import shared_name

logger = logging.getLogger(__name__)

GROUPS = {"backend": "zoe_jupyter.backends", "policy": "zoe_jupyter.policies"}
_LISTS = ("tuple_type", "list_type")
GIVEN = ("deployment", "data_dir", "shared_store")
"""What every backend is told anyway; the last, which names the store that several cores may use, only where it asks for that."""


def open_backend(settings: Settings) -> Backend:
    """Raises ZoeError with the way out."""
    kind = _load("backend", settings.backend)
    options = read_options(kind, settings.backend_options)
    if "shared_store" in _hints(kind):
        options["shared_store"] = shared_name(settings.database_url) if settings.database_url else ""
    backend: Backend = kind(deployment=settings.deployment, data_dir=settings.data_dir, **options)
    return backend


def open_policy(settings: Settings) -> WithFallback:
    """Raises ZoeError with the way out."""
    try:
        policy: Policy = plugins.policy(settings.policy)
    except (NotFound, ImportError, AttributeError) as error:
        raise ZoeError(f"the setting Zoe.policy: {error}") from error
    return WithFallback(settings.policy, policy)


def tell_misspelt(options: Mapping[str, Any], entries: Callable[[], Iterable[Entry]]) -> None:
    """Warn of frameworks that ``profiles`` names, and the shop lacks; ``options`` can be read."""
    profiles: Mapping[str, Mapping[str, Any]] = options.get("profiles") or {}
    known = {entry.name for entry in entries() if entry.kind == "framework"} if profiles else set()
    for name, profile in profiles.items():
        for framework in profile["frameworks"]:
            if framework not in known:
                logger.warning(
                    "the profile %s: the shop has no framework %s%s",
                    name,
                    shorten(framework),
                    close_names(framework, known),
                )


def read_options(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options as the class declares them. A command line has nothing but text: it is read as what is wanted."""
    wanted = {name: hint for name, hint in _hints(kind).items() if name not in GIVEN}
    return {name: _read(name, value, wanted) for name, value in given.items()}


def _load(setting: str, name: str) -> Any:
    try:
        return plugins.load(GROUPS[setting], name)
    except (NotFound, ImportError, AttributeError) as error:
        raise ZoeError(f"the setting Zoe.{setting}: {error}{_way_out(name, error)}") from error


def _way_out(name: str, error: Exception) -> str:
    """Of what Zoe has and lacks the packages for, which an extra of the same name brings."""
    if isinstance(error, ModuleNotFoundError) and name in (metadata("zoe-jupyter").get_all("Provides-Extra") or ()):
        return f"; install it where Zoe runs: `pip install 'zoe-jupyter[{name}]'`"
    return ""


def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind.__init__, include_extras=True)
    return {name: hints.get(name, Any) for name in inspect.signature(kind).parameters}


def _read(name: str, value: Any, wanted: Mapping[str, Any]) -> Any:
    if name not in wanted:
        options = ", ".join(sorted(wanted)) or "none"
        raise ZoeError(f"the setting Zoe.backend_options: the backend has no option {name!r}; it has: {options}")
    hint = wanted[name]
    if isinstance(value, str) and get_origin(hint) is Sequence:
        value = value.split(",")
    try:
        return TypeAdapter(hint).validate_python(value)
    except ValidationError as error:
        raise ZoeError(f"the setting Zoe.backend_options: {name}={value!r}: {_told(error, hint)}") from error


def _told(error: ValidationError, hint: Any) -> str:
    """The first that is wrong; a misspelt name rather than that the right one is missing."""
    problems, known = error.errors(), set(_names(hint))
    for problem in problems:
        if problem["type"] == "unexpected_keyword_argument":
            name = str(problem["loc"][-1])
            return f"there is no {shorten(name)}{close_names(name, known)}"
        if problem["type"] in _LISTS and isinstance(problem["input"], str):
            path = ": ".join(str(each) for each in problem["loc"])
            return f"{path}: a list is wanted: [{shorten(problem['input'])}]".removeprefix(": ")
    deepest = max(problems, key=lambda problem: len(problem["loc"]))
    name = str(deepest["loc"][-1]) if deepest["loc"] else ""
    return f"{name}: {deepest['msg']}" if name in known else str(deepest["msg"])


def _names(hint: Any) -> Iterator[str]:
    """Of the fields of all that is in it."""
    if is_dataclass(hint):
        yield from (each.name for each in fields(hint))
    for part in get_args(hint):
        yield from _names(part)
