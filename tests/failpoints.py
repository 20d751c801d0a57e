"""Which failpoints the code names, so that a new one is met by the tests by itself."""

from __future__ import annotations

import ast
import functools
from collections.abc import Collection
from pathlib import Path


def failpoints(room: Path, *, without: Collection[Path] = ()) -> list[str]:
    """Every name that ``failpoint`` is called with in a folder of the code, but for the folders ``without``."""
    files = [file for file in room.rglob("*.py") if not any(other in file.parents for other in without)]
    return sorted({name for file in files for name in failpoints_in(file)})


@functools.cache
def failpoints_in(file: Path) -> list[str]:
    names: set[str] = set()
    text = file.read_text()
    for node in ast.walk(ast.parse(text)) if "failpoint(" in text else ():
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "failpoint":
            (name,) = node.args
            assert isinstance(name, ast.Constant), f"{file.name}:{node.lineno}: tests cannot find this one"
            names.add(name.value)
    return sorted(names)
