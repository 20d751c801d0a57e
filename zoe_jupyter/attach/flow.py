"""From ``attach spark`` to a session in the namespace: find or start the execution, wait, compare versions, connect, hold a lease."""

from __future__ import annotations

import keyword
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from zoe_jupyter.attach import registry
from zoe_jupyter.attach.base import Attach
from zoe_jupyter.attach.heartbeat import TTL_S, Heartbeat
from zoe_jupyter.attach.kinds import find_kind, kind_names
from zoe_jupyter.attach.registry import Attachment
from zoe_jupyter.attach.watch import watcher
from zoe_jupyter.client.api import Api
from zoe_jupyter.client.facts import OUTSIDE
from zoe_jupyter.client.http import Http, Json
from zoe_jupyter.client.verbs.session import Interrupted, Session, is_running
from zoe_jupyter.client.verbs.submit import failure_text, submission_of
from zoe_jupyter.model.errors import Conflict, Forbidden, NotFound, UserError, ZoeError

Plans = Mapping[str, tuple[Attach, str]]
"""By connection: how to attach it, and the variable to set."""
LIFETIME = {"with": "kernel", "grace": "10m"}


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for."""

    target: str = ""
    """An entry of the shop, or the name or id of what runs; empty: what this notebook has."""
    variable: str = ""
    connection: str = ""
    parameters: Mapping[str, Any] | None = None
    name: str = ""
    lifetime: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What to attach to: an execution that lives, or an entry to start."""

    execution: Json | None
    entry: str
    connections: tuple[str, ...]
    others: tuple[str, ...] = ()
    """How to name those of other notebooks, to share one of them."""


@dataclass(frozen=True, slots=True)
class Attached:
    execution: Mapping[str, Any]
    attachments: Sequence[Attachment]
    is_new: bool
    """Whether the execution was started for this."""
    others: tuple[str, ...] = ()


def attach(session: Session, wish: Wish) -> Attached:
    """Attach this kernel. Nothing is started when a version would break or a variable is the user's own; raises UserError that says so."""
    found = find(session, wish)
    chosen = _chosen(found.connections, wish.connection)
    plans = {name: _planned(session, name, wish) for name in chosen}
    if found.execution is None:
        _check_early(session, found, plans)
        _check_ahead(session, wish, plans)
    thread = _prepare(kind for kind, _ in plans.values())
    execution = _up(session, found, wish)
    try:
        connections = {name: session.api.connection(execution["id"], name) for name in plans}
        _check_late(session, found, execution, plans=plans, connections=connections)
        session.screen.say("connecting")
        thread.join()
        made = _connect_all(session, execution, plans=plans, connections=connections)
    except KeyboardInterrupt:
        raise Interrupted(
            f"stopped connecting; {execution['name']} goes on. `{session.command} stop {execution['name']}` ends it"
        ) from None
    session.screen.say("connected")
    return Attached(execution, made, is_new=found.execution is None, others=found.others)


def detach(session: Session, name: str = "") -> list[Attachment]:
    """Let go of one execution, or of all; they go on as their lifetime says."""
    found = registry.attachments(name)
    if name and not found:
        raise NotFound(
            f"this kernel is not attached to {name!r}; it is attached to: {', '.join(registry.names()) or 'nothing'}"
        )
    for attachment in found:
        registry.drop(attachment, session.namespace, session.api)
        watcher().forget(attachment.execution_id)
    return found


def let_go(session: Session, execution_id: str) -> None:
    """Detach from an execution that the user has stopped from here: its end is no news, and there is nothing to wait for."""
    watcher().forget(execution_id)
    registry.mark_ended(execution_id)
    for attachment in registry.attachments(execution_id):
        registry.drop(attachment, session.namespace, session.api)


def find(session: Session, wish: Wish) -> Found:
    """This notebook's own of that entry or name; else the entry, to be started; else what runs under that name."""
    live = [execution for execution in session.live() if execution["state"] != "stopping"]
    mine = [execution for execution in live if session.facts.owns(execution) and _could_attach(execution)]
    if not wish.target:
        return _existing(_only(session, mine or [execution for execution in live if _could_attach(execution)]))
    own = [execution for key in ("id", "name", "entry") for execution in mine if execution[key] == wish.target]
    if own and not wish.name:
        return _existing(own[0])
    entry = _entry(session, wish.target)
    if entry is None:
        return _existing(_named(session, live, wish.target))
    others = tuple(
        _way_to_name(execution)
        for execution in live
        if execution.get("entry") == wish.target and not session.facts.owns(execution)
    )
    return Found(None, wish.target, tuple(entry["connections"]), others)


