"""Why an execution waits, or can never run: a stable code, a sentence with the numbers and the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.model.units import format_bytes, format_cores, format_duration
from zoe_jupyter.scheduler.placement import Need, by_size, place
from zoe_jupyter.scheduler.room import Free, Machines
from zoe_jupyter.scheduler.snapshot import Demand, ExecutionId


class Code(str, Enum):
    EXCEEDS_EVERY_NODE = "exceeds_every_node"
    EXCEEDS_CLUSTER = "exceeds_cluster"
    NO_MATCHING_NODE = "no_matching_node"
    WAITS_FOR_RESOURCES = "waits_for_resources"
    BEHIND_OTHERS = "behind_others"
    BACKEND_UNREACHABLE = "backend_unreachable"
    START_DELAYED = "start_delayed"


class Waiting(Mapping[ExecutionId, Reason]):
    """The reasons of those that wait, in their order; each is worked out when it is asked for. ``position`` counts from 1."""

    def __init__(self, order: Sequence[ExecutionId], explain: Callable[[ExecutionId, int], Reason]) -> None:
        self._positions = {execution_id: position for position, execution_id in enumerate(order, start=1)}
        self._explain = explain
        self._known: dict[ExecutionId, Reason] = {}

    def __getitem__(self, execution_id: ExecutionId) -> Reason:
        if execution_id not in self._known:
            position = self._positions[execution_id]
            reason = self._explain(execution_id, position)
            self._known[execution_id] = replace(reason, numbers={"position": position, **reason.numbers})
        return self._known[execution_id]

    def __iter__(self) -> Iterator[ExecutionId]:
        return iter(self._positions)

    def __len__(self) -> int:
        return len(self._positions)

    def __contains__(self, execution_id: object) -> bool:
        return execution_id in self._positions


def never_fits(needs: Sequence[Need], machines: Machines) -> Reason | None:
    """Why these needs could not be met even if nothing else ran; None when they could, or when no machine is known."""
    if not machines.nodes:
        return None
    for need in by_size(needs):
        nodes = machines.having(need.demand.labels)
        if not nodes:
            return _no_matching_node(need.demand)
        if not any(need.demand.resources.fits_in(node.capacity) for node in nodes):
            room = {node.name: node.capacity for node in nodes}
            return _unit(Code.EXCEEDS_EVERY_NODE, need.demand, room, nodes)
    if place(needs, machines, machines.capacity()) is None:
        return _together(Code.EXCEEDS_CLUSTER, needs, machines, machines.capacity())
    return None


def lacks_room(needs: Sequence[Need], machines: Machines, free: Free, *, is_room_coming: bool) -> Reason:
    """Why these needs cannot be met now."""
    if not machines.nodes:
        return Reason(Code.NO_MATCHING_NODE.value, "no machine takes work at the moment; wait, or ask the admin", {})
    reason = _first_lack(needs, machines, free)
    if is_room_coming:
        reason = replace(reason, text=f"{reason.text.partition('; ')[0]}; room is being made for it")
    return reason


def behind(position: int, first: ExecutionId) -> Reason:
    ahead = position - 1
    others = "1 execution is" if ahead == 1 else f"{ahead} executions are"
    return Reason(Code.BEHIND_OTHERS.value, f"{others} before it; wait for its turn", {"ahead": ahead, "first": first})


def unreachable() -> Reason:
    text = "the machines cannot be reached, so that nothing can be started; it starts when they answer again"
    return Reason(Code.BACKEND_UNREACHABLE.value, text, {})


def delayed(wait_s: float) -> Reason:
    text = f"its last start failed; the next try is in {format_duration(wait_s)}"
    return Reason(Code.START_DELAYED.value, text, {"retry_in_s": wait_s})


def _first_lack(needs: Sequence[Need], machines: Machines, free: Free) -> Reason:
    for need in by_size(needs):
        nodes = machines.having(need.demand.labels)
        if not any(need.demand.resources.fits_in(free[node.name]) for node in nodes):
            return _unit(Code.WAITS_FOR_RESOURCES, need.demand, free, nodes)
    return _together(Code.WAITS_FOR_RESOURCES, needs, machines, free)


def _no_matching_node(demand: Demand) -> Reason:
    labels = ", ".join(f"{name}={value}" for name, value in sorted(demand.labels.items()))
    text = f"{demand.process} needs a node with the labels {labels}, and there is none; change the labels, or ask the admin"
    return Reason(Code.NO_MATCHING_NODE.value, text, {"process": demand.process, "labels": dict(demand.labels)})


def _unit(code: Code, demand: Demand, free: Free, nodes: Sequence[Node]) -> Reason:
    """One service is too large for each of the nodes."""
    is_never = code is Code.EXCEEDS_EVERY_NODE
    way_out = "" if is_never else " or wait"
    best = _best(free[node.name] for node in nodes)
    for resource in _RESOURCES:
        needed, most = resource.of(demand.resources), resource.of(best)
        if needed > most:
            where = "the largest node has" if is_never else "the best node has"
            state = "" if is_never else " free"
            text = f"{demand.process} needs {resource.say(needed)}, {where} {resource.brief(most)}{state}; lower `{resource.field}`{way_out}"
            return Reason(code.value, text, _numbers(demand.process, resource, needed, most))
    wish = " and ".join(
        resource.say(resource.of(demand.resources)) for resource in _RESOURCES if resource.of(demand.resources)
    )
    free_too = "" if is_never else " free"
    text = f"{demand.process} needs {wish} on one node, and no node has all of it{free_too}; lower one of them{way_out}"
    return Reason(code.value, text, {"process": demand.process, **_amounts(demand.resources)})


def _together(code: Code, needs: Sequence[Need], machines: Machines, free: Free) -> Reason:
    """Each service alone would fit, all of them do not."""
    is_never = code is Code.EXCEEDS_CLUSTER
    way_out = "" if is_never else " or wait"
    wanted = sum((need.demand.resources * need.count for need in needs), Resources())
    there = sum((_positive(free[node.name]) for node in machines.nodes), Resources())
    count = sum(need.count for need in needs)
    for resource in _RESOURCES:
        needed, most = resource.of(wanted), resource.of(there)
        if needed > most:
            state = "" if is_never else " free"
            all_of_it = (
                f"its {count} services need {resource.say(needed)} together"
                if count > 1
                else f"needs {resource.say(needed)}"
            )
            text = f"{all_of_it}, all nodes have {resource.brief(most)}{state}; lower `{resource.field}` or their number{way_out}"
            return Reason(code.value, text, {"services": count, **_numbers("", resource, needed, most)})
    where = "" if is_never else " of what is free"
    text = f"its {count} services do not fit on the nodes{where}, although there is enough in all; lower what each needs{way_out}"
    return Reason(code.value, text, {"services": count, **_amounts(wanted)})


class _Resource(Enum):
    """Field of a description, and how to read and say it."""

    MEMORY = "memory"
    CORES = "cores"
    GPU = "gpu"

    @property
    def field(self) -> str:
        return self.value

    def of(self, resources: Resources) -> int:
        return {"memory": resources.memory_bytes, "cores": resources.microcores, "gpu": resources.gpus}[self.value]

    def say(self, amount: int) -> str:
        noun = {"memory": "of memory", "cores": "core", "gpu": "GPU"}[self.value]
        is_plural = self is not _Resource.MEMORY and self.brief(amount) != "1"
        return f"{self.brief(amount)} {noun}{'s' if is_plural else ''}"

    def brief(self, amount: int) -> str:
        if self is _Resource.MEMORY:
            return format_bytes(amount)
        return format_cores(amount) if self is _Resource.CORES else str(amount)


_RESOURCES = (_Resource.MEMORY, _Resource.CORES, _Resource.GPU)


def _numbers(process: str, resource: _Resource, needed: int, most: int) -> Mapping[str, Any]:
    named = {"process": process} if process else {}
    return {**named, "resource": resource.field, "needed": needed, "most": most}


def _amounts(resources: Resources) -> Mapping[str, int]:
    return {"microcores": resources.microcores, "memory_bytes": resources.memory_bytes, "gpus": resources.gpus}


def _best(rooms: Iterator[Resources]) -> Resources:
    best = Resources()
    for room in rooms:
        best = Resources(
            max(best.microcores, room.microcores),
            max(best.memory_bytes, room.memory_bytes),
            max(best.gpus, room.gpus),
        )
    return best


def _positive(room: Resources) -> Resources:
    return Resources(max(0, room.microcores), max(0, room.memory_bytes), max(0, room.gpus))
