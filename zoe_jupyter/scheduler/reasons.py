"""Why an execution waits, or can never run: a stable code, a sentence with the numbers and the way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.model.units import format_bytes, format_cores, format_duration
from zoe_jupyter.scheduler.admission import Denial, Whose
from zoe_jupyter.scheduler.placement import Need, fits
from zoe_jupyter.scheduler.searching import search
from zoe_jupyter.scheduler.snapshot import Demand, ExecutionId
from zoe_jupyter.scheduler.space import Free, Machines, Shape, Space


class Code(str, Enum):
    """Stable; those of one execution are told in this order, the first that is true as the primary one."""

    BACKEND_UNREACHABLE = "backend_unreachable"
    MISCONFIGURED = "misconfigured"
    NO_MATCHING_NODE = "no_matching_node"
    EXCEEDS_EVERY_NODE = "exceeds_every_node"
    EXCEEDS_CLUSTER = "exceeds_cluster"
    NODE_CLOSES = "node_closes"
    START_FAILED = "start_failed"
    BEGINS_LATER = "begins_later"
    QUOTA = "quota"
    RESERVED = "reserved"
    BEHIND_OTHERS = "behind_others"
    WAITS_FOR_RESOURCES = "waits_for_resources"


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
    reason = _never_fits(needs, machines)
    if reason is not None and (avoided := _avoided(needs)):
        reason = _never_fits(_anywhere(needs, machines), machines) or _node_closes(avoided)
    return reason


def closes_too_soon(needs: Sequence[Need], machines: Machines, space: Space) -> Reason | None:
    """There would be room, but with nodes that are taken out of use before it is over; None: not even with those."""
    avoided = _avoided(needs)
    if not avoided or fits(_anywhere(needs, machines), machines, space, {}) is None:
        return None
    return _node_closes(avoided)


def _never_fits(needs: Sequence[Need], machines: Machines) -> Reason | None:
    free = machines.free(machines.capacity)
    for process, shape, _ in needs:
        if not shape.nodes:
            return _no_matching_node(_demand(process, shape), machines)
        if not machines.capacity.has_any(shape):
            return _unit(
                Code.EXCEEDS_EVERY_NODE, _demand(process, shape), free, [machines.nodes[node] for node in shape.nodes]
            )
    if not any(find(needs, machines, machines.capacity, {}) is not None for find in (fits, search)):
        return _together(Code.EXCEEDS_CLUSTER, needs, machines, free)
    return None


def _avoided(needs: Sequence[Need]) -> frozenset[str]:
    return frozenset[str]().union(*(shape.demand.avoids for _, shape, _ in needs))


def _anywhere(needs: Sequence[Need], machines: Machines) -> list[Need]:
    """As if no node closed too soon."""
    return [
        (process, machines.shape(replace(shape.demand, avoids=frozenset())), count) for process, shape, count in needs
    ]


def _node_closes(avoided: frozenset[str]) -> Reason:
    names = ", ".join(sorted(avoided)[:3]) + (f" and {len(avoided) - 3} more" if len(avoided) > 3 else "")
    text = f"it may go on for longer than {names} may be used, and there is no room elsewhere; say a shorter estimate, or wait"
    return Reason(Code.NODE_CLOSES.value, text, {"nodes": sorted(avoided)})


def lacks_room(needs: Sequence[Need], machines: Machines, space: Space, *, is_room_coming: bool) -> Reason:
    """Why these needs cannot be met now."""
    if not machines.nodes:
        return Reason(Code.NO_MATCHING_NODE.value, "no machine takes work at the moment; wait, or ask the admin", {})
    reason = _first_lack(needs, machines, space)
    if is_room_coming:
        reason = replace(reason, text=f"{reason.text.partition('; ')[0]}; room is being made for it")
    return reason


def behind(position: int, first: ExecutionId) -> Reason:
    """Others are served before it; ``position`` counts from 1."""
    ahead = position - 1
    others = "1 execution is" if ahead == 1 else f"{ahead} executions are"
    return Reason(Code.BEHIND_OTHERS.value, f"{others} before it; wait for its turn", {"ahead": ahead, "first": first})


def unreachable(why: str = "") -> Reason:
    told = f": {why}" if why else ", so that nothing can be started"
    text = f"the machines cannot be reached{told}; it starts when they answer again"
    return Reason(Code.BACKEND_UNREACHABLE.value, text, {})


def delayed(wait_s: float, *, failed_starts: int) -> Reason:
    """It is to be tried later: since its start failed, or since somebody asked for it."""
    wait = format_duration(wait_s)
    if failed_starts:
        times = "its last start failed" if failed_starts == 1 else f"its last {failed_starts} starts failed"
        numbers = {"retry_in_s": wait_s, "failed_starts": failed_starts}
        return Reason(Code.START_FAILED.value, f"{times}; the next try is in {wait}", numbers)
    return Reason(Code.BEGINS_LATER.value, f"it begins in {wait}", {"begins_in_s": wait_s})


def reserved(first: ExecutionId, at: float, now: float, *, is_known: bool) -> Reason:
    """It would fit, in room that is kept for another. ``is_known`` tells whether anybody knows how long it would take."""
    starts_in_s = at - now if now < at < float("inf") else None
    if starts_in_s is None:
        why = "nobody knows when that one can start"
    elif not is_known:
        why = "nobody knows how long this one takes: say it with an estimate"
    else:
        why = f"this one might not be over in {format_duration(starts_in_s)}, when that one starts"
    numbers = {"first": first} | ({} if starts_in_s is None else {"starts_in_s": starts_in_s})
    return Reason(
        Code.RESERVED.value, f"there would be room, but it is kept for an execution before it; {why}", numbers
    )


_QUOTA = ("executions", "cores", "memory", "gpu")
_LIMITS = {
    Whose.USER: "the limit of {name}",
    Whose.GROUP: "the limit of the group {name}",
    Whose.LENT_BY_USERS: "what the users of the group {name} leave each other",
    Whose.LENT_BY_GROUPS: "what the groups leave each other",
}


def over_quota(denial: Denial, *, is_room_coming: bool = False) -> Reason:
    """Held, asked for and allowed, and whose limit it is."""
    name, limit = _QUOTA[denial.resource], _LIMITS[denial.whose].format(name=denial.name)
    amounts = (denial.held - denial.kept, denial.asked, denial.limit, denial.kept)
    held, asked, most, kept = (_say(name, amount) for amount in amounts)
    taken = f"{held} of {most}{{}} are taken" + (f" and {kept} kept for what waits before it" if denial.kept else "")
    if denial.is_for_good:
        text = f"asks for {asked} of {name}, {limit} is {most}; lower what it asks for, or ask the admin"
    elif name == "executions":
        when = "one ends" if denial.held <= denial.limit and not denial.kept else "enough have ended"
        text = f"{taken.format(' executions')}, {limit}; it starts when {when}"
    else:
        text = f"asks for {asked} of {name}, {taken.format('')}, {limit}; it starts when enough is given back"
    if is_room_coming:
        text = f"{text.partition('; ')[0]}; room is being made for it"
    numbers = {
        "resource": name,
        "held": int(denial.held - denial.kept),
        "asked": int(denial.asked),
        "limit": int(denial.limit),
    }
    if denial.kept:
        numbers["kept"] = int(denial.kept)
    return Reason(Code.QUOTA.value, text, {**numbers, "of": denial.whose.value, "name": denial.name})


def _say(name: str, amount: float) -> str:
    if name == "memory":
        return format_bytes(int(amount))
    return format_cores(int(amount)) if name == "cores" else str(int(amount))


def _first_lack(needs: Sequence[Need], machines: Machines, space: Space) -> Reason:
    free = machines.free(space)
    for process, shape, _ in needs:
        if not space.has_any(shape):
            demand = _demand(process, shape)
            nodes = [machines.nodes[node] for node in shape.nodes]
            if any(demand.resources.fits_in(free[node.name]) for node in nodes):
                return _ports_taken(demand)
            return _unit(Code.WAITS_FOR_RESOURCES, demand, free, nodes)
    return _together(Code.WAITS_FOR_RESOURCES, needs, machines, free)


def _demand(process: str, shape: Shape) -> Demand:
    return replace(shape.demand, process=process)


def _ports_taken(demand: Demand) -> Reason:
    ports = ", ".join(map(str, sorted(demand.host_ports)))
    text = f"{demand.process} needs the ports {ports} of a node, and they are taken wherever there is room; wait"
    return Reason(Code.WAITS_FOR_RESOURCES.value, text, {"process": demand.process, "ports": sorted(demand.host_ports)})


def _no_matching_node(demand: Demand, machines: Machines) -> Reason:
    names = ", ".join(sorted(demand.nodes))
    labels = ", ".join(f"{name}={value}" for name, value in sorted(demand.labels.items()))
    numbers = {"process": demand.process, "labels": dict(demand.labels), "nodes": sorted(demand.nodes)}
    is_there = any(node.name in demand.nodes for node in machines.nodes)
    if labels and is_there:
        text = f"{demand.process} can only be on {names}, and needs a node with the labels {labels}: these exclude each other; change one of them"
        return Reason(Code.MISCONFIGURED.value, text, numbers)
    if names:
        text = f"{demand.process} can only be on {names}, and no such machine takes work; wait for it, or ask the admin"
    else:
        text = f"{demand.process} needs a node with the labels {labels}, and there is none; change the labels, or ask the admin"
    return Reason(
        Code.NO_MATCHING_NODE.value, text, numbers if names else {k: v for k, v in numbers.items() if k != "nodes"}
    )


def _unit(code: Code, demand: Demand, free: Free, nodes: Sequence[Node]) -> Reason:
    """One service is too large for each of the nodes."""
    is_never = code is Code.EXCEEDS_EVERY_NODE
    has_others = is_never and any(node.whole and demand.resources.fits_in(node.whole) for node in nodes)
    way_out = "" if is_never and not has_others else " or wait"
    best = _best(free[node.name] for node in nodes)
    for resource in _RESOURCES:
        needed, most = resource.of(demand.resources), resource.of(best)
        if needed > most:
            where = "the largest node has" if is_never else "the best node has"
            state = " beside what is not Zoe's" if has_others else "" if is_never else " free"
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
    way_out = "" if is_never and not any(node.whole for node in machines.nodes) else " or wait"
    wanted = sum((shape.demand.resources * count for _, shape, count in needs), Resources())
    there = sum((_positive(free[node.name]) for node in machines.nodes), Resources())
    count = sum(number for _, _, number in needs)
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
    if count == 1:
        return _beside_its_own(*needs[0][:2])
    where = "" if is_never else " of what is free"
    text = f"its {count} services do not fit on the nodes{where}, although there is enough in all; lower what each needs{way_out}"
    return Reason(code.value, text, {"services": count, **_amounts(wanted)})


def _beside_its_own(process: str, shape: Shape) -> Reason:
    """One service has room, and must not lie there: others of its process do."""
    text = f"{process} has to lie apart from the others of its kind, and there is room beside those only; wait"
    return Reason(Code.WAITS_FOR_RESOURCES.value, text, {"services": 1, **_amounts(shape.demand.resources)})


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
