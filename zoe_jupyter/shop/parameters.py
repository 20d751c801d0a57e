"""Parameters of frameworks and ZApps: their JSON Schema is checked when a description is read, and filled values against it."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from typing import Any, Literal

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend
from pydantic import TypeAdapter
from pydantic import ValidationError as PydanticError
from referencing import Registry

from zoe_jupyter.model.patterns import MAX_MATCHED, pattern_problem
from zoe_jupyter.model.units import duration_s, memory_bytes
from zoe_jupyter.shop.problems import Findings, Path, close_names, shorten
from zoe_jupyter.shop.reading import check_tree

MAX_COST = 5000
"""Schemas that are visited when every reference is followed."""
MAX_WORK = 100_000
"""Values to be checked, times what the schema asks of one: some seconds of work."""
MAX_TOLD = 100
"""Problems of one kind that are told at once."""
QUANTITIES: Mapping[str, Callable[[str], float]] = {"memory": memory_bytes, "duration": duration_s}
_REFUSED = ("$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "patternProperties", "contentSchema")
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Hint:
    """``x-zoe`` of a parameter: how a form shows it."""

    __pydantic_config__ = {
        "extra": "forbid", "alias_generator": lambda name: name.removesuffix("_"), "use_attribute_docstrings": True,
    }  # fmt: skip

    level: Literal["basic", "advanced", "hidden"] = "basic"
    widget: Literal["", "slider", "memory", "secret", "text", "code"] = ""
    from_: Literal["", "user.name"] = ""
    """What its default is taken from."""
    minimum: str = ""
    """Of a memory size or duration, which JSON Schema cannot compare."""
    maximum: str = ""


HINT: TypeAdapter[Hint] = TypeAdapter(Hint)


def hint(schema: Any) -> Hint:
    """The ``x-zoe`` of one parameter's checked schema."""
    return HINT.validate_python(schema.get("x-zoe", {})) if isinstance(schema, Mapping) else Hint()


def secret_names(schema: Mapping[str, Any]) -> frozenset[str]:
    """The parameters whose values nobody is shown: ``x-zoe: {widget: secret}``."""
    return frozenset(name for name, part in schema.get("properties", {}).items() if hint(part).widget == "secret")


def check_schema(schema: Mapping[str, Any], findings: Findings, path: Path = ("parameters",)) -> None:
    """Note everything that is wrong with the schema of parameters."""
    if not schema:
        return
    before = len(findings.problems)
    if schema.get("type", "object") != "object":
        findings.add((*path, "type"), "parameters are an object")
    for error in _meta_errors(schema):
        findings.add((*path, *error.absolute_path), _say(error))
    if len(findings.problems) > before:
        return
    for place, part in _subschemas(schema, path):
        _check_part(part, place, findings, root=schema)
    if len(findings.problems) == before:
        _check_cost(schema, findings, path)
    if len(findings.problems) == before:
        _check_properties(schema, findings, path)


