"""An entry's form, a JSON Schema, as ``--PARAMETER VALUE`` options: which there are, and text to values by their types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zoe_jupyter.model.errors import InvalidDescription, Problem

_TRUE, _FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


@dataclass(frozen=True, slots=True)
class Option:
    """One parameter of a form."""

    name: str
    kind: str
    """``string``, ``integer``, ``number``, ``boolean``, ``array``, ``object``."""
    schema: Mapping[str, Any]
    is_required: bool = False

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def flags(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.flag, "--" + self.name)))

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(str(value) for value in self.schema.get("enum") or ())

    @property
    def help(self) -> str:
        """Title, description, limits and default on one line."""
        about = [str(self.schema[key]).strip().rstrip(".") for key in ("title", "description") if self.schema.get(key)]
        default = self.schema.get("default")
        notes = [
            _limits(self.schema),
            "required" if self.is_required else "",
            "" if default in (None, "", [], {}) else f"default {_short(default)}",
        ]
        extra = ", ".join(note for note in notes if note)
        return ". ".join(dict.fromkeys(about)) + (f" ({extra})" if extra else "")


def options(form: Mapping[str, Any]) -> list[Option]:
    """The parameters of a form, basic ones first."""
    properties = form.get("properties")
    required = form.get("required") or ()
    found = [
        Option(str(name), _kind(schema), schema, name in required)
        for name, schema in (properties.items() if isinstance(properties, Mapping) else ())
        if isinstance(schema, Mapping)
    ]
    return sorted(found, key=lambda option: (option.schema.get("x-zoe") or {}).get("level") == "advanced")


def coerce(option: Option, texts: list[str]) -> Any:
    """The value that the texts stand for; raises InvalidDescription that says what is accepted. Limits are the core's to check."""
    try:
        if option.kind == "array":
            return _array(option, texts)
        if option.kind == "object":
            return _object(option, texts)
        return _scalar(option.kind, texts[-1], option.schema)
    except ValueError as error:
        raise InvalidDescription([Problem(str(error), path=f"parameters.{option.name}")]) from error


def _scalar(kind: str, text: str, schema: Mapping[str, Any]) -> Any:
    if kind == "boolean":
        return _boolean(text)
    if kind == "integer":
        return _number(text, int, "a whole number")
    if kind == "number":
        return _number(text, float, "a number")
    if kind == "any":
        return _json_or_text(text)
    return next((value for value in schema.get("enum") or () if str(value) == text), text)


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError(f"{text!r} is neither true nor false")


def _number(text: str, kind: type[int] | type[float], name: str) -> int | float:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{text!r} is not {name}") from None


def _array(option: Option, texts: list[str]) -> list[Any]:
    schema = option.schema.get("items")
    item = schema if isinstance(schema, Mapping) else {}
    values: list[Any] = []
    for text in texts:
        if text.lstrip().startswith("["):
            values.extend(_json(text, list, "a JSON array"))
        else:
            values.extend(_scalar(_kind(item), part.strip(), item) for part in text.split(",") if part.strip())
    return values


def _object(option: Option, texts: list[str]) -> dict[str, Any]:
    schema = option.schema.get("additionalProperties")
    item = schema if isinstance(schema, Mapping) else {}
    found: dict[str, Any] = {}
    for text in texts:
        if text.lstrip().startswith("{"):
            found.update(_json(text, dict, "a JSON object"))
            continue
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise ValueError(f"{text!r} is not NAME=VALUE")
        found[name] = _scalar(_kind(item) if item else "string", value, item)
    return found


def _json(text: str, kind: type, name: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not {name}: {error}") from None
    if not isinstance(value, kind):
        raise ValueError(f"{text!r} is not {name}")
    return value


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _kind(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kinds = [item for item in kind if item != "null"]
        return "string" if "string" in kinds else str(kinds[0] if kinds else "any")
    if isinstance(kind, str):
        return kind
    if any(key in schema for key in ("anyOf", "oneOf", "$ref")):
        return "any"
    return "string"


def _limits(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low} to {high}"
    if low is not None:
        return f"at least {low}"
    return f"at most {high}" if high is not None else ""


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
