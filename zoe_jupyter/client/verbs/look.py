"""Verbs that look: ``shop``, ``ps``, ``info``, ``logs``, ``open``, ``nodes``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from zoe_jupyter.client.facts import JOB_ENTRY, LABEL_JOB
from zoe_jupyter.client.follow import OUTAGE_S, ended_text, progress_text
from zoe_jupyter.client.http import Json
from zoe_jupyter.client.logs import follow
from zoe_jupyter.client.verbs.parser import Usage
from zoe_jupyter.client.verbs.results import Block, Cell, Facts, Lines, Note, Result, Table, Tone
from zoe_jupyter.client.verbs.session import EXCERPT, Session
from zoe_jupyter.client.verbs.show import clock, details, executions_table, links
from zoe_jupyter.client.verbs.table import Argument, Names, Verb
from zoe_jupyter.model.errors import NotFound
from zoe_jupyter.model.units import format_bytes

OTHERS = 6
LONGEST = 1_000_000
"""So many lines the server gives at most when it is told how many."""
KEPT_APART = {"enforced": "isolation enforced", "declared": "isolation declared, not seen to be enforced"}
NAME = Argument(
    "name", "its name or id; not needed where there is only one", is_required=False, default="", names=Names.EXECUTION
)


def shop(session: Session, text: str = "") -> Result:
    """List the applications."""
    words = text.lower().split()
    entries = session.api.entries()
    found = [entry for entry in entries if all(word in _searched(entry) for word in words)]
    rows = [
        [Cell(entry["name"]), entry["title"], entry["version"], ", ".join(entry["connections"]), _summary(entry)]
        for entry in found
    ]
    empty = f"nothing in the shop matches {text!r}{_near(text, entries)}" if text else "the shop is empty"
    return Result(
        [Table(("NAME", "TITLE", "VERSION", "ATTACH", "SUMMARY"), rows, empty=empty)], data=found, value=found
    )


def ps(session: Session, *, all: bool = False) -> Result:  # noqa: A002 - the name of the option
    """List what is running."""
    found = session.api.executions() if all else session.live()
    return Result([executions_table(found, base_url=session.base_url)], data=found, executions=found)


def info(session: Session, name: str = "") -> Result:
    """Tell all about one execution; without a name, about Zoe itself."""
    if name:
        execution = session.api.execution(session.resolve(name)["id"])
        return Result(details(execution, base_url=session.base_url), data=execution, executions=[execution])
    found = session.api.info()
    abilities = found.get("capabilities") or {}
    kept_apart = str(abilities.get("isolation", "unknown"))
    backend = f"{found['backend']} ({KEPT_APART.get(kept_apart, kept_apart)})"
    pairs: list[tuple[str, Cell | str]] = [
        ("Zoe", found["version"]), ("home", found["home"]), ("backend", backend), ("policy", found.get("policy", "")), ("user", _user(found)),
        ("address", session.base_url or session.api.http.connection.address), ("kernel's Python", session.facts.python),
    ]  # fmt: skip
    if found.get("silence"):
        pairs.insert(3, ("unreachable", found["silence"]))
    return Result([Facts(pairs)], data=found, value=found)


def logs(
    session: Session,
    name: str = "",
    *,
    service: str = "",
    tail: int | None = None,
    all: bool = False,  # noqa: A002 - the name of the option
    is_following: bool = False,
) -> Result:
    """Show the log of an execution or of one of its services: to people its last lines, and whose it is."""
    execution = session.pick(name)
    service = _service(execution, service)
    if tail is not None and not 0 <= tail <= LONGEST:
        raise Usage(f"--tail takes a number of lines from 0 to {LONGEST}, not {tail}")
    if is_following:
        most = None if all else EXCERPT if tail is None else tail
        stream = follow(session.api, execution["id"], service=service, tail=most, outage_s=OUTAGE_S)
        lines = _until_interrupted(session, execution, stream)
        return Result([*_whose(session, execution, service, ""), Lines(lines)], data=stream, value=stream)
    most = None if all else session.excerpt if tail is None else tail
    found = session.api.logs(execution["id"], service=service, tail=None if most is None else min(most + 1, LONGEST))
    shown = found if most is None else found[max(0, len(found) - most) :]
    cut = f"the last {len(shown)} lines; `{session.command} logs {execution['name']} --all` shows all"
    head = _whose(session, execution, service, cut if len(shown) < len(found) else "")
    return Result([*head, Lines(shown), *_over(session, execution)], data=shown, value=shown)


def open_page(session: Session, name: str = "", endpoint: str = "") -> Result:
    """Give the addresses of an execution's web pages."""
    execution = session.pick(name)
    found = [
        cell
        for cell, record in zip(links(execution, base_url=session.base_url), execution["endpoints"], strict=True)
        if _matches(record, endpoint)
    ]
    if not found:
        known = ", ".join(record["name"] for record in execution["endpoints"])
        raise NotFound(
            f"{execution['name']} has no page {endpoint!r}; it has: {known}"
            if endpoint and known
            else f"{execution['name']} has no web pages now"
        )
    data = [{"title": cell.text, "url": cell.link} for cell in found]
    return Result(
        [Table(("PAGE", "ADDRESS"), [[cell.text, Cell(cell.link, link=cell.link)] for cell in found])],
        data=data,
        value=data,
    )


