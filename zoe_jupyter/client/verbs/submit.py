"""Verbs that start something: ``start``, and the cells ``run`` and ``zapp``; and ``validate``, which only asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoe_jupyter.client.facts import JOB_ENTRY, LABEL_JOB, is_job
from zoe_jupyter.client.follow import ended_text
from zoe_jupyter.client.http import Json
from zoe_jupyter.client.verbs.form import options
from zoe_jupyter.client.verbs.results import Block, Facts, Note, Result, Tone, say
from zoe_jupyter.client.verbs.session import Session, is_ended, is_running
from zoe_jupyter.client.verbs.show import amount
from zoe_jupyter.client.verbs.table import Argument, Names, Verb
from zoe_jupyter.model.errors import Conflict, InvalidDescription, UserError
from zoe_jupyter.model.units import format_duration

DESCRIPTION_SUFFIXES = (".yaml", ".yml", ".json")
NAME = Argument("name", "what to call it", ("--name",))
LIFETIME = (
    Argument("lifetime", "end it after this time at most, such as 8h", ("--for", "--lifetime"), metavar="TIME"),
    Argument("idle", "end it when it was idle for so long, such as 1h", ("--idle",), metavar="TIME"),
    Argument("together_with", "end it together with this notebook's kernel or its Jupyter server", ("--with",), choices=("kernel", "server"), metavar="WHOM"),
    Argument("grace", "how long it outlives the kernel or server (default 10m)", ("--grace",), metavar="TIME"),
    Argument("keep", "run until stopped, whatever else was said", ("--keep",), is_switch=True),
)  # fmt: skip
ENVIRONMENT = Argument(
    "environment", "run it in this Python environment: a kernel's name, or a path; else in the one that asks", ("--environment",), metavar="NAME"
)  # fmt: skip
TURN = (
    Argument("priority", "its priority class: interactive, batch, filler, or what the admin named", ("--priority",), metavar="CLASS"),
    Argument("estimate", "how long it works with all that it wants, such as 2h; helps to start it sooner", ("--estimate",), metavar="TIME"),
    Argument("begin", "not before: 18:30, +2h or a date with a time", ("--begin",), metavar="TIME"),
)  # fmt: skip
WAIT = Argument("wait", "wait until it is ready (a job: until it has ended)", ("--wait",), is_switch=True)


def start(
    session: Session,
    entry: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    name: str | None = None,
    environment: str | None = None,
    priority: str | None = None,
    estimate: str | None = None,
    begin: str | None = None,
    wait: bool = False,
    **lifetime: Any,
) -> Result:
    """Start an application of the shop."""
    submission = submission_of(session, use=entry, parameters=parameters, name=name, lifetime=lifetime_of(**lifetime))
    submission |= turn_of(priority=priority, estimate=estimate, begin=begin)
    _choose(submission, environment)
    return _started(session, session.api.submit(submission), wait=wait)


def run(
    session: Session,
    entry: str,
    *,
    code: str,
    parameters: Mapping[str, Any] | None = None,
    name: str | None = None,
    environment: str | None = None,
    priority: str | None = None,
    estimate: str | None = None,
    begin: str | None = None,
    wait: bool = False,
) -> Result:
    """Run Python code as a batch job, with the application of that name beside it."""
    if not code.strip():
        raise UserError("there is no code to run")
    zapp = _job(session, entry, code=code, parameters=dict(parameters or {}))
    submission = submission_of(session, zapp=zapp, name=name or f"{entry}-job" if entry != JOB_ENTRY else name)
    submission["labels"][LABEL_JOB] = entry
    submission |= turn_of(priority=priority, estimate=estimate, begin=begin)
    _choose(submission, environment)
    return _started(session, session.api.submit(submission), wait=wait)


def _choose(submission: Json, environment: str | None) -> None:
    """Have it run in another environment than the one that asks."""
    if environment:
        submission["client"] = {**submission["client"], "python": environment}


def zapp(session: Session, *, text: str, name: str | None = None, check: bool = False, wait: bool = False) -> Result:
    """Start what a description says (YAML or JSON)."""
    if not text.strip():
        raise UserError("the description is empty")
    if check:
        return _checked(session.api.validate(_described(session, text, name)))
    return _started(session, session.api.submit(_described(session, text, name)), wait=wait)


def validate(session: Session, file: str) -> Result:
    """Check a description: every error at once, what it would reserve, and whether it fits now."""
    path = Path(file)
    if not path.is_file() and (path.name != file or path.suffix in DESCRIPTION_SUFFIXES):
        raise UserError(f"there is no file {file}")
    if not path.is_file():
        return _checked(session.api.validate({"use": file, "client": session.facts.as_client()}))
    try:
        return _checked(session.api.validate(_described(session, read_text(path), None)))
    except InvalidDescription as error:
        raise InvalidDescription([replace(one, file=one.file or file) for one in error.problems]) from None


def submission_of(
    session: Session,
    *,
    use: str = "",
    zapp: Any = None,
    parameters: Mapping[str, Any] | None = None,
    name: str | None = None,
    lifetime: Json | None = None,
) -> Json:
    """The body of a submission from this kernel or shell; a lease is taken where the lifetime asks for one."""
    together = (lifetime or {}).get("with", "") if session.facts.has_witness else ""
    return {
        "use": use, "zapp": zapp, "parameters": dict(parameters or {}), "name": name or "", "labels": session.facts.labels(),
        "lifetime": lifetime, "client": session.facts.as_client(), "lease": together,
    }  # fmt: skip


def turn_of(*, priority: str | None, estimate: str | None, begin: str | None) -> Json:
    """What of a submission says when it is its turn; what was not said is left to the description."""
    given = {"priority": priority, "estimate": estimate, "begin": begin}
    return {name: value for name, value in given.items() if value}


def lifetime_of(
    *,
    lifetime: str | None = None,
    idle: str | None = None,
    together_with: str | None = None,
    grace: str | None = None,
    keep: bool = False,
) -> Json | None:
    """A lifetime as descriptions write it; None leaves it to the application, ``{}`` means until stopped."""
    if keep:
        if lifetime or idle or together_with:
            raise Conflict("--keep means until stopped; leave out --for, --idle and --with")
        return {}
    found = {"after": lifetime, "idle": idle, "with": together_with, "grace": grace}
    return {name: value for name, value in found.items() if value} or None


def read_text(path: Path) -> str:
    """A description or a program from a file; raises UserError."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from error


