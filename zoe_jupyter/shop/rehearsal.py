"""Renders all that is rendered at launch with made-up addresses, so that a misspelt name is told at submit, with its line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoe_jupyter.model.application import Application, ConnectionTemplate, Process
from zoe_jupyter.shop.filling import Filler
from zoe_jupyter.shop.parameters import secret_names
from zoe_jupyter.shop.parts import Part
from zoe_jupyter.shop.problems import Findings, Path, shorten

_HOST = "127.0.0.1"
_PORT = 40000
_SECRET = "secret-of-the-rehearsal-" + "s" * 19
_READABLE = "has a secret, and everybody on this machine can read the arguments of a process: pass it in `files`"
_SHOWN = "has a secret, and whatever a service starts there inherits its environment: pass it in `files`"
_ASKED = "has a secret, and many may see what a service is asked: ask for a page that needs none, or by a `command` that reads it in `files`"


def rehearse(application: Application, parts: Mapping[str, Part], *, shows_environment: bool = False) -> None:
    """Note every launch-time template that cannot be filled; ``shows_environment``: it may hold no secret."""
    for connection in application.connections:
        part = parts[connection.framework]
        values = _shared(application, part, parts)
        Filler(values, part.findings).tree(dict(connection.values), ("provides", _provided(part, connection)))
    for process in application.processes:
        part = parts[process.framework]
        context = _shared(application, part, parts) | _own(process)
        _process(process, context, part.findings)
        if shows_environment:
            _no_secrets(process, context, part.findings)


def _process(process: Process, context: Mapping[str, Any], findings: Findings) -> None:
    path: Path = ("processes", process.name.partition(".")[2])
    filler = Filler(context, findings)
    _arguments(filler, list(process.command), (*path, "command"))
    _texts(filler, dict(process.environment), (*path, "environment"))
    _texts(filler, dict(process.files), (*path, "files"))
    if process.drain is not None:
        _arguments(filler, list(process.drain.command), (*path, "drain", "command"))
    if process.ready is not None:
        _page(filler, process.ready.http, (*path, "ready", "http"))
        _arguments(filler, list(process.ready.command), (*path, "ready", "command"))
    if process.health is not None:
        _page(filler, process.health.probe.http, (*path, "health", "http"))
        _arguments(filler, list(process.health.probe.command), (*path, "health", "command"))
    proxy = Filler({key: value for key, value in context.items() if key not in _OWN}, findings)
    for name, port in process.ports.items():
        _texts(proxy, {"headers": dict(port.headers)}, (*path, "ports", name))


def _no_secrets(process: Process, context: Mapping[str, Any], findings: Findings) -> None:
    """In the environment; what cannot be filled was told already."""
    filled = Filler(context, Findings()).tree(dict(process.environment), ()) or {}
    for name, value in filled.items():
        if _SECRET in str(value):
            findings.add(("processes", process.name.partition(".")[2], "environment", name), _SHOWN)


def _arguments(filler: Filler, command: list[str], path: Path) -> None:
    """Fill a command; none of its words may have a secret."""
    for index, word in enumerate(_texts(filler, command, path) or ()):
        if _SECRET in str(word):
            filler.findings.add((*path, index), _READABLE)


def _page(filler: Filler, page: str, path: Path) -> None:
    """Fill what is asked for; it is seen in labels, logs of servers and reasons."""
    if _SECRET in str(_texts(filler, page, path)):
        filler.findings.add(path, _ASKED)


def _texts(filler: Filler, values: Any, path: Path) -> Any:
    """Fill and note what gives a list or mapping where a text is needed; what it gives, None when it cannot be filled."""
    filled = filler.tree(values, path)
    stack: list[tuple[Any, Any, Path]] = [(values, filled, path)]
    while stack and filled is not None:
        raw, value, place = stack.pop()
        if isinstance(raw, dict):
            stack.extend((raw[key], value[key], (*place, key)) for key in raw)
        elif isinstance(raw, list):
            stack.extend((item, value[index], (*place, index)) for index, item in enumerate(raw))
        elif isinstance(value, list | Mapping):
            filler.findings.add(place, f"gives {shorten(value)} where text is needed; use | json or | join(',')")
        elif isinstance(value, str) and "\0" in value:
            filler.findings.add(place, "has a NUL character")
    return filled


_OWN = ("host", "ports", "files", "service", "resources")


def _own(process: Process) -> dict[str, Any]:
    resources = process.resources
    return {
        "host": _HOST,
        "ports": {name: _PORT + index for index, name in enumerate(process.ports)},
        "files": {name: f"/zoe/{process.name}-0/{name}" for name in process.files},
        "service": {"name": f"{process.name}-0", "index": 0, "attempt": 1},
        "resources": {
            "cores": resources.microcores / 1_000_000,
            "memory": resources.memory_bytes,
            "gpus": resources.gpus,
        },
    }


def _shared(application: Application, part: Part, parts: Mapping[str, Part]) -> dict[str, Any]:
    return _plain(application.processes, part) | {"accepts": _accepts(application, part, parts)}


def _plain(processes: Sequence[Process], part: Part) -> dict[str, Any]:
    return {
        "parameters": dict(part.parameters) | dict.fromkeys(secret_names(part.framework.parameters), _SECRET),
        "python": "/zoe/bin/python",
        "java": "/zoe/bin/java",
        "folder": str(part.entry.folder),
        "processes": {
            process.name.partition(".")[2]: {
                "host": _HOST,
                "ports": {name: _PORT + index for index, name in enumerate(process.ports)},
                "hosts": [_HOST] * min(process.core, 10),
            }
            for process in processes
            if process.framework == part.alias and process.core
        },
        "accepts": {},
        "secrets": dict.fromkeys(part.secrets, _SECRET),
        "execution": {"id": "e" * 26, "name": "rehearsal", "owner": "somebody"},
        "notebook": {"cwd": "/zoe"},
    }


def _accepts(application: Application, part: Part, parts: Mapping[str, Part]) -> dict[str, Any]:
    filled: dict[str, Any] = dict.fromkeys(part.framework.accepts)
    for accepted, (alias, provided) in part.accepts.items():
        provider = parts[alias]
        connection = next(
            c for c in application.connections if c.framework == alias and _provided(provider, c) == provided
        )
        quiet = Filler(_plain(application.processes, provider) | {"accepts": {}}, Findings())
        values = quiet.tree(dict(connection.values), ()) or {}
        filled[accepted] = {**values, **dict.fromkeys(connection.secrets, _SECRET)}
    return filled


def _provided(part: Part, connection: ConnectionTemplate) -> str:
    return connection.name.rpartition(".")[2]
