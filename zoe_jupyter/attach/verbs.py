"""The verbs that need a kernel, ``attach`` and ``detach``; and with them the whole table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from zoe_jupyter.attach.flow import Attached, Wish, let_go
from zoe_jupyter.attach.flow import attach as attach_kernel
from zoe_jupyter.attach.flow import detach as detach_kernel
from zoe_jupyter.client.verbs import change, look, submit, wait
from zoe_jupyter.client.verbs.results import Block, Cell, Note, Result, Table, Tone, say
from zoe_jupyter.client.verbs.session import Session
from zoe_jupyter.client.verbs.show import lifetime_text, links
from zoe_jupyter.client.verbs.table import Argument, Faces, Names, Verb


def attach(
    session: Session, target: str = "", *, variable: str | None = None, connection: str | None = None, parameters: Mapping[str, Any] | None = None,
    name: str | None = None, **lifetime: Any,
) -> Result:  # fmt: skip
    """Connect this notebook: start the application if needed, wait for it, put the session into the namespace."""
    wish = Wish(
        target=target, variable=variable or "", connection=connection or "", parameters=parameters, name=name or "",
        lifetime=submit.lifetime_of(**lifetime),
    )  # fmt: skip
    return _told(session, attach_kernel(session, wish), wish)


def detach(session: Session, name: str = "") -> Result:
    """Disconnect this notebook, from one execution or from all; they are not stopped."""
    found = detach_kernel(session, name)
    told = ", ".join(f"{one.variable} from {one.execution_name}" for one in found)
    return Result(
        [Note(f"detached {told}" if found else "this kernel is attached to nothing")],
        data=[one.execution_name for one in found],
    )


def stop(session: Session, names: Sequence[str] = (), **options: Any) -> Result:
    """Stop executions, and let go of them where this kernel is attached."""
    result = change.stop(session, names, **options)
    for execution in result.executions:
        let_go(session, str(execution["id"]))
    return result


def _told(session: Session, attached: Attached, wish: Wish) -> Result:
    execution = attached.execution
    made = ", ".join(f"`{one.variable}`: {one.kind.describe(one.value)}" for one in attached.attachments)
    blocks: list[Block] = [Note(f"{made}, on {execution['name']}", Tone.GOOD)]
    pages: list[list[Cell | str]] = [
        [cell.text, Cell(cell.link, link=cell.link)] for cell in links(execution, base_url=session.base_url)
    ]
    if pages:
        blocks.append(Table(("PAGE", "ADDRESS"), pages))
    blocks.append(
        Note(
            f"It runs {lifetime_text(_held(execution))}; `{session.command} stop {execution['name']}` ends it.",
            Tone.QUIET,
        )
    )
    if attached.others:
        shared = f"{session.command} attach {attached.others[0]}"
        blocks.append(
            Note(f"This notebook has one of its own; `{shared}` would share the one that runs already.", Tone.QUIET)
        )
    if not attached.is_new and wish.parameters:
        blocks.append(
            Note(
                f"It was running already: the parameters were not used. Stop it first, or `{session.command} scale` it.",
                Tone.BAD,
            )
        )
    return replace(say("", execution), blocks=blocks, value=attached)


def _held(execution: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record without its end as things stood before this notebook held it."""
    return {**execution, "lifetime": {**(execution.get("lifetime") or {}), "ends_at": None}}


_ATTACH = Verb(
    "attach", attach, "Connect this notebook to an application: start it if needed, and put its session into a variable.",
    (
        Argument("target", "an application of the shop, or what runs (name or id)", is_required=False, default="", names=Names.TARGET),
        Argument("variable", "the variable to set (default: spark, client)", ("--as",), metavar="VARIABLE"),
        Argument("connection", "which connection, where there are several", ("--connection",)),
        submit.NAME, *submit.LIFETIME,
    ),
    has_form=True, example="example: {command} attach spark --workers 4 --as session",
)  # fmt: skip
_DETACH = Verb(
    "detach", detach, "Disconnect this notebook; what it was connected to is not stopped.",
    (Argument("name", "from this one only", is_required=False, default="", names=Names.EXECUTION),), faces=Faces.NOTEBOOK,
)  # fmt: skip
_STOP = next(verb for verb in change.VERBS if verb.name == "stop")

VERBS: tuple[Verb, ...] = (
    look.VERBS[0],
    _ATTACH,
    _DETACH,
    *submit.VERBS,
    *look.VERBS[1:],
    *wait.VERBS,
    replace(_STOP, call=stop),
    *(verb for verb in change.VERBS if verb is not _STOP),
)
"""Every verb of ``%zoe`` and ``jupyter zoe``, in the order of their help."""
