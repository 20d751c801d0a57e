"""``{{ expression }}`` in descriptions: parsed by Jinja, evaluated here over plain values.

Nothing of Python can be reached: a name leads into mappings of plain values only; there are no calls, no methods, no attributes;
every step counts against limits. A text that is one expression keeps the expression's type; any other gives text.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.sandbox import SandboxedEnvironment

from zoe_jupyter.model.errors import InvalidDescription, Problem
from zoe_jupyter.shop.filters import FILTERS, MAX_ITEMS, MAX_TEXT, TemplateError
from zoe_jupyter.shop.problems import close_names, shorten

MAX_TEMPLATE = 64 << 10
MAX_EXPRESSION = 1000
MAX_EXPRESSIONS = 200
MAX_STEPS = 2000
MAX_NUMBER = 2**63

_ENVIRONMENT = SandboxedEnvironment(
    autoescape=False, keep_trailing_newline=True, newline_sequence="\n",
    block_start_string="{%", comment_start_string="{#\x00", comment_end_string="\x00#}",
)  # fmt: skip


class _Unknown:
    """The value of a name that is not there; anything but ``default`` and ``is defined`` refuses it."""

    def __init__(self, message: str) -> None:
        self.message = message


def is_template(text: Any) -> bool:
    """Whether this is text with an expression in it."""
    return isinstance(text, str) and "{{" in text


def fill(tree: Any, context: Mapping[str, Any], *, path: str = "") -> Any:
    """A copy of the tree with every template filled; raises InvalidDescription with every problem, each with its path."""
    problems: list[Problem] = []
    filled = _fill(tree, context, path, problems)
    if problems:
        raise InvalidDescription(problems)
    return filled


def _fill(tree: Any, context: Mapping[str, Any], path: str, problems: list[Problem]) -> Any:
    if isinstance(tree, Mapping):
        return {
            key: _fill(value, context, f"{path}.{key}" if path else str(key), problems) for key, value in tree.items()
        }
    if isinstance(tree, list | tuple):
        return [
            _fill(value, context, f"{path}.{index}" if path else str(index), problems)
            for index, value in enumerate(tree)
        ]
    if not is_template(tree):
        return tree
    try:
        return evaluate(tree, context)
    except TemplateError as error:
        problems.append(Problem(str(error), path=path))
        return None


def check_syntax(text: str) -> str:
    """What is wrong with a template before any value is known; empty when nothing is."""
    try:
        _parse(text)
    except TemplateError as error:
        return str(error)
    return ""


def evaluate(text: str, context: Mapping[str, Any]) -> Any:
    """The value of one template; raises TemplateError."""
    parts = _parse(text)
    machine = _Machine(context)
    if len(parts) == 1 and isinstance(parts[0], nodes.Expr):
        return machine.value(parts[0])
    return machine.text(parts)


def named(text: str) -> frozenset[tuple[str, ...]]:
    """The paths that a template reads, such as ``("parameters", "workers")``; raises TemplateError."""
    found: set[tuple[str, ...]] = set()
    for part in _parse(text):
        if isinstance(part, nodes.Expr):
            _collect(part, found)
    return frozenset(found)


def _collect(node: nodes.Node, found: set[tuple[str, ...]]) -> None:
    trail: list[str] = []
    inner = node
    while isinstance(inner, nodes.Getattr):
        trail.append(inner.attr)
        inner = inner.node
    if isinstance(inner, nodes.Name):
        found.add((inner.name, *reversed(trail)))
        return
    for child in node.iter_child_nodes():
        _collect(child, found)


@lru_cache(maxsize=1024)
def _parse(text: str) -> tuple[nodes.Expr | str, ...]:
    if len(text) > MAX_TEMPLATE:
        raise TemplateError(f"is a template of more than {MAX_TEMPLATE} characters")
    if text.count("{{") > MAX_EXPRESSIONS:
        raise TemplateError(f"has more than {MAX_EXPRESSIONS} expressions")
    try:
        body = _ENVIRONMENT.parse(text).body
    except TemplateSyntaxError as error:
        raise TemplateError(f"is not a valid expression: {error.message}") from None
    except (RecursionError, OverflowError, ValueError):
        raise TemplateError("is not a valid expression: it is nested too deep, or has too large a number") from None
    parts = tuple(_flatten(body))
    for part in parts:
        if isinstance(part, nodes.Expr):
            _check_expression(part)
    return parts


def _flatten(body: list[nodes.Node]) -> list[nodes.Expr | str]:
    parts: list[nodes.Expr | str] = []
    for node in body:
        if not isinstance(node, nodes.Output):
            raise TemplateError("may hold {{ expressions }} only, no {% statements %}")
        parts.extend(part.data if isinstance(part, nodes.TemplateData) else part for part in node.nodes)
    return parts


def _check_expression(root: nodes.Expr) -> None:
    stack: list[nodes.Node] = [root]
    count = 0
    while stack:
        node = stack.pop()
        count += 1
        if count > MAX_EXPRESSION:
            raise TemplateError(f"is an expression of more than {MAX_EXPRESSION} parts")
        if type(node) not in _ALLOWED:
            raise TemplateError(f"uses what templates may not: {_plainly(node)}")
        _check_node(node)
        stack.extend(node.iter_child_nodes())


def _check_node(node: nodes.Node) -> None:
    if isinstance(node, nodes.Filter) and (node.name not in FILTERS or node.kwargs or node.dyn_args or node.dyn_kwargs):
        raise TemplateError(f"uses the filter {shorten(node.name)}{close_names(node.name, FILTERS)}")
    if isinstance(node, nodes.Filter) and node.node is None:
        raise TemplateError("uses a filter without a value")
    if isinstance(node, nodes.Test) and (node.name not in ("defined", "undefined", "none") or node.args):
        raise TemplateError(f"uses the test {shorten(node.name)}; there is defined, undefined and none")
    if isinstance(node, nodes.Getattr) and node.attr.startswith("_"):
        raise TemplateError(f"reads {shorten(node.attr)}; names that begin with _ are not for templates")
    if isinstance(node, nodes.Name) and node.name.startswith("_"):
        raise TemplateError(f"reads {shorten(node.name)}; names that begin with _ are not for templates")


def _plainly(node: nodes.Node) -> str:
    words = {"Call": "a call", "Pow": "a power (**)", "Slice": "a slice", "TemplateReference": "self"}
    return words.get(type(node).__name__, type(node).__name__.lower())


class _Machine:
    """Evaluates one template's expressions, counting steps."""

    def __init__(self, context: Mapping[str, Any]) -> None:
        self._context = context
        self._steps = 0

    def text(self, parts: tuple[nodes.Expr | str, ...]) -> str:
        pieces: list[str] = []
        size = 0
        for part in parts:
            piece = part if isinstance(part, str) else as_text(self.value(part))
            size += len(piece)
            if size > 4 * MAX_TEXT:
                raise TemplateError(f"gives more than {4 * MAX_TEXT} characters")
            pieces.append(piece)
        return "".join(pieces)

    def value(self, node: nodes.Node) -> Any:
        """The value of an expression; an unknown name is an error."""
        value = self._value(node)
        if isinstance(value, _Unknown):
            raise TemplateError(value.message)
        return value

    def _value(self, node: nodes.Node) -> Any:
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TemplateError(f"takes more than {MAX_STEPS} steps")
        return _limited(_ALLOWED[type(node)](self, node))

    def name(self, node: nodes.Name) -> Any:
        return _member(self._context, node.name, where="")

    def attribute(self, node: nodes.Getattr) -> Any:
        return self._inside(node.node, node.attr)

    def item(self, node: nodes.Getitem) -> Any:
        return self._inside(node.node, self.value(node.arg))

    def _inside(self, inner: nodes.Node, key: Any) -> Any:
        owner = self._value(inner)
        if isinstance(owner, _Unknown):
            return owner
        if isinstance(owner, Mapping) and isinstance(key, str):
            return _member(owner, key, where=_written(inner))
        if isinstance(owner, list | tuple) and isinstance(key, int) and not isinstance(key, bool):
            return owner[key] if -len(owner) <= key < len(owner) else _Unknown(f"{_written(inner)} has no item {key}")
        if owner is None:
            return _Unknown(f"{_written(inner)} is nothing, so it has no {shorten(key)}")
        raise TemplateError(f"{_written(inner)} has no {shorten(key)} to read")

    def constant(self, node: nodes.Const) -> Any:
        return node.value

    def sequence(self, node: nodes.List) -> list[Any]:
        return [self.value(item) for item in node.items]

    def mapping(self, node: nodes.Dict) -> dict[str, Any]:
        pairs = [(self.value(pair.key), self.value(pair.value)) for pair in node.items]
        if not all(isinstance(key, str) for key, _ in pairs):
            raise TemplateError("has a key that is not text")
        return dict(pairs)

    def binary(self, node: nodes.BinExpr) -> Any:
        return _calculate(node.operator, self.value(node.left), self.value(node.right))

    def either(self, node: nodes.BinExpr) -> Any:
        left = self.value(node.left)
        return left if bool(left) == (node.operator == "or") else self.value(node.right)

    def unary(self, node: nodes.UnaryExpr) -> Any:
        value = self.value(node.node)
        if node.operator == "not":
            return not value
        number = _number(value)
        return -number if node.operator == "-" else number

    def concat(self, node: nodes.Concat) -> str:
        return _joined([as_text(self.value(part)) for part in node.nodes])

    def compare(self, node: nodes.Compare) -> bool:
        left = self.value(node.expr)
        for operand in node.ops:
            right = self.value(operand.expr)
            if not _compared(operand.op, left, right):
                return False
            left = right
        return True

    def choice(self, node: nodes.CondExpr) -> Any:
        if self.value(node.test):
            return self.value(node.expr1)
        return self.value(node.expr2) if node.expr2 is not None else None

    def filtered(self, node: nodes.Filter) -> Any:
        assert node.node is not None
        value = self._value(node.node)
        arguments = [self.value(argument) for argument in node.args]
        if node.name == "default":
            fallback = arguments[0] if arguments else ""
            return fallback if isinstance(value, _Unknown) or value is None else value
        if isinstance(value, _Unknown):
            raise TemplateError(value.message)
        try:
            return FILTERS[node.name](value, *arguments)
        except (TypeError, ValueError, OverflowError, ArithmeticError) as error:
            raise TemplateError(f"the filter {node.name}: {str(error)[:200]}") from None

    def tested(self, node: nodes.Test) -> bool:
        value = self._value(node.node)
        if node.name == "none":
            return value is None
        return isinstance(value, _Unknown) == (node.name == "undefined")


