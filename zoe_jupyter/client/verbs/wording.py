"""Errors in the words of who typed a line: an option, where the interface names a field of the request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from zoe_jupyter.model.errors import InvalidDescription, Problem

OPTIONS = {
    "name": "--name", "priority": "--priority", "estimate": "--estimate", "begin": "--begin", "client.python": "--environment",
    "lifetime.after": "--for", "lifetime.idle": "--idle", "lifetime.with": "--with", "lifetime.grace": "--grace",
}  # fmt: skip
_PARAMETER = re.compile(r"(?:frameworks\.0\.)?parameters\.(\w[\w-]*)((?:\..*)?)", re.DOTALL)
"""Of the application that the line names; what ``run`` sends has it inside a description."""
_UNSAID = re.compile(r"(?:frameworks\.0\.)?parameters|counts(?:\..*)?", re.DOTALL)
"""What no word of the line is called; the message says all."""


@contextmanager
def told_as_options() -> Iterator[None]:
    """Have what is wrong with a request named as on the line; in a description, which has lines and files, fields stay fields."""
    try:
        yield
    except InvalidDescription as error:
        raise InvalidDescription([_as_option(problem) for problem in error.problems]) from None


def _as_option(problem: Problem) -> Problem:
    if problem.line or problem.file:
        return problem
    parameter = _PARAMETER.fullmatch(problem.path)
    if parameter is not None:
        return replace(problem, path=f"--{parameter[1].replace('_', '-')}{parameter[2]}")
    if _UNSAID.fullmatch(problem.path):
        return replace(problem, path="")
    return replace(problem, path=OPTIONS.get(problem.path, problem.path))
