"""GPUs that nobody else gets: each is held as a name for as long as its service, or this process, lives."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .names import Names


class GpusTaken(Exception):
    """Fewer are free than are wanted."""


class Gpus:
    def __init__(self) -> None:
        self._names = Names("gpu")

    def take(self, count: int, known: Sequence[str]) -> list[str]:
        """So many of those that are known, which CUDA then numbers from 0. Raises GpusTaken, and then holds none of them."""
        taken: list[str] = []
        for name in known:
            if len(taken) < count and self._names.hold(name):
                taken.append(name)
        if len(taken) < count:
            self.release(taken)
            raise GpusTaken(
                f"{count} of the GPUs {', '.join(known)} are wanted, {len(taken)} are free: others have the rest"
            )
        return taken

    def release(self, names: Collection[str]) -> None:
        for name in names:
            self._names.release(name)


def visible(names: Sequence[str]) -> dict[str, str]:
    """Variables with which CUDA sees these and no others."""
    return {"CUDA_VISIBLE_DEVICES": ",".join(names), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
