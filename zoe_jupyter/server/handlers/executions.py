"""Executions: submit, list, look at, forget."""

from __future__ import annotations

from dataclasses import asdict

from zoe_jupyter.engine.door import Submission
from zoe_jupyter.model.errors import InvalidDescription, Problem
from zoe_jupyter.model.execution import Client, State
from zoe_jupyter.server.api import PAGED, Answer, ApiRequest, Param, Subject
from zoe_jupyter.server.environments import interpreter_of
from zoe_jupyter.server.present import execution_bodies, execution_body
from zoe_jupyter.server.schemas import ClientBody, ExecutionBody, ExecutionPage, SubmissionBody

MOST_LABELS = 64
"""An execution has no more; and each costs the database a search of its own."""

routes = Subject("executions")

FILTERS = (
    Param("state", "strings", "Only these states; may be repeated."),
    Param("owner", "string", "Only this owner's (admins see everyone's).", default=""),
    Param("label", "strings", "Only those with this label, as ``key=value``; may be repeated."),
    Param("parent", "string", "Only the children of this execution.", default=""),
)


@routes(
    "GET",
    "executions",
    "The executions that the caller may see, newest first.",
    answer=ExecutionPage,
    query=(*FILTERS, *PAGED),
)
async def list_executions(request: ApiRequest) -> ExecutionPage:
    query = request.query
    found = await request.core.executions(
        request.caller,
        states=read_states(query["state"] or []),
        owner=query["owner"],
        labels=read_labels(query["label"] or []),
        parent=query["parent"],
        limit=query["limit"],
        cursor=query["cursor"],
    )
    return ExecutionPage(execution_bodies(request, found.items), found.next_cursor)


@routes(
    "POST",
    "executions",
    "Submit; with an Idempotency-Key that is known, 200 and the earlier one.",
    body=SubmissionBody,
    answer=ExecutionBody,
    status=201,
    statuses=(200,),
    has_yaml=True,
    has_key=True,
    is_gated=True,
)
async def submit(request: ApiRequest) -> Answer:
    execution, is_new = await request.core.submit(read_submission(request), request.caller, key=request.key)
    return Answer(execution_body(request, execution), 201 if is_new else 200)


@routes("GET", "executions/{id}", "One execution, by id or by name, with its story.", answer=ExecutionBody)
async def get_execution(request: ApiRequest) -> ExecutionBody:
    execution = await request.core.execution(request.path["id"], request.caller)
    story = await request.core.story(execution.id, request.caller)
    return execution_body(request, execution, story=story)


@routes("DELETE", "executions/{id}", "Forget an execution that has ended.", status=204)
async def forget(request: ApiRequest) -> None:
    await request.core.forget(request.path["id"], request.caller)


def read_submission(request: ApiRequest) -> Submission:
    """The body as the core wants it; raises InvalidDescription unless exactly one of use, zapp and text is there."""
    body: SubmissionBody = request.body
    given = [name for name, value in (("use", body.use), ("zapp", body.zapp), ("text", body.text)) if value]
    if len(given) != 1:
        raise InvalidDescription(
            [Problem(f"give exactly one of use, zapp and text, not {' and '.join(given) or 'none'}")]
        )
    return Submission(
        use=body.use,
        zapp=body.zapp,
        text=body.text,
        parameters=body.parameters,
        name=body.name,
        labels=body.labels,
        lifetime=body.lifetime,
        priority=body.priority,
        estimate=body.estimate,
        begin=body.begin,
        weight=body.weight,
        client=read_client(request, body.client),
        lease=body.lease,
    )


def read_client(request: ApiRequest, body: ClientBody) -> Client:
    """Who asked; a kernel that names no server is one of the server that it asked, and an environment may be named."""
    server = body.server or (request.origin.server if body.kernel_id else "")
    return Client(**{**asdict(body), "server": server, "python": interpreter_of(body.python)})


def read_states(words: list[str]) -> tuple[State, ...]:
    known = {state.value for state in State}
    wrong = [
        Problem(f"{word[:80]!r} is no state; there are {', '.join(sorted(known))}", path="state")
        for word in words
        if word not in known
    ]
    if wrong:
        raise InvalidDescription(wrong)
    return tuple(State(word) for word in words)


def read_labels(words: list[str]) -> dict[str, str]:
    wrong = [Problem(f"{word[:80]!r} is no label; write key=value", path="label") for word in words if "=" not in word]
    if len(words) > MOST_LABELS:
        wrong = [Problem(f"at most {MOST_LABELS} labels", path="label")]
    if wrong:
        raise InvalidDescription(wrong)
    return {key: value for key, _, value in (word.partition("=") for word in words)}
