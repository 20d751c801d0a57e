"""From a document to a checked description: the shape by pydantic, then what only Zoe knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from zoe_jupyter.model import description as written
from zoe_jupyter.model.description import (
    CONTAINER,
    IN_CONTAINERS,
    FrameworkDescription,
    HealthDescription,
    ProcessDescription,
    ReadyDescription,
    ZAppDescription,
)
from zoe_jupyter.model.patterns import pattern_problem
from zoe_jupyter.shop.parameters import check_schema
from zoe_jupyter.shop.problems import Document, Findings, Path, close_names, shorten
from zoe_jupyter.shop.templates import check_syntax

MAX_PROCESSES = 64
NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}", re.ASCII)
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}", re.ASCII)
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_PROBES = ("tcp", "http", "log", "command")
_HEALTH_PROBES = ("tcp", "http", "command")
_MAX_TITLE = 200
T = TypeVar("T")

FRAMEWORK: TypeAdapter[FrameworkDescription] = TypeAdapter(FrameworkDescription)
ZAPP: TypeAdapter[ZAppDescription] = TypeAdapter(ZAppDescription)
_PROCESS: TypeAdapter[ProcessDescription] = TypeAdapter(ProcessDescription)


def check(document: Document) -> FrameworkDescription | ZAppDescription:
    """A description of either kind; raises InvalidDescription with everything that is wrong in it."""
    findings = Findings(document)
    kind = document.tree.get("kind") if isinstance(document.tree, Mapping) else None
    if not isinstance(document.tree, Mapping):
        findings.add((), "is not a description: a mapping is needed")
    elif kind not in ("framework", "zapp"):
        findings.add(("kind",), "is framework or zapp" if kind is None else f"{shorten(kind)} is not framework or zapp")
    findings.raise_if_any()
    if kind == "framework":
        return check_framework(document, findings)
    return check_zapp(document, findings)


def check_framework(document: Document, findings: Findings) -> FrameworkDescription:
    """A framework; raises InvalidDescription."""
    framework = _validated(FRAMEWORK, document.tree, findings)
    _check_head(document.tree, findings)
    check_templates(document.tree, findings)
    if framework is not None:
        _check_framework(framework, findings)
    findings.raise_if_any()
    assert framework is not None
    return framework


def check_zapp(document: Document, findings: Findings) -> ZAppDescription:
    """A ZApp, without a look at the frameworks that it uses; raises InvalidDescription."""
    zapp = _validated(ZAPP, document.tree, findings)
    _check_head(document.tree, findings)
    check_templates(document.tree, findings)
    if zapp is not None:
        check_schema(zapp.parameters, findings)
        _check_uses(zapp, findings)
    findings.raise_if_any()
    assert zapp is not None
    return zapp


def process_for(tree: Mapping[str, Any], backend: str, findings: Findings, path: Path) -> ProcessDescription | None:
    """A process as one backend will have it: its overrides merged in, and checked again."""
    merged: dict[str, Any] = {**tree, "backends": {}}
    for name in (CONTAINER, backend) if backend in IN_CONTAINERS else (backend,):
        override = (tree.get("backends") or {}).get(name) or {}
        merged |= {key: _merged(merged.get(key), value) for key, value in override.items()}
    return _validated(_PROCESS, merged, findings, at=path)


def _merged(old: Any, new: Any) -> Any:
    return {**old, **new} if isinstance(old, Mapping) and isinstance(new, Mapping) else new


def _validated(adapter: TypeAdapter[T], tree: Any, findings: Findings, at: Path = ()) -> T | None:
    try:
        return adapter.validate_python(tree)
    except ValidationError as error:
        for detail in error.errors(include_url=False, include_context=True):
            _note(detail, tree, findings, at)
        return None


_SHAPES = {
    "tuple_type": "a list",
    "list_type": "a list",
    "dict_type": "a mapping of names to values",
    "mapping_type": "a mapping of names to values",
    "dataclass_type": "a mapping of names to values",
}
"""In words of YAML, not of Python."""


def _note(detail: Any, tree: Any, findings: Findings, at: Path) -> None:
    place = _place(detail["loc"], tree, detail["type"])
    kind, value = detail["type"], detail.get("input")
    name = place[-1] if place else ""
    if kind in ("missing", "missing_argument", "missing_keyword_only_argument"):
        message = "is required"
    elif kind in ("unexpected_keyword_argument", "extra_forbidden"):
        message = f"is not a field here{close_names(str(name), _field_names()).partition('; there is')[0]}"
    elif kind == "literal_error":
        message = f"{shorten(value)} is not {detail['ctx']['expected'].replace(chr(39), '')}"
    elif kind == "string_type":
        hint = '; write it in quotes: "…"' if isinstance(value, int | float) else ""
        message = f"{shorten(value)} is not text{hint}"
    elif kind in _SHAPES:
        message = f"should be {_SHAPES[kind]}, not {shorten(value)}"
    else:
        message = f"{detail['msg'].replace('Input should', 'should')}, not {shorten(value)}"
    findings.add((*at, *place), message)


def _place(location: Iterable[str | int], tree: Any, kind: str) -> Path:
    """The part of pydantic's location that names fields: what it adds for unions is left out."""
    place: list[str | int] = []
    value = tree
    steps = list(location)
    for number, step in enumerate(steps):
        if _has(value, step):
            value = value[step]
        elif "missing" not in kind or number != len(steps) - 1:
            continue
        place.append(step)
    return tuple(place)


