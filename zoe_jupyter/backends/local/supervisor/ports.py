"""Port numbers that nobody else gets: each is held as a name for as long as this process lives.

A held port itself stays free for the service to listen on.
"""

from __future__ import annotations

import os
import socket
import sys

from .names import Names

LOOPBACK = "127.0.0.1"
_LOWEST = 20000
_TRIES = 400


class PortsTaken(Exception):
    """No free port was found."""


class Ports:
    def __init__(self) -> None:
        self._names = Names("port")

    def choose(self) -> int:
        """Hold a port that nobody holds or listens on; raises PortsTaken.

        Any user of the machine can hold or use the whole range. Then it is any port that is free, and held if that can be.
        """
        low, high = _range()
        for _ in range(_TRIES):
            number = low + int.from_bytes(os.urandom(4), "little") % (high - low)
            if _is_free(number) and self.hold(number):
                return number
        number = _any_free()
        self.hold(number)
        return number

    def keep(self, number: int) -> bool:
        """Hold that very port again for another attempt; False when somebody else has it now."""
        return (str(number) in self._names or self.hold(number)) and _is_free(number, is_reused=True)

    def hold(self, number: int) -> bool:
        return self._names.hold(str(number))

    def release(self, number: int) -> None:
        self._names.release(str(number))


def _range() -> tuple[int, int]:
    """Below the range from which the kernel takes ports for outgoing connections, where there is room enough."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="utf-8") as file:
            low, high = map(int, file.read().split())
    except (OSError, ValueError):
        return _LOWEST, 32768
    return (_LOWEST, low) if low - _LOWEST >= 2000 else (low, high + 1)


def _any_free() -> int:
    """The kernel's choice. An outgoing connection may take it before the service does, which then gets another."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind(("", 0))
        except OSError as error:
            raise PortsTaken(f"this machine has no free port: {error.strerror}") from None
        return int(probe.getsockname()[1])


def _is_free(number: int, *, is_reused: bool = False) -> bool:
    """Whether a service could listen on it now; ``is_reused`` overlooks connections of its predecessor that the kernel still winds up."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        if is_reused:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", number))
            probe.listen(1)
        except OSError:
            return False
    return True


def listeners(number: int) -> set[int]:
    """Inodes of the sockets that listen on that port of the loopback or of every address."""
    return {inode for port, inode, is_listening in _sockets() if port == number and is_listening}


def is_occupied(number: int) -> bool:
    """Whether any living socket has that local port of the loopback or of every address, an outgoing connection included."""
    return any(port == number and inode for port, inode, _ in _sockets())


def _sockets() -> list[tuple[int, int, bool]]:
    """``(local port, inode, is listening)`` of all TCP sockets on loopback and wildcard addresses."""
    found = []
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/net/{name}", encoding="utf-8") as file:
                rows = file.readlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            address, _, port = fields[1].partition(":")
            if _is_near(address):
                found.append((int(port, 16), int(fields[9]), fields[3] == "0A"))
    return found


def _is_near(address: str) -> bool:
    """Loopback or wildcard, in the kernel's hexadecimal (each group of four bytes in the machine's own order)."""
    if len(address) == 8:
        first = address[6:] if sys.byteorder == "little" else address[:2]
        return address == "00000000" or first == "7F"
    if address.startswith(("0000000000000000FFFF0000", "00000000000000000000FFFF")):
        return _is_near(address[24:])
    return address.strip("0") in ("", "1")


def sockets_of(pids: set[int]) -> set[int]:
    """Inodes of all sockets that these processes hold."""
    inodes = set()
    for pid in pids:
        try:
            names = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for name in names:
            try:
                target = os.readlink(f"/proc/{pid}/fd/{name}")
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(int(target[8:-1]))
    return inodes
