"""Which regular expressions a description may hold: those that cannot take long on the short texts they are matched with."""

from __future__ import annotations

import math
import re
import warnings
from typing import Any

MAX_PATTERN = 256
MAX_MATCHED = 256
"""Characters of a text that a pattern is matched with."""
_FEW = 16
_OPEN_BITS = 8.0
_MAX_BITS = 24.0

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        from re import _constants as _codes  # type: ignore[attr-defined]
        from re import _parser  # type: ignore[attr-defined]
    except ImportError:
        import sre_constants as _codes
        import sre_parse as _parser


def pattern_problem(pattern: str) -> str:
    """Why a pattern is refused; empty when it may be used.

    A matcher that goes back can take exponential time where a repetition holds another choice; elsewhere its choices multiply,
    so their product is kept small: an open repetition counts 8 bits, an alternative or option as many as it offers.
    """
    if len(pattern) > MAX_PATTERN:
        return f"is a pattern of more than {MAX_PATTERN} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            parsed = _parser.parse(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        return f"is not a regular expression: {error}"
    is_anchored = bool(len(parsed)) and parsed[0][0] is _codes.AT
    try:
        bits = _choices_bits(parsed, depth=0) + (0 if is_anchored else _OPEN_BITS)
    except ValueError as error:
        return str(error)
    if bits > _MAX_BITS:
        return f"has too many repetitions and alternatives{'' if is_anchored else '; begin it with ^'}"
    return ""


def _choices_bits(items: Any, *, depth: int) -> float:
    return sum(_bits(code, argument, depth=depth) for code, argument in items)


def _bits(code: Any, argument: Any, *, depth: int) -> float:
    if code in (_codes.MAX_REPEAT, _codes.MIN_REPEAT):
        return _repeat_bits(argument, depth=depth)
    if code is _codes.SUBPATTERN:
        return _choices_bits(argument[-1], depth=depth)
    if code is _codes.BRANCH:
        branches = [_choices_bits(branch, depth=depth) for branch in argument[1]]
        return math.log2(len(branches)) + max(branches)
    if code in (_codes.LITERAL, _codes.NOT_LITERAL, _codes.ANY, _codes.IN, _codes.AT):
        return 0
    raise ValueError(f"uses {str(code).lower()}, which patterns here may not")


def _repeat_bits(argument: tuple[Any, Any, Any], *, depth: int) -> float:
    low, high, items = int(argument[0]), int(argument[1]), argument[2]
    if high <= 1:
        return _choices_bits(items, depth=depth) + 1
    if low > MAX_MATCHED or depth > 1:
        raise ValueError("repeats more than the texts that it is matched with are long")
    inner = _choices_bits(items, depth=depth + 1)
    if low == high and (low <= _FEW or not depth):
        return inner * low
    if inner or depth:
        raise ValueError("has a repetition or a choice inside of a repetition, which can take for ever")
    return min(math.log2(high - low + 1), _OPEN_BITS)