def nodes(
    session: Session,
    *,
    disable: str | None = None,
    drain: str | None = None,
    at: str | None = None,
    enable: str | None = None,
    stop: str | None = None,
) -> Result:
    """List the machines: what they have, and what is reserved on them; first take one out of use, empty it, put it back, or end what is unknown."""
    if at and not drain:
        raise Usage("--at says when a machine is to be emptied; name it with --drain")
    for name, is_enabled in ((disable, False), (enable, True)):
        if name:
            session.api.set_node_enabled(name, is_enabled=is_enabled)
    if drain:
        session.api.drain_node(drain, begin=at)
    if stop:
        session.api.stop_unknown(stop)
    found = session.api.nodes()
    unknown = [[item["id"], ", ".join(item["services"])] for item in session.api.quarantine()]
    rows: list[list[Cell | str]] = [
        [
            Cell(node["name"], Tone.PLAIN if node["is_enabled"] else Tone.QUIET),
            *(_use(node, key) for key in ("cores", "memory_bytes", "gpus")),
            str(node["services"]),
            _about(node),
        ]
        for node in found
    ]
    silence = session.api.info().get("silence")
    why = f"the machines cannot be reached: {silence}" if silence else ""
    headings = ("NODE", "CORES", "MEMORY", "GPUS", "SERVICES", "ABOUT")
    blocks: list[Block] = [Table(headings, rows, empty="there are no nodes")] if rows or not why else []
    if unknown:
        told = f"these run and are not in Zoe's database; they are left alone, `{session.command} nodes --stop ID` ends one"
        blocks += [Table(("UNKNOWN", "SERVICES"), unknown), Note(told)]
    result = Result(blocks, data=found, value=found, trouble=why)
    return result.whole() if disable or drain or enable or stop else result


def panel(session: Session) -> Result:
    """What ``%zoe`` alone shows: what is running, and what waits."""
    found = session.live()
    blocks: list[Block] = [executions_table(found, base_url=session.base_url)]
    return Result(blocks, data=found, executions=found)


def _searched(entry: Mapping[str, Any]) -> str:
    return " ".join([entry["name"], entry["title"], entry["summary"], *entry["tags"]]).lower()


def _near(text: str, entries: Sequence[Mapping[str, Any]]) -> str:
    """``; did you mean spark?``, where a name or a title is near."""
    names = {word.lower(): entry["name"] for entry in entries for word in (entry["title"], entry["name"])}
    close = get_close_matches(text[:80].lower(), names, n=1)
    return f"; did you mean {names[close[0]]}?" if close else ""


def _summary(entry: Mapping[str, Any]) -> Cell | str:
    if entry["is_runnable"]:
        return str(entry["summary"])
    return Cell(f"{entry['summary']} (not by itself: {', '.join(entry['lacks'])})", Tone.QUIET)


def _user(found: Json) -> str:
    return f"{found['user']} (admin)" if found.get("is_admin") else str(found["user"])


def _about(node: Mapping[str, Any]) -> str:
    return "; ".join(filter(None, (_use_of(node), _shares(node), node.get("about"))))


def _use_of(node: Mapping[str, Any]) -> str:
    if node.get("drains_at") is not None:
        return f"{'to be empty since' if not node['is_enabled'] else 'will be emptied at'} {clock(node['drains_at'])}"
    return "" if node["is_enabled"] else "disabled"


def _shares(node: Mapping[str, Any]) -> str:
    """Why it seems to have more cores than it has."""
    cores, given = node.get("cores") or 0, node["capacity"]["cores"]
    if not cores or given <= cores:
        return ""
    return f"cores are shares: it has {cores:.4g}, each is given away {given / cores:.4g} times"


