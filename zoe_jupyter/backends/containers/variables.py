"""Variables of services as a file that a shell reads."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from zoe_jupyter.model.errors import Fatal

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

# fmt: off
_OF_SHELLS = frozenset({
    "BASHOPTS", "BASHPID", "BASH_ARGV0", "BASH_VERSINFO", "DIRSTACK", "EPOCHREALTIME", "EPOCHSECONDS", "EUID", "FUNCNAME", "GROUPS",
    "HISTCMD", "LINENO", "OPTIND", "PPID", "RANDOM", "SECONDS", "SHELLOPTS", "SRANDOM", "UID",
})
# fmt: on
"""Where ``sh`` is bash it ends when somebody sets these, or gives the program something else; some end other shells."""


def exports(environment: Mapping[str, str]) -> str:
    """The variables as a shell reads them that then becomes ``"$@"``. Raises Fatal for a name that no shell takes."""
    wrong = [name for name in environment if not _NAME.fullmatch(name)]
    if wrong:
        raise Fatal(f"{wrong[0]!r} cannot be the name of an environment variable; letters, digits and _ can")
    quoted = {name: shlex.quote(value) for name, value in environment.items()}
    before = [f"export {name}={value}\n" for name, value in quoted.items() if name not in _OF_SHELLS]
    beyond = [f'set -- env {name}={value} "$@"\n' for name, value in quoted.items() if name in _OF_SHELLS]
    return "".join([*before, *beyond, ":\n"])
