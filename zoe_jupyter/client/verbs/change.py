"""Verbs that change what is wanted of an execution: ``stop``, ``scale``, ``restart``, ``suspend``, ``resume``, ``forget``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from zoe_jupyter.client.http import Json
from zoe_jupyter.client.verbs.parser import Usage
from zoe_jupyter.client.verbs.results import Result, say
from zoe_jupyter.client.verbs.session import Session, is_ended
from zoe_jupyter.client.verbs.table import Argument, Names, Verb
from zoe_jupyter.model.errors import UserError

NAMES = Argument("names", "names or ids", is_many=True, is_required=False, metavar="NAME", names=Names.EXECUTION)
ONE = Argument("name", "its name or id", names=Names.EXECUTION)
TAKES = "; that takes a few seconds"


def stop(session: Session, names: Sequence[str] = (), *, all: bool = False, wait: bool = False) -> Result:  # noqa: A002 - the name of the option
    """Stop executions; without a name, the only one of this notebook."""
    found = [item for item in session.live() if item["state"] != "stopping"] if all else _picked(session, names)
    over = [execution for execution in found if is_ended(execution)]
    stopped = [session.api.stop(execution["id"]) for execution in found if execution not in over]
    if wait:
        stopped = [dict(session.wait(execution, is_ended)) for execution in stopped]
    told = [f"stopped {_listed(stopped)}" if wait else f"stopping {_listed(stopped)}{TAKES}"] if stopped else []
    told += [f"{_listed(over)} had ended already"] if over else []
    return say("; ".join(told) or "nothing is running", *stopped, *over)


def scale(session: Session, name: str, counts: Sequence[str]) -> Result:
    """Change how many services an execution has."""
    execution = session.resolve(name)
    count, by_process = _counts(counts)
    changed = session.api.scale(execution["id"], count=count, counts=by_process)
    told = ", ".join(_asked(item) for item in changed.get("scalable") or () if item["current"] != item["wanted"])
    seen = f"`{session.command} ps` shows how far it is"
    return say(f"{changed['name']}: {told}; {seen}" if told else f"{changed['name']} is as wanted already", changed)


def restart(session: Session, name: str = "") -> Result:
    """Take an execution's services down and start them again."""
    return _changed(session, name, session.api.restart, "restarting")


def suspend(session: Session, name: str = "") -> Result:
    """Stop an execution's services and keep its place."""
    return _changed(session, name, session.api.suspend, "suspending")


def resume(session: Session, name: str = "") -> Result:
    """Start a suspended execution's services again."""
    return _changed(session, name, session.api.resume, "resuming")


def forget(session: Session, names: Sequence[str] = (), *, ended: bool = False) -> Result:
    """Delete the records of executions that have ended."""
    if not names and not ended:
        raise Usage(f"name what to forget, or say --ended for all that has; `{session.command} ps --all` lists them")
    found = _each_once([session.known(name) for name in names])
    if ended:
        found = _each_once([*found, *session.api.executions(states=("ended",))])
    for execution in found:
        session.api.forget(execution["id"])
    return Result(
        say(f"forgot {len(found)} execution{'' if len(found) == 1 else 's'}").blocks,
        data=[item["id"] for item in found],
    )


def _picked(session: Session, names: Sequence[str]) -> list[Json]:
    """Those named; without a name the only one of this notebook, and never somebody's who did not say so."""
    if names:
        return _each_once([session.resolve(name) for name in names])
    found = session.pick("")
    if not session.facts.owns(found):
        raise Usage(f"name what to stop: `{session.command} stop {found['name']}`, or `{session.command} stop --all`")
    return [found]


def _asked(scalable: Json) -> str:
    """``3 workers wanted, 2 are there``: in the words of the framework."""
    current, wanted = scalable["current"], scalable["wanted"]
    title = str(scalable.get("title") or scalable["process"])
    return f"{wanted} {title if wanted == 1 else f'{title}s'} wanted, {current} {'is' if current == 1 else 'are'} there"


def _each_once(executions: Sequence[Json]) -> list[Json]:
    return list({execution["id"]: execution for execution in executions}.values())


def _listed(executions: Sequence[Json]) -> str:
    return ", ".join(execution["name"] for execution in executions)


def _changed(session: Session, name: str, act: Callable[[str], Json], verb: str) -> Result:
    changed = act(session.pick(name)["id"])
    return say(f"{verb} {changed['name']}", changed)


def _counts(words: Sequence[str]) -> tuple[int | None, dict[str, int]]:
    """``8`` for the only scalable process, or ``worker=8`` by name."""
    count: int | None = None
    by_process: dict[str, int] = {}
    for word in words:
        process, separator, number = word.rpartition("=")
        if not number.isdigit():
            raise Usage(f"{word!r} is not a number of services; write for example `8` or `worker=8`")
        if separator:
            by_process[process] = int(number)
        elif len(words) > 1:
            raise Usage("with several numbers, name the processes: `worker=8 other=2`")
        else:
            count = int(number)
    return count, by_process


def count_words(count: Any, by_process: dict[str, int]) -> list[str]:
    """What ``scale`` takes, from Python values."""
    if count is None and not by_process:
        raise UserError("say how many services are wanted")
    return ([] if count is None else [str(int(count))]) + [
        f"{process}={number}" for process, number in by_process.items()
    ]


_WAIT = Argument("wait", "wait until nothing of it is left", ("--wait",), is_switch=True)
_COUNTS = Argument("counts", "how many services in all, or PROCESS=COUNT", is_many=True, metavar="COUNT")

VERBS = (
    Verb("stop", stop, "Stop executions.", (NAMES, Argument("all", "everything that runs", ("--all",), is_switch=True), _WAIT)),
    Verb("scale", scale, "Change how many services an execution has.", (ONE, _COUNTS), example="example: {command} scale spark-1 8"),
    Verb("restart", restart, "Start an execution's services anew.", (ONE,)),
    Verb("suspend", suspend, "Stop an execution's services; `resume` starts them again.", (ONE,)),
    Verb("resume", resume, "Start a suspended execution again.", (ONE,)),
    Verb(
        "forget", forget, "Delete the records of executions that have ended.",
        (
            Argument("names", "names or ids", is_many=True, is_required=False, metavar="NAME", names=Names.ENDED),
            Argument("ended", "all that have ended", ("--ended",), is_switch=True),
        ),
        aliases=("rm",),
    ),
)  # fmt: skip