def _entry(session: Session, name: str) -> Json | None:
    try:
        found: Json = session.api.entry(name)["entry"]
    except NotFound:
        return None
    return found


def _existing(execution: Json) -> Found:
    return Found(execution, str(execution.get("entry") or execution["name"]), tuple(execution["connections"]))


def _could_attach(execution: Mapping[str, Any]) -> bool:
    return any(find_kind(name) is not None for name in execution.get("connections") or ())


def _only(session: Session, found: Sequence[Json]) -> Json:
    if len(found) == 1:
        return found[0]
    if found:
        raise Conflict(f"say which: {', '.join(_way_to_name(execution) for execution in found)}")
    raise NotFound(
        f"nothing is running that a notebook can attach to; start something with `{session.command} attach spark`"
    )


def _named(session: Session, live: Sequence[Json], name: str) -> Json:
    for execution in live:
        if name in (execution["name"], execution["id"]):
            return execution
    known = [entry["name"] for entry in session.api.entries()] + [execution["name"] for execution in live]
    near = get_close_matches(name[:80], known, n=1)
    way_out = f"did you mean {near[0]}?" if near else f"`{session.command} shop` and `{session.command} ps` list them"
    raise NotFound(f"there is neither an application nor a running execution {name[:60]!r}; {way_out}")


def _way_to_name(execution: Mapping[str, Any]) -> str:
    """Its name, or its id where the name alone would mean the application."""
    return str(execution["id"] if execution["name"] == execution.get("entry") else execution["name"])


def _chosen(connections: Sequence[str], wanted: str) -> list[str]:
    """The connections to attach: the one wanted, or all that something installed understands."""
    if wanted and wanted not in connections:
        raise NotFound(f"there is no connection {wanted!r}; there are: {', '.join(connections) or 'none'}")
    found = (
        [wanted] if wanted else [name for name in connections if find_kind(name) is not None] or list(connections)[:1]
    )
    if not found:
        raise Conflict("it gives nothing that a notebook could attach to")
    return found


def _planned(session: Session, connection: str, wish: Wish) -> tuple[Attach, str]:
    """The attach kind and the variable for a connection; refuses to overwrite what is the user's."""
    kind = find_kind(connection)
    if kind is None:
        raise Conflict(
            f"nothing here understands connections of the kind {connection!r}; installed: {', '.join(kind_names())}"
        )
    variable = wish.variable or kind.variable
    if not variable.isidentifier() or keyword.iskeyword(variable):
        raise UserError(f"{variable!r} is no name of a variable")
    if not wish.variable and not registry.is_own(session.namespace, variable):
        raise Conflict(
            f"the variable `{variable}` is yours and stays: name another one with `--as NAME` (`--as {variable}` overwrites it)"
        )
    return kind, variable


