"""Forms as options: text to values by their schemas."""

from __future__ import annotations

from typing import Any

import pytest

from zoe_jupyter.client.verbs.form import coerce, options
from zoe_jupyter.model.errors import InvalidDescription

FORM = {
    "type": "object",
    "required": ["script"],
    "properties": {
        "deep": {"type": "integer", "x-zoe": {"level": "advanced"}},
        "workers": {
            "type": "integer",
            "minimum": 1,
            "maximum": 64,
            "default": 2,
            "title": "Workers",
            "description": "How many.",
        },
        "worker_memory": {"type": ["string", "integer"], "default": "1GiB"},
        "ratio": {"type": "number"},
        "cache": {"type": "boolean", "default": False},
        "packages": {"type": "array", "items": {"type": "string"}},
        "sizes": {"type": "array", "items": {"type": "integer"}},
        "conf": {"type": "object", "additionalProperties": {"type": "string"}},
        "mode": {"enum": ["connect", "classic"], "default": "connect"},
        "any": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "script": {"type": "string"},
    },
}
BY_NAME = {option.name: option for option in options(FORM)}


@pytest.mark.parametrize(
    ("name", "texts", "value"),
    [
        ("workers", ["4"], 4),
        ("workers", ["4", "5"], 5),
        ("worker_memory", ["2GiB"], "2GiB"),
        ("ratio", ["0.5"], 0.5),
        ("cache", ["true"], True),
        ("cache", ["no"], False),
        ("packages", ["a:b:1,c:d:2", "e"], ["a:b:1", "c:d:2", "e"]),
        ("packages", ['["a,b"]'], ["a,b"]),
        ("sizes", ["1,2"], [1, 2]),
        ("conf", ["a=1", "b=x=y"], {"a": "1", "b": "x=y"}),
        ("conf", ['{"a": "1"}'], {"a": "1"}),
        ("mode", ["classic"], "classic"),
        ("any", ["3"], 3),
        ("any", ["three"], "three"),
        ("script", [""], ""),
    ],
)
def test_text_becomes_the_value_that_the_schema_wants(name: str, texts: list[str], value: Any) -> None:
    found = coerce(BY_NAME[name], texts)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("workers", "four", "workers: 'four' is not a whole number"),
        ("ratio", "half", "is not a number"),
        ("cache", "maybe", "neither true nor false"),
        ("sizes", "1,x", "is not a whole number"),
        ("conf", "a", "is not NAME=VALUE"),
        ("conf", "{", "is not a JSON object"),
        ("packages", "[1", "is not a JSON array"),
    ],
)
def test_text_that_does_not_fit_is_told_with_its_parameter(name: str, text: str, message: str) -> None:
    with pytest.raises(InvalidDescription, match=message) as caught:
        coerce(BY_NAME[name], [text])
    assert caught.value.problems[0].path == f"parameters.{name}"


def test_help_tells_title_limits_and_default() -> None:
    assert BY_NAME["workers"].help == "Workers. How many (1 to 64, default 2)"
    assert BY_NAME["script"].help == " (required)"


def test_options_go_by_dashes_and_underscores_and_advanced_ones_come_last() -> None:
    assert BY_NAME["worker_memory"].flags == ("--worker-memory", "--worker_memory")
    assert options(FORM)[-1].name == "deep"


@pytest.mark.parametrize("form", [{}, {"properties": None}, {"properties": {"a": 3}}, {"properties": []}])
def test_a_strange_form_has_no_options(form: dict[str, Any]) -> None:
    assert options(form) == []
