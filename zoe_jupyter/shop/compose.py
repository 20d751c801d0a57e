"""Frameworks plus configuration become one application. Everything that is wrong is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from zoe_jupyter import plugins
from zoe_jupyter.model.application import Application, Context, Lifetime, LifetimeWith, OnLost, Process, Requirement
from zoe_jupyter.model.description import (
    EXTENSIONS,
    IN_CONTAINERS,
    FrameworkDescription,
    LifetimeDescription,
    UseDescription,
    ZAppDescription,
)
from zoe_jupyter.model.errors import InvalidDescription, NotFound
from zoe_jupyter.shop.catalogue import Catalogue, Entry
from zoe_jupyter.shop.descriptions import MAX_PROCESSES, check
from zoe_jupyter.shop.filling import Filler
from zoe_jupyter.shop.parameters import fill_parameters, secret_names
from zoe_jupyter.shop.parts import Part, connections_of, only_parameter, processes_of
from zoe_jupyter.shop.problems import Document, Findings, Path, close_names, shorten
from zoe_jupyter.shop.reading import document_of, read
from zoe_jupyter.shop.rehearsal import rehearse
from zoe_jupyter.shop.wiring import connection_names, find_cycle, provider_processes, wire


def compose(
    *,
    catalogue: Catalogue,
    use: str = "",
    zapp: Mapping[str, Any] | None = None,
    text: str = "",
    parameters: Mapping[str, Any] | None = None,
    user: Mapping[str, Any] | None = None,
    backend: str = "local",
) -> tuple[Application, dict[str, Any]]:
    """The application and its filled parameters.

    Exactly one of ``use``, ``zapp`` (a parsed tree) and ``text`` (YAML) says what to run. A framework that is named alone is the
    one-framework ZApp. Raises InvalidDescription with all problems, NotFound for an unknown entry.
    """
    entry, document = _what(catalogue, use, zapp, text)
    findings, given = Findings(document), Findings()
    if entry is not None and isinstance(entry.description, FrameworkDescription):
        description, filled = _alone(entry, parameters or {}, user or {})
    else:
        description = _described(entry, document, catalogue)
        filled = _filled(description, given, parameters or {}, user or {})
    try:
        parts = _parts(description, filled, catalogue, findings, user=user or {})
        wire(description, parts, findings)
        findings.raise_if_any()
        application = _application(
            description,
            parts,
            findings,
            user=user or {},
            backend=backend,
            values=filled,
            is_trusted=entry is None or entry.is_trusted,
        )
    except InvalidDescription as error:
        raise InvalidDescription([*given.problems, *error.problems]) from None
    given.raise_if_any()
    return application, filled


def _what(catalogue: Catalogue, use: str, zapp: Mapping[str, Any] | None, text: str) -> tuple[Entry | None, Document]:
    given = [name for name, value in (("use", use), ("zapp", zapp), ("text", text)) if value]
    if len(given) != 1:
        findings = Findings()
        findings.add(
            (), f"give either the name of a shop entry or a description, not {' and '.join(given) or 'neither'}"
        )
        findings.raise_if_any()
    if use:
        entry = catalogue.entry(use)
        if isinstance(entry.description, ZAppDescription):
            return entry, entry.document
        return entry, Document({}, file=entry.document.file)
    return None, read(text) if text else document_of(zapp)


def _alone(
    entry: Entry, parameters: Mapping[str, Any], user: Mapping[str, Any]
) -> tuple[ZAppDescription, dict[str, Any]]:
    """The one-framework ZApp. Its parameters are the framework's own."""
    framework = entry.description
    assert isinstance(framework, FrameworkDescription)
    findings = Findings()
    filled = fill_parameters(framework.parameters, parameters, findings=findings, path=("parameters",), user=user)
    findings.raise_if_any()
    ends_with = f"{framework.name}.{framework.ends_with}" if framework.ends_with else ""
    zapp = ZAppDescription(
        zoe=1, kind="zapp", name=framework.name, title=framework.title, frameworks=(UseDescription(use=framework.name),),
        ends_with=ends_with, lifetime=framework.lifetime, on_lost=framework.on_lost,
        priority=framework.priority, estimate=framework.estimate, weight=framework.weight,
    )  # fmt: skip
    return zapp, filled


def _described(entry: Entry | None, document: Document, catalogue: Catalogue) -> ZAppDescription:
    findings = Findings(document)
    try:
        description = entry.description if entry is not None else check(document)
    except InvalidDescription as error:
        findings.take(error.problems)
        _note_unknown_uses(catalogue, findings)
        raise InvalidDescription(findings.problems) from None
    if not isinstance(description, ZAppDescription):
        way = "put its folder into a source of the shop (c.Zoe.shop_sources)"
        findings.add(("kind",), f"is a framework, which cannot be run from a text; {way}")
        findings.raise_if_any()
        raise AssertionError
    return description


