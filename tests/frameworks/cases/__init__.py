"""One module for each framework that Zoe ships: ``CASE`` says how it is started, used, and seen to work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

Session = Any
"""What a case's ``attach`` gives: a Spark session, a Dask client."""


@dataclass(frozen=True)
class Case:
    """How one framework is tested."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    """For a start on a small machine."""
    needs: str = ""
    """The marker of what it needs."""
    files: Mapping[str, str] = field(default_factory=dict)
    """What lies in the notebook's folder."""
    attach: Callable[[Mapping[str, Any], Mapping[str, str]], AbstractContextManager[Session]] | None = None
    """From a connection's values and secrets to a session. None: nothing to attach to."""
    work: Callable[[Session, Path], None] | None = None
    """Use it on real data; the second is the notebook's folder. Raises when a result is wrong."""
    long_job: Callable[[Session], tuple[Any, Any]] | None = None
    """A job of some seconds on two workers: what it gave, and what it must give."""
    scalable: str = ""
    """The process that is scaled down while ``long_job`` runs."""
    page: Callable[[str, Mapping[str, str]], None] | None = None
    """Look at its first page: address of the port, headers of the proxy."""
    log: str = ""
    """Of a job: what its log must have when it has ended."""


def case_of(name: str) -> Case:
    """The case of a framework, from the module of its name."""
    found: Case = import_module(f"tests.frameworks.cases.{name.replace('-', '_')}").CASE
    return found
