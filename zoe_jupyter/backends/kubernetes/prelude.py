"""How a program starts in its container: what is secret comes as files, never as the container's environment or arguments. Pure.

The image's entrypoint stays; after it a shell (the only thing that an image must have) puts the files where the service may write, reads the
environment, and becomes the program.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence

from zoe_jupyter.backends.containers.places import FOLDER

GIVEN = "/run/zoe"
"""Where the Secret of the attempt is mounted, read-only."""
ENVIRONMENT = "environment"
"""Name of the file with the variables."""
_ENTER = f"cd {FOLDER} && . {GIVEN}/{ENVIRONMENT}"
_GO_ON = f'{_ENTER} && exec "$@"'


def started(command: Sequence[str], files: Iterable[str], *, folder: str = "") -> list[str]:
    """The container's arguments; ``folder`` is where the program starts, its own unless it says so."""
    tops = sorted({name.split("/")[0] for name in files})
    steps = [*([_copy(tops)] if tops else []), _ENTER, *([f"cd {shlex.quote(folder)}"] if folder else []), 'exec "$@"']
    return ["sh", "-c", " && ".join(steps), "zoe", *command]


def beside(command: Sequence[str]) -> list[str]:
    """A command that runs beside the service, in its folder and with its environment."""
    return ["sh", "-c", _GO_ON, "zoe", *command]


def beside_with(command: Sequence[str], environment: str) -> list[str]:
    """The same with more variables, which come as so many bytes on its input."""
    size = len(environment.encode())
    script = f'{_ENTER} && eval "$(head -c {size})" && exec "$@" </dev/null'
    return ["sh", "-c", script, "zoe", *command]


def _copy(tops: Iterable[str]) -> str:
    """What is mounted belongs to root; what a service is given is its own, and nobody else's to read."""
    own = " ".join(shlex.quote(f"{FOLDER}/{name}") for name in tops)
    return f"cp -RL {GIVEN}/files/. {FOLDER}/ && chmod -R u+rwX,go= {own}"
