"""Fills one field at a time at submit, and says of each what it should have been."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from zoe_jupyter.model.errors import InvalidDescription
from zoe_jupyter.model.units import duration_s, memory_bytes, microcores
from zoe_jupyter.shop.problems import Findings, Path, shorten
from zoe_jupyter.shop.templates import fill

T = TypeVar("T")
MAX_COUNT = 10_000
MAX_SECONDS = 366 * 86400.0
MAX_CORES = 100_000
MAX_MEMORY = 1 << 60
MAX_GPUS = 1024
MAX_WEIGHT = 1000


@dataclass(frozen=True)
class Filler:
    """What is known at submit for one framework (or for the ZApp itself), and where problems go."""

    context: Mapping[str, Any]
    findings: Findings

    def tree(self, value: Any, path: Path) -> Any:
        """The value with its templates filled; what cannot be filled is noted and becomes None."""
        try:
            return fill(value, self.context)
        except InvalidDescription as error:
            for problem in error.problems:
                self.findings.add((*path, *problem.path.split(".")) if problem.path else path, problem.message)
            return None

    def text(self, value: Any, path: Path) -> str:
        filled = self.tree(value, path)
        if filled is None or isinstance(filled, list | Mapping):
            if not isinstance(value, str) or filled is not None:
                self.findings.add(path, f"{shorten(filled)} is not text")
            return ""
        return str(filled)

    def count(self, value: Any, path: Path, *, minimum: int = 0, maximum: int = MAX_COUNT) -> int:
        def read(filled: Any) -> int:
            if isinstance(filled, float) and filled.is_integer():
                filled = int(filled)
            if isinstance(filled, bool) or not isinstance(filled, int):
                raise ValueError(f"{shorten(filled)} is not a whole number")
            if not minimum <= filled <= maximum:
                raise ValueError(f"{filled} is not between {minimum} and {maximum}")
            return filled

        return self._read(value, path, read, minimum)

    def cores(self, value: Any, path: Path) -> int:
        """Microcores."""
        return self._read(value, path, lambda filled: _at_most(microcores(_quantity(filled)), MAX_CORES * 1_000_000), 0)

    def memory(self, value: Any, path: Path) -> int:
        """Bytes."""
        return self._read(value, path, lambda filled: _at_most(memory_bytes(_quantity(filled)), MAX_MEMORY), 0)

    def seconds(self, value: Any, path: Path) -> float:
        return self._read(value, path, lambda filled: _at_most(duration_s(_quantity(filled)), MAX_SECONDS), 0.0)

    def weight(self, value: Any, path: Path) -> float:
        def read(filled: Any) -> float:
            if isinstance(filled, bool) or not isinstance(filled, int | float) or not 0 < filled <= MAX_WEIGHT:
                raise ValueError(f"{shorten(filled)} is not a number above 0 and at most {MAX_WEIGHT}")
            return float(filled)

        return self._read(value, path, read, 1.0)

    def _read(self, value: Any, path: Path, read: Callable[[Any], T], fallback: T) -> T:
        known = len(self.findings.problems)
        filled = self.tree(value, path)
        if len(self.findings.problems) > known:
            return fallback
        try:
            return read(filled)
        except ValueError as error:
            self.findings.add(path, str(error))
            return fallback


def _quantity(value: Any) -> str | int | float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{shorten(value)} is not a quantity")
    return value


N = TypeVar("N", int, float)


def _at_most(value: N, limit: N) -> N:
    if value > limit:
        raise ValueError(f"{value} is more than {limit}")
    return value
