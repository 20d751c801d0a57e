"""The JSON Schemas that editors and the API get."""

from __future__ import annotations

import json

import jsonschema
import pytest

from zoe_jupyter.shop.reading import read
from zoe_jupyter.shop.schemas import description_schema, schema_file, schema_text
from zoe_jupyter.shop.sources import shipped_folder


@pytest.mark.parametrize("kind", ["framework", "zapp"])
def test_the_shipped_schema_is_what_the_code_says(kind: str) -> None:
    assert schema_file(kind).read_text(encoding="utf-8") == schema_text(kind), "run `make generate`"
    jsonschema.Draft202012Validator.check_schema(json.loads(schema_text(kind)))


@pytest.mark.parametrize("file", sorted(shipped_folder().glob("*/*.yaml")), ids=lambda file: file.parent.name)
def test_what_is_shipped_fits_the_schema(file: object) -> None:
    path = shipped_folder() / str(file)
    jsonschema.Draft202012Validator(description_schema(path.stem)).validate(read(path.read_bytes()).tree)


def test_the_schema_refuses_unknown_fields() -> None:
    validator = jsonschema.Draft202012Validator(description_schema("zapp"))
    tree = {"zoe": 1, "kind": "zapp", "name": "a", "frameworks": [{"use": "b", "as": "c"}]}
    assert not list(validator.iter_errors(tree))
    assert list(validator.iter_errors({**tree, "as_": 1}))