def _note_unknown_uses(catalogue: Catalogue, findings: Findings) -> None:
    """Of a description that is wrong elsewhere."""
    uses = findings.document.tree.get("frameworks") if isinstance(findings.document.tree, Mapping) else None
    for index, use in enumerate(uses if isinstance(uses, list) else ()):
        name = use.get("use") if isinstance(use, Mapping) else None
        if isinstance(name, str):
            _framework_entry(catalogue, name, findings, ("frameworks", index))


def _filled(
    description: ZAppDescription, given: Findings, parameters: Mapping[str, Any], user: Mapping[str, Any]
) -> dict[str, Any]:
    """The parameters; what is wrong with them is noted in ``given``, and the rest is then looked at with the defaults."""
    filled = fill_parameters(description.parameters, parameters, findings=given, path=("parameters",), user=user)
    if not given.problems:
        return filled
    without = Findings()
    filled = fill_parameters(description.parameters, {}, findings=without, user=user)
    if without.problems:
        given.raise_if_any()
    return filled


def _parts(
    zapp: ZAppDescription,
    filled: Mapping[str, Any],
    catalogue: Catalogue,
    findings: Findings,
    *,
    user: Mapping[str, Any],
) -> dict[str, Part]:
    is_alone = not findings.document.tree
    filler = Filler({"parameters": filled, "user": user}, findings)
    parts: dict[str, Part] = {}
    for index, use in enumerate(zapp.frameworks):
        path: Path = ("frameworks", index)
        entry = _framework_entry(catalogue, use.use, findings, path)
        if entry is None:
            continue
        framework = entry.description
        assert isinstance(framework, FrameworkDescription)
        own = findings.within(entry.document)
        if is_alone:
            parts[use.use] = Part(use.use, entry, framework, filled, own, deciding={name: name for name in filled})
            continue
        values = filler.tree(dict(use.parameters), (*path, "parameters"))
        if values is None:
            continue
        values = fill_parameters(framework.parameters, values, findings=findings, path=(*path, "parameters"), user=user)
        deciding = {name: only_parameter(value) for name, value in use.parameters.items()}
        parts[use.as_ or use.use] = Part(use.as_ or use.use, entry, framework, values, own, deciding=deciding)
    return parts


def _framework_entry(catalogue: Catalogue, name: str, findings: Findings, path: Path) -> Entry | None:
    try:
        entry = catalogue.entry(name)
    except NotFound as error:
        findings.add((*path, "use"), error.message)
        return None
    if entry.kind != "framework":
        findings.add((*path, "use"), f"{name} is a ZApp; a ZApp is made of frameworks")
        return None
    return entry


def _application(
    zapp: ZAppDescription,
    parts: Mapping[str, Part],
    findings: Findings,
    *,
    user: Mapping[str, Any],
    backend: str,
    values: Mapping[str, Any],
    is_trusted: bool,
) -> Application:
    names = connection_names(parts)
    processes = [
        process
        for part in parts.values()
        for process in processes_of(part, backend=backend, user=user, before=provider_processes(part, parts))
    ]
    filler = Filler({"parameters": values, "user": user}, findings)
    _check_processes(processes, findings)
    application = Application(
        name=zapp.name,
        title=filler.text(zapp.title, ("title",)) or zapp.name,
        processes=tuple(processes),
        contexts={alias: _context(part, names) for alias, part in parts.items()},
        connections=tuple(connection for part in parts.values() for connection in connections_of(part, names)),
        requires=_requires(parts, user),
        secrets=tuple(f"{alias}.{name}" for alias, part in parts.items() for name in part.secrets),
        certificates=tuple(f"{alias}.{name}" for alias, part in parts.items() for name in part.framework.certificates),
        ends_with=_ends_with(zapp, parts, findings),
        lifetime=_lifetime(zapp.lifetime, filler),
        on_lost=_on_lost(zapp, parts),
        priority=filler.text(zapp.priority, ("priority",)),
        estimate_s=None if zapp.estimate is None else filler.seconds(zapp.estimate, ("estimate",)),
        weight=filler.weight(zapp.weight, ("weight",)),
        activity=_activity(parts),
        extensions=_extensions(zapp, parts, findings),
        secret_parameters=_secret_parameters(zapp, parts),
        is_trusted=is_trusted and all(part.entry.is_trusted for part in parts.values()),
    )
    findings.raise_if_any()
    rehearse(application, parts, shows_environment=backend in IN_CONTAINERS)
    findings.raise_if_any()
    return application


def _secret_parameters(zapp: ZAppDescription, parts: Mapping[str, Part]) -> tuple[str, ...]:
    """Of the form that was filled: the ZApp's own, or that of the one framework that runs alone."""
    alone = next(iter(parts.values())).framework.parameters if len(parts) == 1 and not zapp.parameters else {}
    return tuple(sorted(secret_names(zapp.parameters) | secret_names(alone)))


