"""What a service asks for and what a node has: CPU in integer microcores, memory in bytes, GPUs in whole numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Resources:
    """An amount of CPU, memory and GPUs; adds, subtracts, multiplies, and compares by ``fits_in``."""

    microcores: int = 0
    memory_bytes: int = 0
    gpus: int = 0

    def __add__(self, other: Resources) -> Resources:
        return Resources(
            self.microcores + other.microcores, self.memory_bytes + other.memory_bytes, self.gpus + other.gpus
        )

    def __sub__(self, other: Resources) -> Resources:
        return Resources(
            self.microcores - other.microcores, self.memory_bytes - other.memory_bytes, self.gpus - other.gpus
        )

    def __mul__(self, count: int) -> Resources:
        return Resources(self.microcores * count, self.memory_bytes * count, self.gpus * count)

    def fits_in(self, room: Resources) -> bool:
        """Say whether all of this is in ``room``; an exact fit fits."""
        return self.microcores <= room.microcores and self.memory_bytes <= room.memory_bytes and self.gpus <= room.gpus


@dataclass(frozen=True, slots=True)
class Node:
    """A machine as a backend reports it. ``capacity`` is what Zoe may give away there, overcommitted CPU shares included."""

    name: str
    capacity: Resources
    labels: Mapping[str, str] = field(default_factory=dict)
    is_enabled: bool = True
    closes_at: float | None = None
    """Epoch seconds: when it is to be empty; None: nobody has said so."""
    microcores: int = 0
    """Of the machine itself, where ``capacity`` gives each core away several times; else 0."""
    about: str = ""
    """What people should know of it, such as that its size is a guess."""
    whole: Resources | None = None
    """What ``capacity`` is once others, who are not Zoe's, have left; None: the same."""
