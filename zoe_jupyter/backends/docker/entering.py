"""How a program gets its variables: from a file that a shell reads before it becomes the program, so that ``inspect`` shows none. Pure.

The image's entrypoint stays, and gets the shell as its command. Who has no variables needs no shell.
"""

from __future__ import annotations

from collections.abc import Sequence

FOLDER, FILE = "/run/zoe", "environment"
"""The folder is root's, and the file the service's to read."""
_SHELL = ("sh", "-c", f'. {FOLDER}/{FILE} && exec "$@"', "zoe")


def entered(command: Sequence[str]) -> list[str]:
    """The command, once the variables are read; for what runs beside the service as well."""
    return [*_SHELL, *command]


def is_entered(command: Sequence[str]) -> bool:
    return tuple(command[: len(_SHELL)]) == _SHELL


def program(command: Sequence[str]) -> tuple[str, ...]:
    """What the shell becomes; a command without one as it is."""
    return tuple(command[len(_SHELL) :] if is_entered(command) else command)
