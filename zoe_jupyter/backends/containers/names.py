"""Names that containers, networks and pods may bear: readable, short, and never the same for two things."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

NAME_LENGTH = 52
"""So that what a platform appends (a Job's pods, a ReplicaSet's) still makes a DNS label of at most 63."""
_HASH_LENGTH = 10
_PLAIN = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
_HASHED = re.compile(rf"-[0-9a-z]{{{_HASH_LENGTH}}}$")
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Whose a container is; ``str()`` is its full name, which goes into a label or an annotation."""

    deployment: str
    execution_id: str
    service: str
    attempt: int

    def __str__(self) -> str:
        return f"{self.deployment}/{self.execution_id}/{self.service}#{self.attempt}"

    @property
    def name(self) -> str:
        """What the container is called."""
        return slug(str(self))

    @property
    def host(self) -> str:
        """The name by which the other services reach it: the same for every attempt."""
        return host(self.deployment, self.execution_id, self.service)


def host(deployment: str, execution_id: str, service: str) -> str:
    return slug(f"{deployment}/{execution_id}/{service}", shown=service)


def name_of(who: str) -> str:
    """A DNS label for somebody, in which an admin recognizes them: their name where it is one, and none that ``slug`` could have made."""
    is_plain = _PLAIN.fullmatch(who) and len(who) <= NAME_LENGTH and not _HASHED.search(who)
    return who if is_plain else slug(who)


def slug(full: str, *, shown: str = "") -> str:
    """A DNS label of at most 52 characters, which begins with a letter: what is readable of ``shown`` (else of the end of ``full``), and a hash of ``full``.

    The hash is always there, so that no readable part can be another's whole name.
    """
    readable = re.sub(r"[^a-z0-9]+", "-", (shown or full).lower()).strip("-")
    room = NAME_LENGTH - _HASH_LENGTH - 1
    readable = (readable[:room] if shown else readable[-room:]).strip("-")
    if not readable[:1].isalpha():
        readable = f"z{readable[: room - 1]}".rstrip("-")
    return f"{readable}-{_short_hash(full)}"


def _short_hash(text: str) -> str:
    """50 bits of SHA-256 in base 36."""
    number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    digits = ""
    while len(digits) < _HASH_LENGTH:
        number, rest = divmod(number, len(_ALPHABET))
        digits += _ALPHABET[rest]
    return digits
