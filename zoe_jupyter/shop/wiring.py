"""Which framework's connection goes into which: resolves ``connect``, orders processes accordingly, names connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from zoe_jupyter.model.application import Process
from zoe_jupyter.model.description import ZAppDescription
from zoe_jupyter.shop.parts import Part
from zoe_jupyter.shop.problems import Findings, Path, close_names, shorten


def wire(zapp: ZAppDescription, parts: Mapping[str, Part], findings: Findings) -> None:
    """Put into each part what its accepted names are connected to; notes what cannot be, and what is lacking."""
    for index, use in enumerate(zapp.frameworks):
        part = parts.get(use.as_ or use.use)
        if part is None:
            continue
        place: Path = ("frameworks", index, "connect")
        for accepted, target in use.connect.items():
            if accepted not in part.framework.accepts:
                close = close_names(accepted, part.framework.accepts)
                findings.add((*place, accepted), f"{part.alias} accepts no {shorten(accepted)}{close}")
                continue
            _connect(part, accepted, target, parts, findings, (*place, accepted))
        _note_lacking(part, use.connect, parts, findings, place)


def _connect(
    part: Part, accepted: str, target: str, parts: Mapping[str, Part], findings: Findings, place: Path
) -> None:
    alias, _, provided = target.partition(".")
    provider = parts.get(alias)
    if provider is None or provider is part:
        findings.add(
            place, f"there is no other framework {shorten(alias)} here{close_names(alias, set(parts) - {part.alias})}"
        )
        return
    provides = provider.framework.provides
    if not provided and len(provides) == 1:
        provided = next(iter(provides))
    if provided not in provides:
        what = f"provides no {shorten(provided)}" if provided else "provides several things, name one as alias.name"
        findings.add(place, f"{alias} {what}{close_names(provided, provides)}")
        return
    wanted = part.framework.accepts[accepted].kind or accepted
    given = str(provides[provided].get("kind", provided))
    if wanted != given:
        findings.add(place, f"{alias}.{provided} is of kind {given}, and {part.alias} accepts {wanted} here")
        return
    part.accepts[accepted] = (alias, provided)


def _note_lacking(
    part: Part, connect: Mapping[str, str], parts: Mapping[str, Part], findings: Findings, place: Path
) -> None:
    for name, accepted in part.framework.accepts.items():
        if accepted.optional or name in connect:
            continue
        kind = accepted.kind or name
        offers = sorted(
            f"{alias}.{provided}"
            for alias, other in parts.items()
            for provided, values in other.framework.provides.items()
            if other is not part and values.get("kind", provided) == kind
        )
        way = (
            f"write `connect: {{{name}: {offers[0]}}}`"
            if offers
            else f"add a framework that provides {kind}, and connect it"
        )
        findings.add((*place, name), f"{part.alias} lacks a connection of kind {kind}; {way}")


def provider_processes(part: Part, parts: Mapping[str, Part]) -> tuple[str, ...]:
    """Full names of the processes that must be ready before any of this part starts."""
    aliases = dict.fromkeys(alias for alias, _ in part.accepts.values())
    return tuple(f"{alias}.{name}" for alias in aliases for name in parts[alias].framework.processes)


def connection_names(parts: Mapping[str, Part]) -> dict[tuple[str, str], str]:
    """``{(alias, provided name): name}``: the provided name where it is the only one, else ``alias.name``."""
    provided = [(alias, name) for alias, part in parts.items() for name in part.framework.provides]
    counts = Counter(name for _, name in provided)
    return {(alias, name): name if counts[name] == 1 else f"{alias}.{name}" for alias, name in provided}


def find_cycle(processes: Sequence[Process]) -> list[str]:
    """A cycle in what comes after what, as names; empty when there is none."""
    after = {process.name: list(process.after) for process in processes}
    done: set[str] = set()
    for start in after:
        trail: list[str] = []
        stack = [(start, False)]
        while stack:
            name, is_left = stack.pop()
            if is_left:
                trail.pop()
                done.add(name)
            elif name in trail:
                return [*trail[trail.index(name) :], name]
            elif name not in done and name in after:
                trail.append(name)
                stack.append((name, True))
                stack.extend((other, False) for other in after[name])
    return []
