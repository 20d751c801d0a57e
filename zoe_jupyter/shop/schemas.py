"""JSON Schemas of the description format, for editors and the API. ``python -m zoe_jupyter.shop.schemas`` writes them again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from zoe_jupyter.shop.descriptions import FRAMEWORK, NAME, ZAPP
from zoe_jupyter.shop.parameters import HINT

FOLDER = Path(__file__).parent / "generated"
_KINDS: Mapping[str, TypeAdapter[Any]] = {"framework": FRAMEWORK, "zapp": ZAPP}


def description_schema(kind: str) -> dict[str, Any]:
    """The JSON Schema of a framework or a ZApp."""
    schema = _KINDS[kind].json_schema(by_alias=True)
    properties = schema["properties"]
    properties["name"]["pattern"] = f"^{NAME.pattern}$"
    properties["parameters"] = {
        "type": "object",
        "description": "A JSON Schema (draft 2020-12) of an object; x-zoe says how a form shows a parameter.",
        "properties": {
            "type": {"const": "object"},
            "properties": {"type": "object", "additionalProperties": {"$ref": "#/$defs/Parameter"}},
        },
        "default": {},
    }
    hint = HINT.json_schema(by_alias=True)
    schema["$defs"]["Parameter"] = {"type": ["object", "boolean"], "properties": {"x-zoe": hint}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": f"Zoe {'ZApp' if kind == 'zapp' else kind}",
    }


def schema_text(kind: str) -> str:
    """The schema as it is kept in the file."""
    return json.dumps(description_schema(kind), indent=2, ensure_ascii=False) + "\n"


def schema_file(kind: str) -> Path:
    return FOLDER / f"{kind}.schema.json"


def main() -> None:
    """Write all schemas."""
    FOLDER.mkdir(exist_ok=True)
    for kind in _KINDS:
        schema_file(kind).write_text(schema_text(kind), encoding="utf-8")


if __name__ == "__main__":
    main()
