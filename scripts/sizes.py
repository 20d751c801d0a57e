"""Check the limits of the house: no Python function over 50 lines, no file over 500."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("zoe_jupyter", "frameworks", "scripts", "tests", "benchmarks")
FUNCTION_LINES = 50
FILE_LINES = 500


def main() -> None:
    """Report every excess."""
    excesses = [excess for room in ROOMS for path in sorted((ROOT / room).rglob("*.py")) for excess in measure(path)]
    print("\n".join(excesses) or "sizes: all within the limits")
    sys.exit(1 if excesses else 0)


def measure(path: Path) -> Iterator[str]:
    """Tell what is too long in one file; generated code is not read by people."""
    if "generated" in path.parts or "node_modules" in path.parts:
        return
    text = path.read_text(encoding="utf-8")
    name = path.relative_to(ROOT)
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield f"{name}: {lines} lines, at most {FILE_LINES}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES:
                yield f"{name}:{node.lineno}: {node.name} has {length} lines, at most {FUNCTION_LINES}"


if __name__ == "__main__":
    main()
