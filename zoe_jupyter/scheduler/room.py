"""What is free in one decision, what will be once everything has left that is on its way out, and what elastic services could give up."""

from __future__ import annotations

from zoe_jupyter.scheduler.memo import World
from zoe_jupyter.scheduler.placement import Places, Taken
from zoe_jupyter.scheduler.snapshot import Rules
from zoe_jupyter.scheduler.space import Shape, Space


class Room:
    """Shrinks as it is given away. All its spaces go along with each other: what is free is never more than what will be."""

    def __init__(self, world: World, rules: Rules, seed: int) -> None:
        self.machines = world.machines
        self.places = Places(world.machines, world.free.copy(), rules.placement, seed)
        self.later = self.places.space
        """The same object as what is free as long as nothing is on its way out."""
        self._others: list[Space] = []
        """What else has to be told of what is taken."""
        if world.coming is not None:
            self.tell_apart()
            _add(self.later, world.coming)

    @property
    def free(self) -> Space:
        return self.places.space

    @property
    def is_room_coming(self) -> bool:
        return self.later is not self.free

    def is_free(self, taken: Taken) -> bool:
        """Say whether all of it is there now."""
        left = self.free.copy()
        for _, shape, node in taken:
            if not left.has(node, shape):
                return False
            left.take(node, shape)
        return True

    def take(self, taken: Taken) -> None:
        """What ``places`` gave away is gone from the other spaces, too."""
        if self._others:
            for _, shape, node in taken:
                for space in self._others:
                    space.take(node, shape)

    def expect(self, node: int, shape: Shape, count: int = 1) -> None:
        """Count on room that will come free; those spaces in which it was reckoned as free already are the caller's."""
        self.tell_apart()
        self.later.give(node, shape, count)

    def keep(self, taken: Taken) -> None:
        """Hold room for somebody who gets it later: what is given away from now on must leave that much over."""
        for _, shape, node in taken:
            for space in self._others:
                space.take(node, shape)
        for _, shape, node in taken:
            for port in shape.ports:
                self.free.ports[node, port] = self.free.ports.get((node, port), 0) + 1
            self.places.lower(node, self.later)

    def follow(self, space: Space) -> Space:
        """Take from this space, too, whatever is taken or kept from now on."""
        self._others.append(space)
        return space

    def tell_apart(self) -> None:
        """From now on what is free and what will be are two spaces."""
        if self.later is self.free:
            self.later = self.follow(self.free.copy())


def _add(space: Space, coming: Space) -> None:
    for name in ("cores", "memory", "gpus"):
        most = getattr(space, name)
        most[:] = [free + more for free, more in zip(most, getattr(coming, name), strict=True)]
    for key, count in coming.ports.items():
        space.ports[key] = space.ports.get(key, 0) + count