def as_text(value: Any) -> str:
    """A value inside of text: ``true`` and ``false`` for the two, nothing for null; a list or mapping is an error."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    if isinstance(value, str | int | float):
        return str(value)
    raise TemplateError(f"gives a {'mapping' if isinstance(value, Mapping) else 'list'} where text is needed")


def _member(owner: Mapping[str, Any], key: str, *, where: str) -> Any:
    if key in owner and not key.startswith("_"):
        return owner[key]
    known = [name for name in owner if isinstance(name, str) and not name.startswith("_")]
    return _Unknown(f"{where or 'there'} {'has' if where else 'is'} no {shorten(key)}{close_names(key, known)}")


def _written(node: nodes.Node) -> str:
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        return f"{_written(node.node)}.{node.attr}"
    return "this"


def _limited(value: Any) -> Any:
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise TemplateError(f"gives more than {MAX_TEXT} characters")
    if isinstance(value, list | dict) and len(value) > MAX_ITEMS:
        raise TemplateError(f"gives more than {MAX_ITEMS} items")
    if isinstance(value, int | float) and not abs(value) <= MAX_NUMBER:
        raise TemplateError("gives a number that is too large")
    return value


def _number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TemplateError(f"calculates with {shorten(value)}, which is no number")
    return value


def _joined(parts: list[str]) -> str:
    if sum(map(len, parts)) > MAX_TEXT:
        raise TemplateError(f"gives more than {MAX_TEXT} characters")
    return "".join(parts)


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv, "//": operator.floordiv, "%": operator.mod,
}  # fmt: skip


def _calculate(sign: str, left: Any, right: Any) -> Any:
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        return _joined([left, right])
    if sign == "+" and isinstance(left, list) and isinstance(right, list):
        if len(left) + len(right) > MAX_ITEMS:
            raise TemplateError(f"gives more than {MAX_ITEMS} items")
        return left + right
    try:
        return _ARITHMETIC[sign](_number(left), _number(right))
    except (ZeroDivisionError, OverflowError):
        raise TemplateError("divides by zero" if right == 0 else "gives a number that is too large") from None


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
}


def _compared(sign: str, left: Any, right: Any) -> bool:
    if sign in ("eq", "ne"):
        return bool(left == right) == (sign == "eq")
    try:
        if sign in ("in", "notin"):
            return (left in right) == (sign == "in")
        return _ORDER[sign](left, right)
    except TypeError:
        raise TemplateError(f"compares {shorten(left)} with {shorten(right)}") from None


_BINARY = (nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod)
_ALLOWED: dict[type[nodes.Node], Callable[[_Machine, Any], Any]] = {
    nodes.Name: _Machine.name,
    nodes.Getattr: _Machine.attribute,
    nodes.Getitem: _Machine.item,
    nodes.Const: _Machine.constant,
    nodes.List: _Machine.sequence,
    nodes.Dict: _Machine.mapping,
    nodes.And: _Machine.either,
    nodes.Or: _Machine.either,
    nodes.Not: _Machine.unary,
    nodes.Neg: _Machine.unary,
    nodes.Pos: _Machine.unary,
    nodes.Concat: _Machine.concat,
    nodes.Compare: _Machine.compare,
    nodes.CondExpr: _Machine.choice,
    nodes.Filter: _Machine.filtered,
    nodes.Test: _Machine.tested,
    **dict.fromkeys(_BINARY, _Machine.binary),
    nodes.Operand: _Machine.constant,
    nodes.Pair: _Machine.constant,
}
"""What may stand in an expression; operands and pairs are read by what holds them."""
