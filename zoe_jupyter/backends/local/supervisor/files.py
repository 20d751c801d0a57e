"""What lies in a run folder. Shared with the backend."""

from __future__ import annotations

import json
import os
from typing import Any

from .shape import is_sound

LOCK_FILE, SETTINGS_FILE, SOCKET_FILE, STATE_FILE = "lock", "supervisor.json", "control.sock", "state.json"
COMPLAINTS_FILE = "supervisor.log"
SUPERVISOR_MARK = "ZOE_SUPERVISOR"
"""Environment variable ``<deployment>/<execution>`` of a supervisor."""
NURSERY_ROOM = 512
"""Bytes that folder and mark of a supervisor may have that is to be forked by the nursery."""
NURSERY = "nursery:".ljust(NURSERY_ROOM, "-")
"""Argument and mark of the nursery; its supervisors write their own over them."""
UNMARKED = b"unmarked"
"""What a fork of the nursery says, and ends, where it cannot show its mark: it would be taken for no supervisor."""
_LONGEST_ADDRESS = 100
_LONGEST_STATE_BYTES = 64 * 1024 * 1024


def read_state(run_dir: str) -> dict[str, Any]:
    """What the supervisor wrote down in that folder, empty when there is nothing, no supervisor writes such, or it is of another execution."""
    try:
        with open(os.path.join(run_dir, STATE_FILE), encoding="utf-8", opener=plain) as file:
            found = os.fstat(file.fileno())
            if found.st_uid != os.getuid() or found.st_size > _LONGEST_STATE_BYTES:  # somebody else's word
                return {}
            state = json.load(file)
    except (OSError, ValueError, RecursionError):
        return {}
    return state if is_sound(state) and state.get("execution") == os.path.basename(os.path.normpath(run_dir)) else {}


def plain(path: str, flags: int) -> int:
    """Open no link, and wait for nobody at the other end of a pipe: services can put such things into the place of files."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)


def short_path(path: str, folder: int) -> str:
    """The path itself, or one through the open folder's descriptor when it is longer than a socket's address may be."""
    return path if len(os.fsencode(path)) <= _LONGEST_ADDRESS else f"/proc/self/fd/{folder}/{os.path.basename(path)}"
