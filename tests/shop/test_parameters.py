"""Schemas of parameters, and values against them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import at_most
from zoe_jupyter.model.patterns import MAX_MATCHED, pattern_problem
from zoe_jupyter.shop.parameters import check_schema, fill_parameters, form_of
from zoe_jupyter.shop.problems import Findings

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "workers": {"type": "integer", "minimum": 1, "maximum": 64, "default": 2, "title": "Workers"},
        "memory": {
            "type": "string",
            "format": "memory",
            "default": "1GiB",
            "x-zoe": {"minimum": "512MiB", "maximum": "1TiB"},
        },
        "idle": {"type": "string", "format": "duration"},
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "password": {"type": "string", "minLength": 8, "x-zoe": {"widget": "secret"}},
        "owner": {"type": "string", "default": "nobody", "x-zoe": {"from": "user.name", "level": "hidden"}},
        "nested": {"type": "object", "properties": {"a": {"type": "integer", "default": 1}}, "default": {}},
    },
    "required": ["name"],
}


def schema_problems(schema: Any) -> dict[str, str]:
    findings = Findings()
    check_schema(schema, findings)
    return {problem.path: problem.message for problem in findings.problems}


def filled(
    values: dict[str, Any], schema: dict[str, Any] = SCHEMA, **named: Any
) -> tuple[dict[str, Any], dict[str, str]]:
    findings = Findings()
    result = fill_parameters(schema, values, findings=findings, **named)
    return result, {problem.path: problem.message for problem in findings.problems}


def test_defaults_are_put_in_also_inside_and_from_the_user() -> None:
    values, problems = filled({"name": "x"}, user={"name": "ada"})
    assert not problems
    assert values == {"name": "x", "workers": 2, "memory": "1GiB", "owner": "ada", "nested": {"a": 1}}


def test_all_that_does_not_fit_is_told_by_name() -> None:
    _, problems = filled(
        {"workers": 99, "memory": "1 parsec", "idle": "soon", "wrokers": 1, "password": "topsecr", "nested": {"a": "x"}}
    )
    assert problems == {
        "workers": "Workers: 99 is more than the maximum of 64",
        "memory": "'1 parsec' is not a memory size; write for example 512MiB or 2GiB",
        "idle": "'soon' is not a duration; write for example 30s, 10m, 8h or 1h30m",
        "wrokers": "is not a parameter; did you mean workers?",
        "name": "is required",
        "password": "has a value that does not fit",
        "nested.a": "'x' is not a whole number",
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"memory": "100MiB"}, "less than the minimum of 512MiB"),
        ({"memory": "2TiB"}, "more than the maximum of 1TiB"),
        ({"workers": True}, "not a whole number"),
        ({"workers": "4"}, "not a whole number"),
        ({"workers": 10**40}, "64 bits"),
        ({"workers": float("nan")}, "finite"),
        ({"name": "A"}, "does not match"),
        ({"name": "a" * (MAX_MATCHED + 1)}, "too many for a text with a pattern"),
        ({"nested": {"b": [[[[1]]]]}, "name": "x" * 70_000}, "more than 65536"),
        ({"nested": []}, "is not a mapping"),
    ],
)
def test_values_that_do_not_fit(values: dict[str, Any], expected: str) -> None:
    assert expected in " ".join(filled({"name": "x", **values})[1].values())


def test_the_form_leaves_hidden_parameters_out() -> None:
    form = form_of(SCHEMA)
    assert "owner" not in form["properties"]
    assert form["required"] == ["name"]
    assert form_of({}) == {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


HOSTILE = {
    "remote reference": ({"properties": {"a": {"$ref": "https://example.org/x.json"}}}, "never fetched"),
    "file reference": ({"properties": {"a": {"$ref": "file:///etc/passwd"}}}, "never fetched"),
    "relative reference": ({"properties": {"a": {"$ref": "other.json"}}}, "never fetched"),
    "another base": ({"$id": "https://example.org/", "properties": {}}, "not supported"),
    "dynamic reference": ({"properties": {"a": {"$dynamicRef": "#x"}}}, "not supported"),
    "another dialect": ({"$schema": "http://json-schema.org/draft-04/schema#"}, "draft 2020-12"),
    "reference to itself": ({"properties": {"a": {"$ref": "#/properties/a"}}}, "refers to itself"),
    "reference in a circle": (
        {"properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"items": {"$ref": "#/properties/a"}}}},
        "refers to itself",
    ),
    "doubling references": (
        {
            "properties": {"a": {"$ref": "#/$defs/d0"}},
            "$defs": {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)} | {"d40": {}},
        },
        "schemas when its references are followed",
    ),
    "catastrophic pattern": ({"properties": {"a": {"pattern": "^(a+)+$"}}}, "repetition"),
    "catastrophic pattern property": ({"patternProperties": {"^(a+)+$": {}}}, "not supported"),
    "not an object": ({"type": "array"}, "parameters are an object"),
    "unknown type": ({"properties": {"a": {"type": "integre"}}}, "not valid"),
    "unknown format": ({"properties": {"a": {"format": "email"}}}, "is not a format"),
    "name with a dash": ({"properties": {"a-b": {}}}, "not a name for a parameter"),
    "private name": ({"properties": {"_a": {}}}, "not a name for a parameter"),
    "wrong default": ({"properties": {"a": {"type": "integer", "default": "x"}}}, "not a whole number"),
    "unknown hint": ({"properties": {"a": {"x-zoe": {"colour": "red"}}}}, "Unexpected"),
    "bound without format": ({"properties": {"a": {"x-zoe": {"minimum": "1GiB"}}}}, "with a format"),
    "bound that is none": ({"properties": {"a": {"format": "memory", "x-zoe": {"minimum": "x"}}}}, "not a memory size"),
}


@pytest.mark.parametrize(("schema", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_schemas_are_refused_when_they_are_read(schema: Any, expected: str) -> None:
    with at_most(3000):
        assert expected in " ".join(schema_problems(schema).values())


def test_the_schema_of_the_example_is_fine() -> None:
    assert not schema_problems(SCHEMA)


def test_a_comment_says_what_a_combination_means() -> None:
    schema = {"properties": {"a": {}, "b": {}}, "not": {"required": ["a", "b"]}, "$comment": "give a or b"}
    assert not schema_problems(schema)
    assert filled({"a": 1, "b": 1}, schema)[1] == {"": "give a or b"}


@pytest.mark.parametrize(
    "pattern",
    [
        "^(a+)+$", "(a|a)*b", "(a*)*", "(a{1,9}){1,9}", "^(a?){40}$", "a?" * 40, "^((a|b)+)+$", "(.*)(.*)(.*)(.*)x", "(?=a)b", "(a)\\1",
        "(?P<x>a)(?P=x)", "(){100000000}", "((a{200}){200}){200}", "(", "[[a]", "x" * 300, "(?i:a)(?<!b)c", "(a|ab)(c|bcd)(d*)" * 6,
    ],
)  # fmt: skip
def test_patterns_that_may_take_long_are_refused(pattern: str) -> None:
    assert pattern_problem(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        "^s3://[^/]+/.+$",
        r"^\d{4}-\d{2}$",
        "abc",
        "^(a|b|c)$",
        "^([0-9a-f]{2}:){5}[0-9a-f]{2}$",
    ],
)
def test_common_patterns_are_allowed(pattern: str) -> None:
    assert not pattern_problem(pattern)


_pieces = st.sampled_from(
    ["a", "b", ".", "[ab]", "(a|b)", "a?", "a*", "b+", "a{2}", "a{1,3}", "(ab)*", "(a?)+", "(a|b){2,5}"]
)


@given(st.lists(_pieces, max_size=8), st.booleans())
@settings(max_examples=120, deadline=None)
def test_an_allowed_pattern_is_quick_on_the_longest_text(pieces: list[str], is_anchored: bool) -> None:
    pattern = ("^" if is_anchored else "") + "".join(pieces) + "$"
    if pattern_problem(pattern):
        return
    for text in ("a" * (MAX_MATCHED - 1) + "!", "ab" * (MAX_MATCHED // 2 - 1) + "!"):
        with at_most(3000):
            re.search(pattern, text)


MANY = 9_000


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, [str(number) for number in range(2 * MANY)]),
        ({"type": "array", "items": {"type": "string"}}, list(range(2 * MANY))),
        ({"type": "array", "uniqueItems": True}, [{"x": number} for number in range(MANY)]),
        ({"type": "array", "uniqueItems": True}, [[number] if number % 2 else str(number) for number in range(MANY)]),
        ({"type": "array", "items": {"enum": [{"k": number} for number in range(3000)]}}, [{"k": -1}] * MANY),
        (
            {"type": "array", "items": {"anyOf": [{"type": "string", "pattern": "^a{1,50}b$"}] * 1000}},
            ["a" * 200] * MANY,
        ),
        ({"type": "array", "contains": {"enum": list(range(5000))}, "minContains": 5}, [-1] * MANY),
        ({"type": "object", "propertyNames": {"enum": ["z"]}}, {f"x{number}": 0 for number in range(MANY)}),
        ({"type": "array", "items": {"$ref": "#/$defs/d10"}}, [{}] * MANY),
    ],
)
def test_what_takes_long_to_check_is_refused_or_told_soon(schema: Any, value: Any) -> None:
    """Whoever submits it must not keep the others waiting."""
    defs = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n - 1}"}] * 2} if n else {"type": "object"} for n in range(12)}
    whole = {"type": "object", "properties": {"a": schema}, "$defs": defs}
    findings, given = Findings(), {f"x{text}": 0 for text in value} if schema["type"] == "string" else {"a": value}
    with at_most(9000):
        check_schema(whole, findings)
        assert not findings.problems
        fill_parameters(whole, given, findings=findings)
    assert len(findings.problems) <= 200


def test_equal_items_are_found_whatever_they_are() -> None:
    for items, is_fine in (([1, 1], False), ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], False), ([1, True, "1"], True)):
        schema = {"properties": {"a": {"type": "array", "uniqueItems": True}}}
        findings = Findings()
        fill_parameters(schema, {"a": items}, findings=findings)
        assert (not findings.problems) is is_fine, items