def _started(session: Session, execution: Json, *, wait: bool) -> Result:
    name, command = execution["name"], session.command
    if not wait:
        return say(
            f"started {name}; `{command} info {name}` shows how far it is, `{command} stop {name}` ends it", execution
        )
    last = session.wait(execution, is_running)
    if is_job(execution):
        return _done(session, last)
    if last["state"] != "ended":
        return say(f"{name} is ready", last, tone=Tone.GOOD)
    raise UserError(failure_text(session, last), details={"execution": last["id"]})


def _done(session: Session, execution: Mapping[str, Any]) -> Result:
    """Show what a job writes until it has ended, and how that was."""
    session.show_log(execution)
    last = session.wait(execution, is_ended)
    name, told = last["name"], job_text(last)
    if last.get("outcome") == "succeeded":
        return say(f"{name} has {told}; `{session.command} info {name}` tells all about it", last, tone=Tone.GOOD)
    raise UserError(
        f"{name} has {told}. `{session.command} logs {name}` shows its log again", details={"execution": last["id"]}
    )


def job_text(execution: Mapping[str, Any]) -> str:
    """How a job ended, in one line: ``succeeded after 3 s``, ``failed after 2 s: job-0 ended with exit code 1``."""
    begun, ended = execution.get("started_at"), execution.get("ended_at")
    took_s = round(ended - begun) if begun and ended else 0
    outcome, colon, why = ended_text(execution).partition(": ")
    return f"{outcome}{f' after {format_duration(took_s)}' if took_s else ''}{colon}{why}"


