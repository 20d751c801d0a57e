"""What may be read, and how every problem of a text is told with its line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import at_most
from zoe_jupyter.model.errors import InvalidDescription
from zoe_jupyter.shop.reading import MAX_BYTES, document_of, read

BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)

HOSTILE = {
    "alias bomb": (BOMB, "aliases counted"),
    "many aliases": ("a: &a x\nb: [" + "*a, " * 200 + "]", "more than 100 aliases"),
    "alias of itself": ("a: &a [*a]", "inside of what it names"),
    "deep list": ("[" * 60 + "]" * 60, "nested more than 50"),
    "deeper list": ("[" * 100_000, "nest"),
    "deep mapping": ("".join(" " * i + "a:\n" for i in range(60)), "nested more than 50"),
    "wide list": ("[" + "1," * 30_000 + "]", "more than 20000 values"),
    "large file": ("a" * (MAX_BYTES + 1), "larger than 1 MiB"),
    "large in bytes only": ("é" * (MAX_BYTES // 2 + 1), "larger than 1 MiB"),
    "long text": ("a: " + "x" * 70_000, "more than 65536"),
    "duplicate key": ("a: 1\nb: 2\na: 3", "is there twice"),
    "python tag": ("a: !!python/object/apply:os.system [ls]", "tags are not allowed"),
    "own tag": ("a: !secret x", "tags are not allowed"),
    "nan": ("a: .nan", "finite"),
    "infinity": ("a: -.inf", "finite"),
    "overflowing float": ("a: 1e999", "finite"),
    "huge integer": ("a: 99999999999999999999999", "64 bits"),
    "merge key": ("a: &a {x: 1}\nb: {<<: *a}", "merge key"),
    "list as a key": ("? [1, 2]\n: x", "not plain text"),
    "empty key": ("'': x", "empty key"),
    "two documents": ("a: 1\n---\nb: 2", "more than one document"),
    "not YAML": ("a: [1, 2", "is not YAML"),
    "tab": ("a:\n\t- b", "is not YAML"),
    "control character": ("a: \x01", "is not YAML"),
    "not UTF-8": (b"a: \xff\xfe\xfa", "not UTF-8"),
}


@pytest.mark.parametrize(("text", "expected"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_refused_quickly_with_the_reason(text: str | bytes, expected: str) -> None:
    with at_most(3000), pytest.raises(InvalidDescription) as caught:
        read(text)
    assert expected in str(caught.value)


def test_every_problem_is_told_with_its_line() -> None:
    with pytest.raises(InvalidDescription) as caught:
        read("a: 1\na: 2\nb:\n  c: .nan\n  d: !x y\n", file="zapp.yaml")
    assert [(p.line, p.path) for p in caught.value.problems] == [(2, "a"), (4, "b.c"), (5, "b.d")]
    assert str(caught.value.problems[0]) == "zapp.yaml:2: a: is there twice"


def test_lines_of_fields_are_remembered_and_found_for_what_is_inside() -> None:
    document = read("a:\n  - x\n  - b: 1\n    c: 2\n")
    assert document.line(("a", 1, "c")) == 4
    assert document.line(("a", 1, "d")) == 3
    assert document.line(("z",)) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("on", "on"), ("NO", "NO"), ("true", True), ("False", False), ("~", None), ("null", None), ("", None),
        ("12", 12), ("-3", -3), ("0o17", 15), ("0x1F", 31), ("1_000", "1_000"), ("1:30", "1:30"), ("2024-01-01", "2024-01-01"),
        ("4.0", 4.0), ("1e3", 1000.0), (".5", 0.5), ("'12'", "12"), ('"true"', "true"), ("!", ""), ("1.2.3", "1.2.3"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_follow_the_core_schema(text: str, value: Any) -> None:
    read_value = read(f"a: {text}").tree["a"]
    assert read_value == value
    assert type(read_value) is type(value)


def test_aliases_within_the_limits_are_values() -> None:
    assert read("a: &x {b: [1]}\nc: *x").tree == {"a": {"b": [1]}, "c": {"b": [1]}}


_texts = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=20)
_numbers = st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False)
_trees = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts.filter(bool), inner, max_size=4),
    max_leaves=20,
)


@given(_trees)
@settings(max_examples=150, deadline=None)
def test_json_reads_as_itself(tree: Any) -> None:
    assert read(json.dumps(tree, ensure_ascii=False)).tree == tree


@given(st.text(max_size=200) | st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_or_refused_with_problems(text: str | bytes) -> None:
    try:
        read(text)
    except InvalidDescription as error:
        problems = error.problems
    else:
        return
    assert problems


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"a": float("nan")}, "finite"),
        ({"a": float("inf")}, "finite"),
        ({"a": 10**30}, "64 bits"),
        ({"a": "x" * 70_000}, "more than 65536"),
        ({1: "x"}, "not text"),
        ({"a": object()}, "is a object"),
        ({"a": "\ud800"}, "no Unicode"),
        ({"a": [0] * 30_000}, "more than 20000"),
    ],
)
def test_a_tree_that_came_as_json_is_held_to_the_same_limits(tree: Any, expected: str) -> None:
    with pytest.raises(InvalidDescription, match=expected):
        document_of(tree)


def test_a_deep_tree_is_refused_without_recursion() -> None:
    tree: Any = []
    for _ in range(100_000):
        tree = [tree]
    with pytest.raises(InvalidDescription, match="nested more than 50"):
        document_of(tree)
