"""How a program gets its variables: from a file that a shell reads before it becomes the program, so that ``inspect`` shows none. Pure.

The image's entrypoint stays, gets its command, and has the variables, too. Who has no variables needs no shell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoe_jupyter.backends.containers.variables import exports

FOLDER, FILE = "/run/zoe", "environment"
"""The folder is root's, and the file the service's to read."""
_SHELL = ("sh", "-c", f'. {FOLDER}/{FILE} && exec "$@"', "zoe")

_GIVEN = "ZOE_GIVEN"
_WITH_GIVEN = ("sh", "-c", f'. {FOLDER}/{FILE} && eval "${_GIVEN}" && unset {_GIVEN} && exec "$@"', "zoe")


def entered(command: Sequence[str]) -> list[str]:
    """The command, once the variables are read."""
    return [*_SHELL, *command]


def beside(command: Sequence[str], given: Mapping[str, str]) -> tuple[list[str], dict[str, str]]:
    """A command that runs beside a service with variables, and its environment; ``given`` come after the service's own. Raises Fatal."""
    return ([*_WITH_GIVEN, *command], {_GIVEN: exports(given)}) if given else (entered(command), {})


def begun(command: Sequence[str], image: Mapping[str, Any] | None) -> dict[str, list[str]]:
    """What a container runs first; ``image``: the ``Config`` of its image, whose entrypoint gets the shell as its command where that is not known.

    Engines take ``[""]``, too, for no entrypoint.
    """
    if image is None:
        return {"Cmd": entered(command)}
    own = list(image.get("Entrypoint") or ())
    return {"Entrypoint": entered([] if own == [""] else own), "Cmd": list(command or image.get("Cmd") or ())}


def has_variables(config: Mapping[str, Any]) -> bool:
    """By the ``Config`` of a container, also of an earlier Zoe's."""
    return is_entered(config.get("Entrypoint") or ()) or is_entered(config.get("Cmd") or ())


def is_entered(command: Sequence[str]) -> bool:
    return tuple(command[: len(_SHELL)]) == _SHELL


def program(command: Sequence[str]) -> tuple[str, ...]:
    """What the shell becomes; a command without one as it is."""
    return tuple(command[len(_SHELL) :] if is_entered(command) else command)