def _use(node: Mapping[str, Any], key: str) -> str:
    reserved, capacity = node["reserved"].get(key) or 0, node["capacity"].get(key) or 0
    if key == "memory_bytes":
        return f"{format_bytes(reserved)} of {format_bytes(capacity)}"
    return f"{reserved:.4g} of {capacity:.4g}"


def _service(execution: Mapping[str, Any], service: str) -> str:
    """The full name of a service that was given shortly: ``worker-0`` for ``spark.worker-0``; of a job, its program unless one is named."""
    names = [item["name"] for item in execution["services"]]
    if not service and LABEL_JOB in (execution.get("labels") or {}):
        return next((str(name) for name in names if name.startswith(f"{JOB_ENTRY}.")), "")
    if not service or service in names:
        return service
    found = [name for name in names if name.endswith(f".{service}") or name.rpartition("-")[0].endswith(f".{service}")]
    return str(found[0]) if len(found) == 1 else service


def _matches(endpoint: Mapping[str, Any], wanted: str) -> bool:
    """By full name, by the port's own name, or by title."""
    name, word = str(endpoint["name"]).lower(), wanted.lower()
    return not word or name == word or word in name.split(".") or word in str(endpoint.get("title", "")).lower()


def _whose(session: Session, execution: Json, service: str, cut: str) -> list[Block]:
    """Which of several services' log that is, and that there is more; for people."""
    named = service or str(execution.get("main_service") or "")
    others = [item["name"] for item in execution["services"] if item["name"] != named]
    if session.excerpt is None or not (cut or others):
        return []
    listed = ", ".join(others[:OTHERS]) + (f" and {len(others) - OTHERS} more" if len(others) > OTHERS else "")
    another = f"`--service NAME` shows that of {listed}" if others else ""
    return [Note("; ".join(filter(None, (f"{named} of {execution['name']}: {cut}".rstrip(": "), another))), Tone.QUIET)]


def _over(session: Session, execution: Json) -> list[Note]:
    """How it ended or is about to, so that the last lines of a program that was told to end do not look like a crash; for people."""
    if session.excerpt is None or execution["state"] not in ("stopping", "ended"):
        return []
    if execution["state"] == "stopping":
        return [Note(f"-- {progress_text(execution)} --", Tone.QUIET)]
    return [Note(f"-- {ended_text(execution)} at {clock(execution['ended_at'])} --", Tone.QUIET)]


def _until_interrupted(session: Session, execution: Json, lines: Iterator[str]) -> Iterator[str]:
    """The lines, and how it ended when they come to an end by themselves."""
    try:
        yield from lines
    except KeyboardInterrupt:
        return
    for note in _over(session, session.api.execution(execution["id"])):
        yield note.text


VERBS = (
    Verb("shop", shop, "List the applications of the shop.", (Argument("text", "only those that mention it", is_required=False, default=""),)),
    Verb("ps", ps, "List what is running.", (Argument("all", "also what has ended", ("--all", "-a"), is_switch=True),), instead="info"),
    Verb("info", info, "Tell all about one execution; without a name, about Zoe.", (NAME,)),
    Verb(
        "logs", logs, "Show the log of an execution.",
        (
            NAME, Argument("service", "of this service only, such as worker-0", ("--service", "-s")),
            Argument("tail", "only the last lines", ("--tail", "-n"), convert=int, metavar="LINES"),
            Argument("all", f"all of it, where people get the last {EXCERPT} lines", ("--all", "-a"), is_switch=True),
            Argument("is_following", "go on with new lines until interrupted", ("--follow", "-f"), is_switch=True),
        ),
    ),
    Verb("open", open_page, "Give the addresses of an execution's web pages.", (NAME, Argument("endpoint", "one page only", is_required=False, default=""))),
    Verb(
        "nodes", nodes, "List the machines and what is reserved on them.",
        (
            Argument("disable", "first take this one out of use (admins): nothing new is started there", ("--disable",), metavar="NODE", names=Names.NODE),
            Argument("drain", "first empty this one (admins): what runs there starts again elsewhere", ("--drain",), metavar="NODE", names=Names.NODE),
            Argument("at", "when to empty it: 18:30, +2h or a date with a time; else now", ("--at",), metavar="TIME"),
            Argument("stop", "first end what runs unknown under this id (admins)", ("--stop",), metavar="ID"),
            Argument("enable", "first put this one back into use (admins)", ("--enable",), metavar="NODE", names=Names.NODE),
        ),
    ),
)  # fmt: skip