def _has(value: Any, step: str | int) -> bool:
    if isinstance(value, Mapping):
        return step in value
    return isinstance(value, list | tuple) and isinstance(step, int) and step < len(value)


@cache
def _field_names() -> frozenset[str]:
    kinds = [kind for kind in vars(written).values() if isinstance(kind, type) and is_dataclass(kind)]
    return frozenset(field.name.removesuffix("_") for kind in kinds for field in fields(kind))


def _check_head(tree: Mapping[str, Any], findings: Findings) -> None:
    _check_name(tree.get("name"), ("name",), findings)
    for field in ("title", "summary", "version"):
        text = tree.get(field)
        if isinstance(text, str) and (len(text) > _MAX_TITLE or not text.isprintable()):
            findings.add((field,), f"is one line of at most {_MAX_TITLE} characters")


def _check_name(name: Any, path: Path, findings: Findings, *, like: re.Pattern[str] = NAME) -> None:
    if isinstance(name, str) and not like.fullmatch(name):
        findings.add(path, f"{shorten(name)} is not a name: {like.pattern}")


def check_templates(tree: Mapping[str, Any], findings: Findings) -> None:
    """Note every template that is no valid expression. Schemas of parameters hold none."""
    stack: list[tuple[Any, Path]] = [(value, (key,)) for key, value in tree.items() if key != "parameters"]
    while stack:
        value, path = stack.pop()
        if isinstance(value, Mapping):
            stack.extend((item, (*path, key)) for key, item in value.items())
        elif isinstance(value, list | tuple):
            stack.extend((item, (*path, index)) for index, item in enumerate(value))
        elif isinstance(value, str):
            problem = "has a NUL character" if "\0" in value else check_syntax(value) if "{{" in value else ""
            if problem:
                findings.add(path, problem)


def _check_framework(framework: FrameworkDescription, findings: Findings) -> None:
    check_schema(framework.parameters, findings)
    if not framework.processes:
        findings.add(("processes",), "a framework has at least one process")
    if len(framework.processes) > MAX_PROCESSES:
        findings.add(("processes",), f"a framework has at most {MAX_PROCESSES} processes")
    for name, process in framework.processes.items():
        _check_name(name, ("processes", name), findings)
        check_process(process, ("processes", name), findings, known=framework.processes)
        _check_overrides(name, findings)
    _check_provides(framework, findings)
    if framework.ends_with and framework.ends_with not in framework.processes:
        close = close_names(framework.ends_with, framework.processes)
        findings.add(("ends_with",), f"there is no process {shorten(framework.ends_with)}{close}")


