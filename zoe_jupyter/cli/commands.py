"""Commands of other rooms, by entry point: ``serve``, later ``simulate``, ``image``. None is imported before it is called."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any

GROUP = "zoe_jupyter.commands"


def commands() -> dict[str, str]:
    """Name and summary of each; the summary of one that is not imported is its name alone."""
    return {point.name: SUMMARIES.get(point.name, "") for point in entry_points(group=GROUP)}


SUMMARIES = {
    "serve": "Run Zoe without JupyterLab.",
    "simulate": "Replay a workload through the scheduler.",
    "image": "Build the images of frameworks.",
    "import": "Turn descriptions of the original Zoe into today's.",
    "token": "Make tokens for programs.",
    "generate-config": "Write jupyter_zoe_config.py.",
}


def run(name: str, words: Sequence[str]) -> int:
    """Run that command with these words; its exit code. KeyError when there is none of the name."""
    point = _point(name)
    return _code(_called(point.load(), list(words)))


def _point(name: str) -> EntryPoint:
    for point in entry_points(group=GROUP):
        if point.name == name:
            return point
    raise KeyError(name)


def _called(command: Any, words: list[str]) -> Any:
    """Call a command: a traitlets application, a class with ``main`` or ``run``, or a function of the words."""
    if hasattr(command, "launch_instance"):
        return command.launch_instance(argv=words)
    if isinstance(command, type):
        command = command()
    for name in ("main", "run"):
        if hasattr(command, name):
            return getattr(command, name)(words)
    return command(words)


def _code(value: Any) -> int:
    return value if isinstance(value, int) else 0
