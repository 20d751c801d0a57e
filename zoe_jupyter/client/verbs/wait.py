"""Verbs about who waits and who may hold how much: ``queue``, ``quota``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from zoe_jupyter.client.http import Json
from zoe_jupyter.client.verbs.parser import Usage
from zoe_jupyter.client.verbs.results import Block, Cell, Note, Result, Table, Tone
from zoe_jupyter.client.verbs.session import Session
from zoe_jupyter.client.verbs.show import clock
from zoe_jupyter.client.verbs.table import Argument, Verb
from zoe_jupyter.model.units import format_bytes, format_duration

LIMITS = ("executions", "cores", "memory", "gpus", "run")
COUNTS = ("executions", "gpus")


def queue(session: Session, *, what_if: Sequence[str] | None = None) -> Result:
    """List what waits, and why; or what would wait under other rules."""
    if what_if:
        return _supposed(session, what_if)
    found = session.api.queue()
    return Result([_waiting(found, "nothing waits")], data=found, value=found)


def quota(
    session: Session,
    owner: str = "",
    *,
    set: Sequence[str] | None = None,  # noqa: A002 - the name of the option
    share: Sequence[str] | None = None,
    remove: bool = False,
) -> Result:
    """Show what may be held and is held; for admins, first change those limits that are named, and leave the others as they are."""
    if (set or share or remove) and not owner:
        raise Usage("say whose quota: a user, group:NAME, or default")
    if remove:
        found = [session.api.drop_quota(owner)]
    elif set or share:
        found = [session.api.put_quota(owner, _changed(session.api.quota(owner), set or (), share or ()))]
    else:
        found = [session.api.quota(owner)] if owner else session.api.quotas()
    rows: list[list[Cell | str]] = [[Cell(item["owner"]), *_held(item), _own(item)] for item in found]
    table = Table(
        ("WHO", "EXECUTIONS", "CORES", "MEMORY", "GPUS", "RUN TIME", "ABOUT"), rows, empty="there are no quotas"
    )
    return Result([table], data=found, value=found)


def _supposed(session: Session, words: Sequence[str]) -> Result:
    policy, quotas, unlimited = "", dict[str, Json](), dict[str, list[str]]()
    for word in words:
        name, separator, value = word.partition("=")
        if not separator:
            raise Usage(f"{word!r} is no supposition; write policy=srpt or quota.ada.cores=8")
        if name == "policy":
            policy = value
            continue
        kind, _, rest = name.partition(".")
        owner, _, limit = rest.rpartition(".")
        if kind != "quota" or not owner or limit not in LIMITS:
            raise Usage(f"{name!r} cannot be supposed; write policy=NAME or quota.WHO.{{{','.join(LIMITS)}}}=VALUE")
        if limit == "run":
            raise Usage(
                "run decides nothing about what waits now: it is an end for what is submitted later; leave it out"
            )
        if value == "-":
            unlimited.setdefault(owner, []).append(limit)
        else:
            quotas.setdefault(owner, {}).update(_limits([f"{limit}={value}"]))
    found = session.api.what_if(policy=policy, quotas=quotas, unlimited=unlimited)
    moves = [row for what in ("start", "grow", "shrink", "preempt") for row in _moves(what, found[what])]
    blocks: list[Block] = [
        Note(f"with {', '.join(words)} the next decision would be (nothing was changed):", Tone.QUIET),
        Table(("WOULD", "NAME", "OWNER", "CORE", "ELASTIC"), moves, empty="nothing would start, grow or shrink"),
        _waiting(found["waiting"], "nothing would wait"),
    ]
    return Result(blocks, data=found, value=found)


def _moves(what: str, moves: Sequence[Json]) -> Iterator[list[Cell | str]]:
    for move in moves:
        yield [what, Cell(move["name"]), move["owner"], str(move["core"] or ""), str(move["elastic"] or "")]


def _waiting(found: Sequence[Json], empty: str) -> Table:
    rows = [
        [
            str(item["position"]),
            item["name"],
            item.get("owner", ""),
            item.get("priority", ""),
            _starts(item),
            _why(item),
        ]
        for item in found
    ]
    return Table(("PLACE", "NAME", "OWNER", "PRIORITY", "STARTS", "WAITS BECAUSE"), rows, empty=empty)


def _starts(item: Mapping[str, Any]) -> str:
    return "" if item.get("starts_at") is None else f"about {clock(item['starts_at'])}"


def _why(item: Mapping[str, Any]) -> str:
    return "; also: ".join([item["reason"]["text"], *(one["text"] for one in item.get("detail") or ())])


def _limits(words: Sequence[str]) -> Json:
    """``cores=8`` and the like, as the body of a request; ``-`` for no limit."""
    found: Json = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or name not in LIMITS:
            raise Usage(f"{word!r} is no limit; write for example cores=8, with any of {', '.join(LIMITS)}")
        if name in COUNTS and value != "-" and not value.isdigit():
            raise Usage(f"{name} is a whole number, not {value!r}")
        found[name] = None if value == "-" else int(value) if name in COUNTS else value
    return found


def _changed(today: Json, limits: Sequence[str], shares: Sequence[str]) -> Json:
    """As the body of a request: what is in force with what is named in its place."""
    share = _as_asked(today.get("share") or {}) | _limits(shares)
    has_share = any(value is not None for value in share.values())
    return {"limit": _as_asked(today["limit"]) | _limits(limits), "share": share if has_share else None}


def _as_asked(told: Json) -> Json:
    """An answer's limits under the names that a request has for them."""
    names = ("executions", "cores", "memory_bytes", "gpus", "run_s")
    return {name: told.get(key) for name, key in zip(LIMITS, names, strict=True)}