def form_of(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema that a form is drawn from: without hidden parameters."""
    properties = schema.get("properties", {})
    shown = {name: part for name, part in properties.items() if hint(part).level != "hidden"}
    required = [name for name in schema.get("required", ()) if name in shown]
    return {**schema, "type": "object", "properties": shown, "required": required, "additionalProperties": False}


def fill_parameters(
    schema: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    findings: Findings,
    path: Path = (),
    user: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The values with defaults put in; everything that does not fit the schema is noted. ``schema`` was checked before."""
    before = len(findings.problems)
    check_tree(values, findings, path)
    if len(findings.problems) > before:
        return dict(values)
    work = _count(values) * max(_count(schema), _cost(schema))
    if work > MAX_WORK:
        findings.add(path, f"has too many values to be checked by this schema ({work} steps, more than {MAX_WORK})")
        return dict(values)
    filled: dict[str, Any] = _with_defaults(schema, values, schema, user=user or {})
    closed = {"additionalProperties": False, **schema, "type": "object"}
    try:
        for error in islice(_validator(closed).iter_errors(filled), MAX_TOLD):
            _note(error, schema, findings, path)
    except RecursionError:
        findings.add(path, "cannot be checked: its schema refers to itself without end")
    if len(findings.problems) == before:
        _note_bounds(schema, filled, findings, path)
    return filled


def _count(tree: Any) -> int:
    """Values in it, collections included."""
    stack, count = [tree], 0
    while stack:
        value = stack.pop()
        count += 1
        if isinstance(value, Mapping):
            stack.extend(value.values())
        elif isinstance(value, list | tuple):
            stack.extend(value)
    return count


def _note_bounds(schema: Mapping[str, Any], filled: Mapping[str, Any], findings: Findings, path: Path) -> None:
    for name, part in schema.get("properties", {}).items():
        shown = hint(part)
        value = filled.get(name)
        if not isinstance(value, str) or not (shown.minimum or shown.maximum):
            continue
        read = QUANTITIES[part["format"]]
        if shown.minimum and read(value) < read(shown.minimum):
            findings.add((*path, name), f"{_title(part)}{shorten(value)} is less than the minimum of {shown.minimum}")
        if shown.maximum and read(value) > read(shown.maximum):
            findings.add((*path, name), f"{_title(part)}{shorten(value)} is more than the maximum of {shown.maximum}")


def _meta_errors(schema: Any) -> list[ValidationError]:
    validator = Draft202012Validator(Draft202012Validator.META_SCHEMA)
    return sorted(validator.iter_errors(schema), key=lambda error: list(map(str, error.absolute_path)))[:20]


_HOLDS_SCHEMA = (
    "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then",
    "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip
_HOLDS_SCHEMAS = ("$defs", "definitions", "dependentSchemas", "properties")
_HOLDS_LIST = ("allOf", "anyOf", "oneOf", "prefixItems")


def _direct(schema: Any) -> Iterator[tuple[Path, Any]]:
    if not isinstance(schema, Mapping):
        return
    for key, value in schema.items():
        if key in _HOLDS_SCHEMA:
            yield (key,), value
        elif key in _HOLDS_SCHEMAS and isinstance(value, Mapping):
            yield from (((key, name), part) for name, part in value.items())
        elif key in _HOLDS_LIST and isinstance(value, list):
            yield from (((key, index), part) for index, part in enumerate(value))


def _subschemas(schema: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    stack = [(path, schema)]
    while stack:
        place, part = stack.pop()
        yield place, part
        stack.extend(((*place, *step), inner) for step, inner in _direct(part))


def _check_part(part: Any, place: Path, findings: Findings, *, root: Mapping[str, Any]) -> None:
    if not isinstance(part, Mapping):
        return
    for key in _REFUSED:
        if key in part:
            findings.add((*place, key), f"{key} is not supported here")
    if part.get("$schema", _DIALECT) != _DIALECT:
        findings.add((*place, "$schema"), "only draft 2020-12 is supported")
    if "$ref" in part and _resolve(part["$ref"], root) is None:
        findings.add(
            (*place, "$ref"), f"{shorten(part['$ref'])} is not a place in this schema; others are never fetched"
        )
    if "pattern" in part:
        problem = pattern_problem(part["pattern"])
        if problem:
            findings.add((*place, "pattern"), problem)
    if part.get("format", "memory") not in QUANTITIES:
        findings.add((*place, "format"), f"{shorten(part['format'])} is not a format; there is {', '.join(QUANTITIES)}")
    if "x-zoe" in part:
        _check_hint(part, (*place, "x-zoe"), findings)


def _check_hint(part: Mapping[str, Any], place: Path, findings: Findings) -> None:
    try:
        HINT.validate_python(part["x-zoe"])
    except PydanticError as error:
        for detail in error.errors():
            findings.add((*place, *detail["loc"]), detail["msg"])
        return
    read = QUANTITIES.get(part.get("format", ""))
    for bound in ("minimum", "maximum"):
        if bound in part["x-zoe"]:
            _check_bound(read, part["x-zoe"][bound], (*place, bound), findings)


def _check_bound(read: Callable[[str], float] | None, bound: str, place: Path, findings: Findings) -> None:
    if read is None:
        findings.add(place, f"is for parameters with a format: {' or '.join(QUANTITIES)}")
        return
    try:
        read(bound)
    except ValueError as error:
        findings.add(place, str(error))


def _resolve(reference: Any, root: Mapping[str, Any]) -> Any:
    if not isinstance(reference, str) or not reference.startswith("#/") or len(reference) > 500:
        return None
    value: Any = root
    for escaped in reference[2:].split("/"):
        step = escaped.replace("~1", "/").replace("~0", "~")
        if not isinstance(value, Mapping) or step not in value:
            return None
        value = value[step]
    return value


def _check_cost(schema: Mapping[str, Any], findings: Findings, path: Path) -> None:
    try:
        _cost(schema)
    except ValueError as error:
        findings.add(path, str(error))


def _cost(schema: Mapping[str, Any]) -> int:
    """Schemas that are visited when every reference is followed; raises ValueError where that has no end."""
    known: dict[int, int] = {}

    def cost(part: Any, inside: tuple[int, ...]) -> int:
        if id(part) in inside or len(inside) > 100:
            raise ValueError("refers to itself; parameters have an end")
        if id(part) not in known:
            targets = [inner for step, inner in _direct(part) if step[0] not in ("$defs", "definitions")]
            if isinstance(part, Mapping) and "$ref" in part:
                targets.append(_resolve(part["$ref"], schema))
            total = 1 + sum(cost(target, (*inside, id(part))) for target in targets)
            if total > MAX_COST:
                raise ValueError(f"is more than {MAX_COST} schemas when its references are followed")
            known[id(part)] = total
        return known[id(part)]

    return cost(schema, ())


def _check_properties(schema: Mapping[str, Any], findings: Findings, path: Path) -> None:
    for name, part in schema.get("properties", {}).items():
        place = (*path, "properties", name)
        if not _NAME.fullmatch(name):
            findings.add(
                place, f"{shorten(name)} is not a name for a parameter: [a-z][a-z0-9_]*, at most 40 characters"
            )
        if isinstance(part, Mapping) and "default" in part:
            for error in _validator({**part, **_shared(schema)}).iter_errors(part["default"]):
                findings.add((*place, "default"), _say(error))


def _shared(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: schema[key] for key in ("$defs", "definitions") if key in schema}


def _with_defaults(schema: Any, value: Any, root: Mapping[str, Any], *, user: Mapping[str, Any]) -> Any:
    part = schema
    if isinstance(part, Mapping) and "$ref" in part:
        part = {**(_resolve(part["$ref"], root) or {}), **part}
    if not isinstance(part, Mapping) or not isinstance(value, Mapping):
        return value
    filled = dict(value)
    for name, inner in part.get("properties", {}).items():
        if name not in filled:
            found, default = _default(inner, root, user)
            if found:
                filled[name] = default
        if name in filled:
            filled[name] = _with_defaults(inner, filled[name], root, user=user)
    return filled


def _default(schema: Any, root: Mapping[str, Any], user: Mapping[str, Any]) -> tuple[bool, Any]:
    if not isinstance(schema, Mapping):
        return False, None
    source = hint(schema).from_.removeprefix("user.")
    if source and source in user:
        return True, user[source]
    if "default" in schema:
        return True, schema["default"]
    if "$ref" in schema:
        return _default(_resolve(schema["$ref"], root), root, user)
    return False, None


def _pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if not validator.is_type(instance, "string"):
        return
    if len(instance) > MAX_MATCHED:
        yield ValidationError(f"has more than {MAX_MATCHED} characters, too many for a text with a pattern")
    elif pattern_problem(pattern) or not _compiled(pattern).search(instance):
        yield ValidationError(f"{shorten(instance)} does not match {pattern}")


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _multiple_of(validator: Any, divisor: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    if validator.is_type(instance, "number"):
        quotient = instance / divisor
        if not math.isfinite(quotient) or abs(quotient - round(quotient)) > 1e-9:
            yield ValidationError(f"{instance} is not a multiple of {divisor}")


def _unique_items(validator: Any, is_wanted: Any, instance: Any, schema: Any) -> Iterator[ValidationError]:
    """By hashing: comparing each with each takes long for long lists."""
    if is_wanted and validator.is_type(instance, "array"):
        written = {json.dumps(item, sort_keys=True) for item in instance}
        if len(written) < len(instance):
            yield ValidationError(f"{shorten(instance)} has the same item twice")


_Validator: Any = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"pattern": _pattern, "multipleOf": _multiple_of, "uniqueItems": _unique_items}
)


def _is_quantity(read: Callable[[str], float], value: Any) -> bool:
    return not isinstance(value, str) or read(value) >= 0


def _formats() -> FormatChecker:
    checker = FormatChecker(formats=())
    for name, read in QUANTITIES.items():
        checker.checks(name, raises=ValueError)(partial(_is_quantity, read))
    return checker


_FORMAT_CHECKER = _formats()


def _validator(schema: Mapping[str, Any]) -> Any:
    return _Validator(schema, registry=Registry(), format_checker=_FORMAT_CHECKER)


def _note(error: ValidationError, schema: Mapping[str, Any], findings: Findings, path: Path) -> None:
    place = (*path, *error.absolute_path)
    name = error.absolute_path[0] if error.absolute_path else None
    part = schema.get("properties", {}).get(name, {}) if name is not None else {}
    around: Any = error.schema
    limit: Any = error.validator_value
    if error.validator == "required":
        for missing in sorted(set(limit) - _members(error.instance))[:MAX_TOLD]:
            title = _title(around.get("properties", {}).get(missing, {}))
            findings.add((*place, missing), f"{title}is required")
        return
    if error.validator == "additionalProperties" and limit is False:
        known = around.get("properties", {})
        for extra in sorted(_members(error.instance) - set(known))[:MAX_TOLD]:
            findings.add((*place, extra), f"is not a parameter{close_names(extra, known)}")
        return
    message = "has a value that does not fit" if hint(part).widget == "secret" else _say(error)
    findings.add(place, f"{_title(part)}{message}")


def _members(instance: Any) -> set[str]:
    return set(instance) if isinstance(instance, Mapping) else set()


def _title(part: Any) -> str:
    title = part.get("title") if isinstance(part, Mapping) else None
    return f"{title}: " if isinstance(title, str) and title else ""


_TYPES = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
    "array": "a list", "object": "a mapping", "null": "null",
}  # fmt: skip


def _say(error: ValidationError) -> str:
    value = shorten(error.instance)
    limit: Any = error.validator_value
    around: Any = error.schema
    if error.validator in ("anyOf", "dependentRequired", "not", "oneOf") and "$comment" in around:
        comment = str(around["$comment"])[:300]
        return f"{value}: {comment}" if isinstance(error.instance, str) else comment
    kinds = [limit] if isinstance(limit, str) else limit
    sayings = {
        "type": lambda: f"{value} is not {' or '.join(_TYPES.get(kind, str(kind)) for kind in kinds)}",
        "minimum": lambda: f"{value} is less than the minimum of {limit}",
        "maximum": lambda: f"{value} is more than the maximum of {limit}",
        "enum": lambda: f"{value} is not one of {', '.join(map(shorten, limit))}",
        "format": lambda: _say_format(error),
        "minLength": lambda: f"is shorter than {limit} characters",
        "maxLength": lambda: f"is longer than {limit} characters",
        "maxItems": lambda: f"has more than {limit} items",
    }
    saying = sayings.get(str(error.validator))
    return saying() if saying else str(error.message)[:300]


def _say_format(error: ValidationError) -> str:
    return str(error.cause) if error.cause else f"{shorten(error.instance)} is not a {error.validator_value}"
