"""From the bytes of a request to checked values; every mistake is told with its place."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qs

from pydantic import TypeAdapter, ValidationError

from zoe_jupyter.model.errors import InvalidDescription, Problem, UserError
from zoe_jupyter.server.api import Param, Route
from zoe_jupyter.server.errors import WrongMedia
from zoe_jupyter.server.schemas import SubmissionBody
from zoe_jupyter.server.wire import WireRequest

YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
TRUE = frozenset({"1", "true", "yes"})
FALSE = frozenset({"0", "false", "no", ""})
MAX_DEPTH = 100
"""Of a JSON body: deeper ones exhaust the stack of whoever walks them later."""


@cache
def adapter(kind: type) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def read_body(route: Route, request: WireRequest) -> Any:
    """The body as the route's type; raises InvalidDescription with every problem."""
    if route.body is None:
        return None
    media = request.content_type.partition(";")[0].strip().lower()
    if media in YAML_TYPES and route.has_yaml:
        return SubmissionBody(text=_text(request.body))
    if media in YAML_TYPES or media.startswith("multipart/"):
        raise WrongMedia(f"{route.pattern} reads application/json, not {media}")
    return _checked(route.body, _description_or_body(route, _json(request.body)))


def read_query(route: Route, request: WireRequest) -> dict[str, Any]:
    """Every declared parameter of the query, converted."""
    try:
        given = parse_qs(request.query, keep_blank_values=True, max_num_fields=1000, errors="strict")
    except ValueError as error:
        raise UserError(f"the query cannot be read: {error}") from error
    problems: list[Problem] = []
    values = {param.name: _param(param, given.get(param.name), problems) for param in route.query}
    if problems:
        raise InvalidDescription(problems)
    return values


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise InvalidDescription([Problem(f"the text is not UTF-8: {error}")]) from error


def _json(body: bytes) -> Any:
    try:
        value = json.loads(body or b"{}", parse_constant=_refuse_constant, object_pairs_hook=_object)
        if b"\\u" in body:
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UserError(f"the body is not JSON: {error}") from error
    if _depth(value) > MAX_DEPTH:
        raise UserError(f"the body is nested more than {MAX_DEPTH} deep")
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{twice[:60]!r} is there twice")
    return found


def _depth(value: Any) -> int:
    """How deep it is nested, looked at no deeper than it matters."""
    level, depth = [value], 0
    while level and depth <= MAX_DEPTH:
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _values(outer)]
        depth += 1
    return depth


def _values(outer: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return outer.values() if isinstance(outer, dict) else outer


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _description_or_body(route: Route, value: Any) -> Any:
    """A description may be sent as it is."""
    if route.has_yaml and isinstance(value, Mapping) and "zoe" in value and "kind" in value:
        return {"zapp": value}
    return value


def _checked(kind: type, value: Any) -> Any:
    try:
        return adapter(kind).validate_python(value)
    except ValidationError as error:
        found = [
            Problem(_message(one), path=".".join(str(part) for part in one["loc"]))
            for one in error.errors(include_url=False, include_input=False)
        ]
        raise InvalidDescription(found) from error


def _message(error: Mapping[str, Any]) -> str:
    if error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"nobody knows the field {error['loc'][-1]!r}"
    if error["type"] in ("dataclass_type", "dataclass_exact_type"):
        return "this must be a JSON object"
    return str(error["msg"])


def _param(param: Param, given: list[str] | None, problems: list[Problem]) -> Any:
    if given is None:
        return param.default
    if any("\0" in text for text in given):
        problems.append(Problem("a NUL is in it", path=param.name))
        return None
    if param.kind == "strings":
        return [word for text in given for word in text.split(",") if word]
    try:
        return _converted(param, given[-1])
    except ValueError as error:
        problems.append(Problem(str(error), path=param.name))
        return None


def _converted(param: Param, text: str) -> Any:
    if param.kind == "string":
        return text
    if param.kind == "boolean":
        if text.lower() in TRUE | FALSE:
            return text.lower() in TRUE
        raise ValueError(f"{text[:40]!r} is neither 1 nor 0")
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 18:
        raise ValueError(f"{text[:40]!r} is no whole number")
    number = int(text)
    if (param.minimum is not None and number < param.minimum) or (param.maximum is not None and number > param.maximum):
        raise ValueError(
            f"{number} is not between {param.minimum} and {param.maximum if param.maximum is not None else 'more'}"
        )
    return number