def _held(item: Mapping[str, Any]) -> list[str]:
    """Each as ``held of limit (share)``."""
    held, limit, share = item["held"], item["limit"], item.get("share") or {}
    parts = (
        (f"{item['executions']}", "executions", str),
        (f"{held['cores']:.4g}", "cores", "{:.4g}".format),
        (format_bytes(held["memory_bytes"]), "memory_bytes", format_bytes),
        (f"{held.get('gpus') or 0}", "gpus", str),
    )
    told = []
    for now, key, say in parts:
        most, own = limit.get(key), share.get(key)
        told.append(now + ("" if most is None else f" of {say(most)}") + ("" if own is None else f" (own: {say(own)})"))
    return [*told, "" if limit.get("run_s") is None else f"at most {format_duration(limit['run_s'])}"]


def _own(item: Mapping[str, Any]) -> str:
    group = f"in group {item['group']}" if item.get("group") else ""
    return group if item["is_own"] else "; ".join(filter(None, ("by default", group)))


_SET = "change it first (admins), such as cores=8 memory=32GiB executions=4 gpus=1 run=8h; - for no limit"
VERBS = (
    Verb(
        "queue", queue, "List what waits, and why.",
        (Argument("what_if", "what would be decided now with policy=NAME or quota.WHO.cores=8 (admins); changes nothing",
                  ("--what-if",), is_many=True, metavar="NAME=VALUE"),),
        example="example: {command} queue --what-if policy=srpt", instead="info",
    ),
    Verb(
        "quota", quota, "Show who may hold how much, and what is held.",
        (
            Argument("owner", "a user, group:NAME, or default (admins)", is_required=False, default=""),
            Argument("set", _SET, ("--set",), is_many=True, metavar="LIMIT"),
            Argument("share", "what is its own and is given back when it waits, in the same way", ("--share",), is_many=True, metavar="LIMIT"),
            Argument("remove", "go back to the default's (admins)", ("--remove",), is_switch=True),
        ),
        example="example: {command} quota ada --set cores=32 executions=4",
    ),
)  # fmt: skip