def _check_overrides(name: str, findings: Findings) -> None:
    tree = findings.document.tree["processes"][name]
    for backend in tree.get("backends") or {}:
        place: Path = ("processes", name, "backends", backend)
        process = process_for(tree, backend, findings, place)
        if process is not None:
            check_process(process, place, findings, known=findings.document.tree["processes"])


def check_process(process: ProcessDescription, path: Path, findings: Findings, *, known: Iterable[str]) -> None:
    """Note what is wrong with one process beside its shape."""
    names = set(known)
    if not process.command or not process.command[0].strip():
        findings.add((*path, "command"), "needs a program")
    for index, other in enumerate(process.after):
        if other not in names:
            findings.add((*path, "after", index), f"there is no process {shorten(other)}{close_names(other, names)}")
    for port in process.ports:
        _check_name(port, (*path, "ports", port), findings, like=_WORD)
    for variable in process.environment:
        _check_name(variable, (*path, "environment", variable), findings, like=_VARIABLE)
    for file in process.files:
        _check_name(file, (*path, "files", file), findings, like=_FILE)
    if process.ready is not None:
        _check_ready(process.ready, process.ports, (*path, "ready"), findings)
    if process.health is not None:
        _check_proof(process.health, _HEALTH_PROBES, process.ports, (*path, "health"), findings)


def _check_proof(
    proof: ReadyDescription | HealthDescription,
    kinds: Sequence[str],
    ports: Iterable[str],
    path: Path,
    findings: Findings,
) -> None:
    chosen = [kind for kind in kinds if getattr(proof, kind)]
    if len(chosen) != 1:
        findings.add(path, f"needs exactly one of {', '.join(kinds)}; it has {' and '.join(chosen) or 'none'}")
    port = proof.tcp or proof.http.partition("/")[0]
    if port and port not in ports:
        findings.add(
            (*path, "tcp" if proof.tcp else "http"), f"there is no port {shorten(port)}{close_names(port, ports)}"
        )


def _check_ready(ready: ReadyDescription, ports: Iterable[str], path: Path, findings: Findings) -> None:
    _check_proof(ready, _PROBES, ports, path, findings)
    if ready.log:
        problem = pattern_problem(ready.log)
        if problem:
            findings.add((*path, "log"), problem)


def _check_provides(framework: FrameworkDescription, findings: Findings) -> None:
    for field in ("secrets", "certificates"):
        for index, secret in enumerate(getattr(framework, field)):
            _check_name(secret, (field, index), findings, like=_WORD)
    for name, provided in framework.provides.items():
        _check_name(name, ("provides", name), findings, like=_WORD)
        secrets = provided.get("secret", [])
        if not isinstance(secrets, list) or not all(isinstance(secret, str) for secret in secrets):
            findings.add(("provides", name, "secret"), "is a list of names")
            continue
        for index, secret in enumerate(secrets):
            _check_name(secret, ("provides", name, "secret", index), findings, like=_WORD)
        if not isinstance(provided.get("kind", name), str):
            findings.add(("provides", name, "kind"), "is the name of an attach kind")
    for name in framework.accepts:
        _check_name(name, ("accepts", name), findings, like=_WORD)


def _check_uses(zapp: ZAppDescription, findings: Findings) -> None:
    if not zapp.frameworks and not zapp.workflow:
        findings.add(("frameworks",), "a ZApp has at least one framework")
    seen: set[str] = set()
    for index, use in enumerate(zapp.frameworks):
        alias = use.as_ or use.use
        field = "as" if use.as_ else "use"
        _check_name(alias, ("frameworks", index, field), findings)
        if alias in seen:
            findings.add(
                ("frameworks", index, field), f"{alias} is there already; give this one another name with `as`"
            )
        seen.add(alias)
