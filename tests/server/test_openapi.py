"""The OpenAPI document is made from the routes, and the file in the package is up to date."""

from __future__ import annotations

import json

import jsonschema
import pytest

from zoe_jupyter.server import openapi
from zoe_jupyter.server.handlers import table


def test_the_file_is_up_to_date():
    assert openapi.main(["--check"]) == 0


def test_a_file_that_lags_behind_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(openapi, "FILE", tmp_path / "openapi.json")
    assert openapi.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert openapi.main([]) == 0
    assert openapi.main(["--check"]) == 0


def test_every_public_route_is_in_it_and_no_internal_one():
    found = {
        (method.upper(), path[1:]) for path, operations in openapi.document()["paths"].items() for method in operations
    }
    assert found == {(route.method, route.pattern) for route in table() if not route.is_internal}


def test_operations_have_names_of_their_own():
    names = [
        operation["operationId"]
        for operations in openapi.document()["paths"].values()
        for operation in operations.values()
    ]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(openapi.document()["components"]["schemas"]))
def test_every_schema_is_one_and_leads_nowhere_outside(name):
    schema = openapi.document()["components"]["schemas"][name]
    jsonschema.Draft202012Validator.check_schema(schema)
    known = openapi.document()["components"]["schemas"]
    for reference in _references(schema):
        assert reference.removeprefix("#/components/schemas/") in known


def test_every_answer_may_be_an_error():
    for operations in openapi.document()["paths"].values():
        for operation in operations.values():
            assert "ErrorBody" in json.dumps(operation["responses"]["default"])


async def test_it_is_served(jp_fetch):
    answer = await jp_fetch("zoe", "api", "openapi.json")
    assert json.loads(answer.body) == json.loads(openapi.FILE.read_text())


def _references(schema):
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"]
        for value in schema.values():
            yield from _references(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _references(value)