def _check(plans: Plans, environments: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
    """Compare versions, for each connection; the warnings. Raises Conflict with all problems."""
    findings = [kind.check(environments[name]) for name, (kind, _) in plans.items()]
    problems = [problem for found in findings for problem in found.problems]
    if problems:
        raise Conflict("\n".join(problems), details={"problems": problems})
    return [warning for found in findings for warning in found.warnings]


def _check_early(session: Session, found: Found, plans: Plans) -> None:
    """Look at this kernel alone. What it lacks is told with the version of a running one, so that it can be shared too."""
    try:
        _check(plans, dict.fromkeys(plans))
    except Conflict:
        running = (one for one in session.live() if one.get("entry") == found.entry and is_running(one))
        with suppress(NotFound, Forbidden, StopIteration):
            execution_id = str(next(running)["id"])
            connections = {name: session.api.connection(execution_id, name) for name in plans}
            _check(plans, {name: one.get("environment") or {} for name, one in connections.items()})
        raise


def _check_ahead(session: Session, wish: Wish, plans: Plans) -> None:
    """Compare with what would run, as far as that is known before it waits and starts; what is only to be warned of is told once it runs."""
    environment: Mapping[str, Any] = {}
    with suppress(ZoeError):  # what is wrong with it is told when it is submitted
        environment = session.api.validate(_submission(session, wish)).get("environment") or {}
    if environment.get("packages") or environment.get("python_version"):
        _check(plans, dict.fromkeys(plans, environment))


def _check_late(
    session: Session, found: Found, execution: Mapping[str, Any], *, plans: Plans, connections: Mapping[str, Json]
) -> None:
    """Compare with what runs; what was started for this alone goes away when it cannot be used."""
    try:
        warnings = _check(plans, {name: each.get("environment") or {} for name, each in connections.items()})
    except Conflict:
        if found.execution is None:
            session.api.stop(str(execution["id"]))
        raise
    for warning in warnings:
        session.screen.warn(warning)


def _prepare(kinds: Iterable[Attach]) -> threading.Thread:
    """Import the drivers while the cluster starts."""
    wanted = list(kinds)

    def work() -> None:
        for kind in wanted:
            kind.prepare()

    thread = threading.Thread(target=work, name="zoe-attach-imports", daemon=True)
    thread.start()
    return thread


def _up(session: Session, found: Found, wish: Wish) -> Mapping[str, Any]:
    """The execution, running; started where there was none. Raises UserError with reason and log when it did not come up."""
    execution = found.execution or _start(session, wish)
    if execution["state"] == "suspended":
        execution = session.api.resume(execution["id"])
    if execution["state"] != "running":
        execution = dict(session.wait(execution, is_running))
    if execution["state"] == "ended":
        raise UserError(failure_text(session, execution), details={"execution": execution["id"]})
    return execution


def _start(session: Session, wish: Wish) -> Json:
    return session.api.submit(_submission(session, wish))


def _submission(session: Session, wish: Wish) -> Json:
    lifetime = LIFETIME if wish.lifetime is None else dict(wish.lifetime)
    return submission_of(session, use=wish.target, parameters=wish.parameters, name=wish.name, lifetime=lifetime)


def _lease(session: Session, execution: Mapping[str, Any]) -> Json:
    """This kernel's hold; kept by heartbeat where no Jupyter server sees whether the kernel lives."""
    return session.api.take_lease(
        str(execution["id"]),
        kind="kernel",
        client=session.facts.as_client(),
        ttl_s=TTL_S if session.facts.server == OUTSIDE else None,
    )


def _connect_all(
    session: Session, execution: Mapping[str, Any], *, plans: Plans, connections: Mapping[str, Json]
) -> list[Attachment]:
    _make_room(session, execution, plans)
    watcher().watch(dict(execution))
    lease = _lease(session, execution)
    kept = {(one.connection, one.variable): one for one in registry.attachments(str(execution["id"]))}
    return [
        kept.get((name, variable))
        or _connect(session, execution, connections[name], kind=kind, variable=variable, lease=lease)
        for name, (kind, variable) in plans.items()
    ]


def _make_room(session: Session, execution: Mapping[str, Any], plans: Plans) -> None:
    """Let go of what holds a variable that is to be set, unless it is this very connection and works."""
    wanted = {variable: name for name, (_, variable) in plans.items()}
    for one in registry.attachments():
        if one.variable not in wanted:
            continue
        is_same = (
            one.execution_id == execution["id"]
            and one.connection == wanted[one.variable]
            and session.namespace.get(one.variable) is one.value
        )
        is_there = is_same and not registry.was_left(one.execution_id)
        if not (is_there and one.kind.works(one.value)):
            registry.drop(one, session.namespace, session.api)


def _connect(
    session: Session, execution: Mapping[str, Any], connection: Json, *, kind: Attach, variable: str, lease: Json
) -> Attachment:
    """Set the variable, and remember it."""
    execution_id = str(execution["id"])
    try:
        named = {**connection, "name": execution["name"]}
        names = kind.attach(named, session.namespace, variable, is_over=lambda: registry.is_over(execution_id))
    except Exception as error:
        if not registry.attachments(execution_id):
            watcher().forget(execution_id)
        raise UserError(f"{execution['name']} runs, but could not be reached: {_first_line(error)}") from error
    attachment = Attachment(
        execution_id=execution_id, execution_name=str(execution["name"]), entry=str(execution.get("entry") or ""),
        connection=str(connection["name"]), kind=kind, variable=variable, names={name: session.namespace[name] for name in names},
        value=session.namespace[variable], lease_id=str(lease["id"]), heartbeat=_beating(session, execution_id, lease),
    )  # fmt: skip
    registry.add(attachment)
    return attachment


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def _beating(session: Session, execution_id: str, lease: Json) -> Heartbeat | None:
    if lease.get("renew_s") is None:
        return None
    heartbeat = Heartbeat(
        Api(Http()), execution_id, str(lease["id"]), renew_s=float(lease["renew_s"]), client=session.facts.as_client()
    )
    heartbeat.start()
    return heartbeat
