"""What templates can do, and all that they cannot."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import at_most
from zoe_jupyter.model.errors import InvalidDescription
from zoe_jupyter.shop.filters import TemplateError
from zoe_jupyter.shop.templates import check_syntax, evaluate, fill, is_template, named

CONTEXT: dict[str, Any] = {
    "parameters": {
        "workers": 4,
        "memory": "1GiB",
        "name": "x",
        "flag": True,
        "items": ["a", "b"],
        "none": None,
        "zero": 0,
    },
    "processes": {"master": {"host": "127.0.0.1", "ports": {"rpc": 7077}, "hosts": ["127.0.0.1"]}},
    "files": {"conf.json": "/x/conf.json"},
    "nothing": None,
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("{{ parameters.workers - 1 }}", 3),
        ("{{ parameters['workers'] }}", 4),
        ("{{ parameters.workers / 8 }}", 0.5),
        ("{{ 7 // 2 }}", 3),
        ("{{ 7 % 4 }}", 3),
        ("{{ -parameters.workers }}", -4),
        ("n={{ parameters.workers }}", "n=4"),
        ("{{ parameters.flag }}", True),
        ("f={{ parameters.flag }}", "f=true"),
        ("{{ parameters.none }}", None),
        ("f={{ parameters.none }}.", "f=."),
        ("{{ parameters.items }}", ["a", "b"]),
        ("{{ parameters.items | join(',') }}", "a,b"),
        ("{{ parameters.items | length }}", 2),
        ("{{ parameters.items[1] }}", "b"),
        ("{{ parameters.memory | bytes }}", 1 << 30),
        ("{{ (parameters.memory | bytes * 0.5) | memory }}", "512m"),
        ("{{ parameters.memory | memory('g') }}", "1g"),
        ("{{ '90s' | seconds }}", 90.0),
        ("{{ [3, 1] | max }}", 3),
        ("{{ 3 | min(2) }}", 2),
        ("{{ 2.5 | round }}", 2),
        ("{{ '12' | int + 1 }}", 13),
        ("{{ parameters.absent | default('d') }}", "d"),
        ("{{ nothing.at.all | default(5) }}", 5),
        ("{{ parameters.absent is defined }}", False),
        ("{{ nothing is none }}", True),
        ("{{ 'a' if parameters.flag else 'b' }}", "a"),
        ("{{ parameters.zero or 7 }}", 7),
        ("{{ not parameters.flag }}", False),
        ("{{ 1 < 2 <= 2 }}", True),
        ("{{ 'a' in parameters.items }}", True),
        ("{{ 'x' ~ 1 ~ none }}", "x1"),
        ("{{ 'a' + 'b' }}", "ab"),
        ("{{ {'a': 1} | merge({'b': [1]}) | json }}", '{"a": 1, "b": [1]}'),
        ("{{ files['conf.json'] }}", "/x/conf.json"),
        ("tcp://{{ processes.master.host }}:{{ processes.master.ports.rpc }}", "tcp://127.0.0.1:7077"),
        ("{{ '}}' }}", "}}"),
        ("{# kept #} ${#x} {{ 1 }}", "{# kept #} ${#x} 1"),
        ("{{ 1 }}\n", "1\n"),
        ("{{ 'A-b' | lower | upper | replace('-', '_') }}", "A_B"),
    ],
)
def test_an_expression_keeps_its_type_and_text_becomes_text(text: str, value: Any) -> None:
    filled = evaluate(text, CONTEXT)
    assert filled == value
    assert type(filled) is type(value)


ESCAPES = [
    "{{ ''.__class__ }}",
    "{{ ''['__class__'] }}",
    "{{ ''|attr('__class__') }}",
    "{{ parameters.__class__ }}",
    "{{ parameters['__class__'].__mro__ }}",
    "{{ parameters.items.append(1) }}",
    "{{ parameters.keys() }}",
    "{{ [].__class__.__base__.__subclasses__() }}",
    "{{ ().__class__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ self }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__ }}",
    "{{ joiner }}",
    "{{ namespace() }}",
    "{{ config }}",
    "{{ request.application }}",
    "{{ get_flashed_messages.__globals__ }}",
    "{{ range(10) }}",
    "{{ dict(a=1) }}",
    "{{ '%s' % 1 }}",
    "{{ '{0.__class__}'.format(1) }}",
    "{{ '{}' | format(1) }}",
    "{{ parameters | tojson }}",
    "{{ parameters | map(attribute='__class__') }}",
    "{{ parameters.items | batch(2) }}",
    "{{ parameters.name | safe }}",
    "{{ caller() }}",
    "{{ super() }}",
    "{{ varargs }}",
    "{{ loop }}",
    "{{ ''.join(['a']) }}",
    "{{ parameters.name.upper }}",
    "{{ parameters.items[::2] }}",
    "{{ 'x' is callable }}",
    "{{ 'x' is filter }}",
    "{{ x is sameas y }}",
    "{{ _private }}",
    "{{ 2 ** 100 }}",
    "{% set x = 1 %}{{ x }}",
    "{% import 'os' as os %}{{ os }}",
    "{% include '/etc/passwd' %}{{ 1 }}",
    "{% for x in [1] %}{{ x }}{% endfor %}",
    "{% macro m() %}{{ 1 }}{% endmacro %}",
    "{{ (1).__add__ }}",
    "{{ true.real }}",
    "{{ 1 | default(2, boolean=true) }}",
    "{{ *parameters }}",
    "{{ lambda: 1 }}",
    "{{ a := 1 }}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_nothing_of_python_can_be_reached(text: str) -> None:
    with pytest.raises(TemplateError):
        evaluate(text, CONTEXT)


BOMBS = [
    "{{ 'a' * 10**8 }}",
    "{{ 'a' * 100000000 }}",
    "{{ [0] * 100000000 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ 9223372036854775807 * 9223372036854775807 }}",
    "{{ 1e308 * 1e308 }}",
    "{{ 1 / 0 }}",
    "{{ 1 % 0 }}",
    "{{ " + "9" * 5000 + " }}",
    "{{ " + "(" * 3000 + "1" + ")" * 3000 + " }}",
    "{{ " + "-" * 20000 + "1 }}",
    "{{ " + "not " * 20000 + "1 }}",
    "{{ " + "[" * 3000 + "]" * 3000 + " }}",
    "{{ " + "1 + " * 3000 + "1 }}",
    "{{ " + "'" + "a" * 70000 + "' }}",
    "{{ 1 }}" * 1000,
    "{{ " + " ~ ".join(["'" + "a" * 600 + "'"] * 200) + " }}",
    "{{ 'aaaa' | replace('a', 'b' | replace('b', '" + "c" * 60000 + "')) }}",
    "{{ ('" + "9" * 5000 + "') | int }}",
    "{{ ('" + "9" * 5000 + "') | float }}",
    "{{ 1e300 | int * 1e300 }}",
]


@pytest.mark.parametrize("text", BOMBS, ids=[bomb[:24] for bomb in BOMBS])
def test_what_would_take_long_or_much_is_refused(text: str) -> None:
    with at_most(1500), pytest.raises(TemplateError):
        evaluate(text, CONTEXT)


def test_all_unknown_names_are_told_with_their_paths_and_close_ones() -> None:
    with pytest.raises(InvalidDescription) as caught:
        fill({"a": ["{{ parameters.worker }}", "x"], "b": "{{ parametrs.x }}"}, CONTEXT, path="top")
    told = {problem.path: problem.message for problem in caught.value.problems}
    assert set(told) == {"top.a.0", "top.b"}
    assert "did you mean workers?" in told["top.a.0"]
    assert "did you mean parameters?" in told["top.b"]


def test_values_are_never_filled_again() -> None:
    assert fill(["{{ parameters.x }}"], {"parameters": {"x": "{{ secrets.token }}"}}) == ["{{ secrets.token }}"]


def test_a_list_inside_of_text_is_refused() -> None:
    with pytest.raises(TemplateError, match="where text is needed"):
        evaluate("x{{ parameters.items }}", CONTEXT)


def test_the_tree_is_copied_and_keys_stay() -> None:
    tree = {"{{ 1 }}": ("{{ 1 }}", 2, None)}
    assert fill(tree, {}) == {"{{ 1 }}": [1, 2, None]}
    assert tree == {"{{ 1 }}": ("{{ 1 }}", 2, None)}


def test_what_a_template_reads_can_be_asked() -> None:
    assert named("{{ parameters.a + 1 }}-{{ ports.b | default(x) }}") == {("parameters", "a"), ("ports", "b"), ("x",)}


def test_syntax_is_checked_without_values() -> None:
    assert not check_syntax("{{ anything.at.all }}")
    assert "is not a valid expression" in check_syntax("{{ 1 + }}")
    assert is_template("a {{ 1 }}")
    assert not is_template("plain")


@given(st.text(alphabet="{}%#'\"()[]._|~+-*/<>=! abx019,:", max_size=60))
@settings(max_examples=500, deadline=None)
def test_any_expression_gives_a_plain_value_or_a_template_error(text: str) -> None:
    try:
        value = evaluate(f"{{{{ {text} }}}}", CONTEXT)
    except TemplateError:
        return
    assert isinstance(value, str | int | float | bool | list | dict | None)