def _check_processes(processes: list[Process], findings: Findings) -> None:
    if len(processes) > MAX_PROCESSES:
        findings.add(("frameworks",), f"are {len(processes)} processes together; at most {MAX_PROCESSES}")
    cycle = find_cycle(processes)
    if cycle:
        findings.add((), f"these wait for each other: {' after '.join(cycle)}")
    by_name = {process.name: process for process in processes}
    for process in processes:
        for other in process.after:
            if (
                process.core
                and other in by_name
                and not by_name[other].core
                and by_name[other].framework == process.framework
            ):
                findings.add(
                    ("processes", process.name, "after"), f"comes after {other}, which has no core services to wait for"
                )


def _context(part: Part, names: Mapping[tuple[str, str], str]) -> Context:
    accepts = {
        accepted: names[part.accepts[accepted]] if accepted in part.accepts else ""
        for accepted in part.framework.accepts
    }
    return Context(
        parameters=part.parameters, accepts=accepts, folder=str(part.entry.folder), framework=part.framework.name
    )


def _requires(parts: Mapping[str, Part], user: Mapping[str, Any]) -> Requirement:
    python: list[str] = []
    java: list[str] = []
    for part in parts.values():
        filler = Filler({"parameters": part.parameters, "user": user}, part.findings)
        wanted = part.framework.requires
        python += [filler.text(item, ("requires", "python", index)) for index, item in enumerate(wanted.python)]
        if wanted.java:
            java.append(filler.text(wanted.java, ("requires", "java")))
    return Requirement(python=tuple(dict.fromkeys(filter(None, python))), java=",".join(dict.fromkeys(java)))


def _ends_with(zapp: ZAppDescription, parts: Mapping[str, Part], findings: Findings) -> str:
    if not zapp.ends_with:
        return ""
    alias, _, process = zapp.ends_with.partition(".")
    if alias not in parts:
        findings.add(("ends_with",), f"there is no framework {shorten(alias)} here{close_names(alias, parts)}")
        return ""
    framework = parts[alias].framework
    process = (
        process or framework.ends_with or (next(iter(framework.processes)) if len(framework.processes) == 1 else "")
    )
    if process not in framework.processes:
        findings.add(
            ("ends_with",), f"name one process of {alias} as {alias}.NAME{close_names(process, framework.processes)}"
        )
        return ""
    return f"{alias}.{process}"


def _lifetime(written: LifetimeDescription | None, filler: Filler) -> Lifetime:
    if written is None:
        return Lifetime()
    return Lifetime(
        after_s=None if written.after is None else filler.seconds(written.after, ("lifetime", "after")),
        idle_s=None if written.idle is None else filler.seconds(written.idle, ("lifetime", "idle")),
        together_with=None if written.with_ is None else LifetimeWith(written.with_),
        grace_s=filler.seconds(written.grace, ("lifetime", "grace")),
    )


def _on_lost(zapp: ZAppDescription, parts: Mapping[str, Part]) -> OnLost:
    frameworks = [part.framework for part in parts.values()]
    if zapp.on_lost is not None:
        return OnLost(zapp.on_lost)
    wishes = {framework.on_lost for framework in frameworks} - {None}
    if not wishes:
        has_volumes = zapp.volumes is not None or any(framework.volumes is not None for framework in frameworks)
        return OnLost.WAIT if has_volumes else OnLost.RESTART
    return OnLost.WAIT if "wait" in wishes else OnLost.RESTART


def _activity(parts: Mapping[str, Part]) -> dict[str, Any]:
    """``{alias: {http: port or process.port, path, busy}}`` of the frameworks that say how to see whether they are busy."""
    written = {alias: part.framework.activity for alias, part in parts.items()}
    return {
        alias: {"http": how.http, "path": how.path, "busy": how.busy}
        for alias, how in written.items()
        if how is not None
    }


@cache
def _modules() -> list[str]:
    """Reading what is installed takes longer than all the rest; what is installed later counts after a restart."""
    return plugins.names("zoe_jupyter.modules")


def _extensions(zapp: ZAppDescription, parts: Mapping[str, Part], findings: Findings) -> dict[str, Any]:
    """Fields that belong to modules: those of the ZApp, else of its frameworks. Refused where the module is not installed."""
    installed = _modules()
    found: dict[str, Any] = {}
    for field, module in EXTENSIONS.items():
        owners: list[tuple[Any, Findings]] = [
            (zapp, findings),
            *((part.framework, part.findings) for part in parts.values()),
        ]
        for owner, where in owners:
            value = getattr(owner, field)
            if value is None:
                continue
            if module not in installed:
                where.add((field,), f"needs the module {module}, which this installation lacks; leave `{field}` out")
            found.setdefault(field, value)
    return found