def failure_text(session: Session, execution: Mapping[str, Any], *, tail: int = 12) -> str:
    """Why it ended, with the last lines of its log."""
    lines = [f"{execution['name']} has ended: {ended_text(execution)}"]
    try:
        log = session.api.logs(str(execution["id"]), service=failed_service(execution), tail=tail)
    except UserError:
        log = []
    if log:
        lines += ["its log ends with:", *(f"  {line}" for line in log[-tail:])]
        lines.append(f"`{session.command} logs {execution['name']}` shows all of it")
    return "\n".join(lines)


def failed_service(execution: Mapping[str, Any]) -> str:
    """The service whose log tells most: one that failed, else the first."""
    services = execution.get("services") or []
    failed = [service["name"] for service in services if service.get("exit_code") not in (0, None)]
    return str(failed[0]) if failed else ""


def _described(session: Session, text: str, name: str | None) -> Json:
    """A description as the body of a request: as text, so that errors name its lines."""
    return {**submission_of(session, name=name), "text": text}


def _job(session: Session, entry: str, *, code: str, parameters: Json) -> Json:
    """A description of the job: the code's own framework, wired to the application where there is another."""
    job = session.api.entry(JOB_ENTRY)
    own = {_code_parameter(job): code}
    if entry == JOB_ENTRY:
        alone = {"use": JOB_ENTRY, "parameters": {**parameters, **own}}
        return {"zoe": 1, "kind": "zapp", "name": JOB_ENTRY, "frameworks": [alone], "ends_with": JOB_ENTRY}
    provided = session.api.entry(entry)["entry"]["connections"]
    if not provided:
        raise Conflict(
            f"{entry} provides nothing that a program can connect to; `%%zoe run {JOB_ENTRY}` runs code alone"
        )
    return {
        "zoe": 1, "kind": "zapp", "name": f"{entry}-job", "ends_with": JOB_ENTRY,
        "frameworks": [
            {"use": entry, "parameters": parameters},
            {"use": JOB_ENTRY, "parameters": own, "connect": {name: f"{entry}.{name}" for name in provided}},
        ],
    }  # fmt: skip


def _code_parameter(job: Json) -> str:
    found = [
        option
        for option in options(job.get("form") or {})
        if (option.schema.get("x-zoe") or {}).get("widget") == "code" or option.name == "code"
    ]
    if not found:
        raise Conflict(f"the application {JOB_ENTRY} of this shop takes no code")
    return found[0].name


def _checked(check: Json) -> Result:
    pairs = [("needs", amount(check["core"]))]
    if any(check["elastic"].values()):
        pairs.append(("takes up to", f"{amount(check['elastic'])} more"))
    if check.get("nodes"):
        pairs.append(("would run on", ", ".join(check["nodes"])))
    reason = (check.get("reason") or {}).get("text", "")
    blocks: list[Block] = [
        Note("valid" if check["fits_now"] else f"valid, but it would wait: {reason}", Tone.GOOD),
        Facts(pairs),
    ]
    blocks += [Note(f"lacking: {problem}", Tone.BAD) for problem in check.get("problems") or ()]
    return Result(blocks, data=check, value=check, exit_code=1 if check.get("problems") else 0)


VERBS = (
    Verb(
        "start", start, "Start an application of the shop.",
        (Argument("entry", "which application", names=Names.ENTRY), NAME, ENVIRONMENT, WAIT, *TURN, *LIFETIME),
        has_form=True, example="example: {command} start spark --workers 4 --name mine --idle 1h",
    ),
    Verb(
        "run", run, "Run a program as a batch job, beside an application that it can use.",
        (Argument("entry", "which application", names=Names.ENTRY), NAME, ENVIRONMENT, WAIT, *TURN), has_form=True, cell="code",
    ),
    Verb(
        "zapp", zapp, "Start what a ZApp description says.",
        (Argument("name", "what to call it", is_required=False), Argument("check", "only check it", ("--check",), is_switch=True), WAIT), cell="text",
    ),
    Verb(
        "validate", validate, "Check a description, or an application of the shop: what it needs, and whether it fits now.",
        (Argument("file", "a description (YAML or JSON), or the name of an application", metavar="FILE|ENTRY", names=Names.FILE),),
    ),
)  # fmt: skip
