"""Names that two never hold: abstract sockets, which all users of the machine see and which vanish with their holder."""

from __future__ import annotations

import socket


class Names:
    """Of one kind of thing, such as ``port``."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._held: dict[str, socket.socket] = {}

    def __contains__(self, name: object) -> bool:
        return name in self._held

    def hold(self, name: str) -> bool:
        """False when somebody holds it, this process included."""
        if name in self._held:
            return False
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            holder.bind(f"\0zoe-{self._kind}-{name}")
        except OSError:
            holder.close()
            return False
        self._held[name] = holder
        return True

    def release(self, name: str) -> None:
        holder = self._held.pop(name, None)
        if holder is not None:
            holder.close()
