"""The OpenAPI document, made from the route table: ``python -m zoe_jupyter.server.openapi [--check]``."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

from zoe_jupyter.server.api import JSON, YAML, Param, Route
from zoe_jupyter.server.handlers import table
from zoe_jupyter.server.schemas import ErrorBody

FILE = Path(__file__).parent / "openapi.json"
REF = "#/components/schemas/{model}"
KINDS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "strings": {"type": "array", "items": {"type": "string"}},
}
TOO_MANY = {
    "description": "Too much at once from this user. Nothing was done: the same request may be sent again.",
    "headers": {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}},
}


class _Schemas(GenerateJsonSchema):
    """Answers always have all their fields; no titles that only repeat the names."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@cache
def document() -> dict[str, Any]:
    """The OpenAPI 3.1 document of all public routes."""
    routes = [route for route in table() if not route.is_internal]
    schemas, refs = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(f"/{route.pattern}", {})[route.method.lower()] = _operation(route, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Zoe for Jupyter",
            "version": "1",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/zoe/api", "description": "Below the Jupyter server's base URL."}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": "Authorization", "description": "``token <token>``"}
            },
        },
    }


def rendered() -> str:
    """The document as the file has it."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _schemas(routes: Iterable[Route]) -> tuple[dict[str, Any], dict[Any, Any]]:
    answers = [ErrorBody, *(kind for route in routes for kind in (route.answer, route.streams) if kind)]
    bodies = [route.body for route in routes if route.body]
    inputs: list[Any] = [(kind, "validation", TypeAdapter(kind)) for kind in dict.fromkeys(bodies)]
    inputs += [(kind, "serialization", TypeAdapter(kind)) for kind in dict.fromkeys(answers)]
    refs, found = TypeAdapter.json_schemas(inputs, ref_template=REF, schema_generator=_Schemas)
    definitions: dict[str, Any] = found["$defs"]
    return {name: _plain(schema) for name, schema in sorted(definitions.items())}, {
        key[0]: schema for key, schema in refs.items()
    }


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key != "title"}


def _operation(route: Route, refs: dict[Any, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {"operationId": route.name, "tags": [route.subject], "summary": route.summary}
    parameters = [_path_parameter(name) for name in re.findall(r"\{(\w+)\}", route.pattern)] + [
        _query_parameter(param) for param in route.query
    ]
    if route.has_key:
        parameters.append({"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 200}})
    if parameters:
        operation["parameters"] = parameters
    if route.body:
        operation["requestBody"] = {
            "required": True,
            "content": _content(refs[route.body], (YAML,) if route.has_yaml else ()),
        }
    operation["responses"] = _responses(route, refs)
    return operation


def _responses(route: Route, refs: dict[Any, Any]) -> dict[str, Any]:
    schema = refs[route.answer] if route.answer else None
    content = _content(schema, route.media, line=refs[route.streams] if route.streams else None)
    good: dict[str, Any] = {"description": "Done." if route.status == 204 else "Good."}
    if content:
        good["content"] = content
    failed = {"description": "What went wrong.", "content": {JSON: {"schema": refs[ErrorBody]}}}
    found = {**{str(status): good for status in (route.status, *route.statuses)}, "default": failed}
    return {**found, "429": {**failed, **TOO_MANY}} if route.is_gated else found


def _content(schema: Any, media: tuple[str, ...], *, line: Any = None) -> dict[str, Any]:
    content = {JSON: {"schema": schema}} if schema else {}
    for kind in media:
        content[kind.partition(";")[0]] = {"schema": line or ({} if kind == JSON else {"type": "string"})}
    return content


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _query_parameter(param: Param) -> dict[str, Any]:
    limits = {"default": param.default, "minimum": param.minimum, "maximum": param.maximum}
    schema = {**KINDS[param.kind], **{key: value for key, value in limits.items() if value is not None}}
    return {"name": param.name, "in": "query", "description": param.summary, "schema": schema}


def main(arguments: list[str]) -> int:
    """Write the file; with ``--check`` only say whether it is up to date."""
    if "--check" in arguments:
        if FILE.exists() and FILE.read_text() == rendered():
            return 0
        print(f"{FILE.name} is out of date: run python -m zoe_jupyter.server.openapi", file=sys.stderr)
        return 1
    FILE.write_text(rendered())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
