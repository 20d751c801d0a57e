"""From what somebody asks for to an execution that may be stored: composed, checked against environment and machines, named."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import asdict, replace
from pathlib import PurePosixPath
from typing import Any

from zoe_jupyter.backends.base import Backend
from zoe_jupyter.engine import views, wishes
from zoe_jupyter.engine.certificates import new_certificate
from zoe_jupyter.engine.door import Caller, Check, Submission
from zoe_jupyter.engine.estimates import Estimates
from zoe_jupyter.engine.outlook import Outlook
from zoe_jupyter.engine.quotas import Book
from zoe_jupyter.engine.wording import in_own_words
from zoe_jupyter.model.application import Application
from zoe_jupyter.model.errors import Conflict, InvalidDescription, Problem, Unfit
from zoe_jupyter.model.execution import Client, Execution, Lease
from zoe_jupyter.model.resources import Node, Resources
from zoe_jupyter.scheduler.decide import Memo, decide
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.shop.catalogue import Catalogue, UsersCatalogue
from zoe_jupyter.shop.compose import compose

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
CLIENT_LENGTH = 4096
LEASE_TTL_S = 90.0
COMPOSED = 512
"""So many applications are kept as they were composed: the same is often submitted again. None with a secret in it."""


class Submitter:
    """Makes executions; changes nothing."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        backend: Backend,
        policy: Policy,
        clock: Callable[[], float],
        estimates: Estimates,
        outlook: Outlook,
        classes: Mapping[str, int],
    ) -> None:
        self._catalogue = catalogue
        self._backend = backend
        self._policy = policy
        self._clock = clock
        self._estimates = estimates
        self._classes = classes
        self._outlook = outlook
        self._memo = Memo()
        self._composed: dict[tuple[int, str, bool, str], tuple[Application, dict[str, Any]]] = {}

    async def execution(self, submission: Submission, caller: Caller, *, nodes: Sequence[Node]) -> Execution:
        """The execution to store, but for its name. Raises InvalidDescription and Unfit (environment or size, with the way out)."""
        application, parameters = await self._compose(submission, caller)
        client = self._client(submission.client)
        now = self._clock()
        turn = wishes.turn(submission, application, classes=self._classes, now=now)
        assumed_s = self._estimates.assume(submission.use, caller.name) if turn.estimate_s is None else None
        execution = Execution(
            id=secrets.token_hex(6),
            name="",
            owner=caller.name,
            application=application,
            parameters=parameters,
            entry=submission.use,
            lifetime=wishes.lifetime(submission.lifetime, application.lifetime),
            client=client,
            labels=wishes.labels(submission.labels),
            priority=turn.priority,
            priority_class=turn.priority_class,
            weight=turn.weight,
            estimate_s=turn.estimate_s if assumed_s is None else assumed_s,
            is_assumed=assumed_s is not None,
            not_before=turn.not_before,
            created_at=now,
            unleased_since=None if submission.lease else now,
        )
        environment = await self._backend.inspect(application.requires, client, images=_images(application))
        if environment.problems:
            raise Unfit(
                "\n".join(environment.problems),
                details={"problems": list(environment.problems), "environment": asdict(environment)},
            )
        never = self._outlook.never_fits(views.demands(execution), nodes)
        if never is not None:
            never = in_own_words(never, application)
            raise Unfit(never.text, details={"code": never.code, "numbers": dict(never.numbers)})
        return replace(execution, environment=asdict(environment))

    async def check(
        self,
        submission: Submission,
        caller: Caller,
        *,
        nodes: Sequence[Node],
        book: Book,
        is_reachable: bool,
    ) -> Check:
        """What would become of it now. Raises InvalidDescription."""
        check_name(submission.name)
        application, parameters = await self._compose(submission, caller)
        client = self._client(submission.client)
        wishes.labels(submission.labels)
        wishes.lifetime(submission.lifetime, application.lifetime)
        now = self._clock()
        turn = wishes.turn(submission, application, classes=self._classes, now=now)
        environment = await self._backend.inspect(application.requires, client, images=_images(application))
        execution = Execution(
            "check",
            "check",
            caller.name,
            application,
            parameters,
            client=client,
            priority=turn.priority,
            estimate_s=turn.estimate_s,
            not_before=turn.not_before,
            created_at=now,
        )
        book.admit(execution, has_own_end=submission.lifetime is not None)
        demands = views.demands(execution)
        snapshot = self._outlook.snapshot(
            nodes, quotas=book.now, is_reachable=is_reachable, now=now, supposed=[execution]
        )
        plan = decide(snapshot, self._policy, now, self._memo)
        start, reason = plan.start.get(execution.id), plan.waiting.get(execution.id)
        return Check(
            application=_application_json(application, parameters),
            core=_total((demand.resources, demand.core) for demand in demands),
            elastic=_total((demand.resources, demand.elastic) for demand in demands),
            fits_now=start is not None,
            nodes=tuple(sorted({node for places in start.core.values() for node in places})) if start else (),
            reason=None if start or reason is None else in_own_words(reason, application),
            problems=environment.problems,
            environment=asdict(environment),
        )

    async def _compose(self, submission: Submission, caller: Caller) -> tuple[Application, dict[str, Any]]:
        """Raises NotFound for what the caller may not see; an application of the shop may use what only admins may run alone."""
        key = (
            self._catalogue.version,
            caller.name,
            caller.is_admin,
            json.dumps([submission.use, submission.zapp, submission.text, submission.parameters], default=repr),
        )
        known = self._composed.get(key)
        if known is None:
            known = await asyncio.to_thread(self._compose_anew, submission, caller)
            if known[0].secret_parameters:
                return known
            if len(self._composed) >= COMPOSED:
                self._composed.clear()
            self._composed[key] = known
        return known

    def _compose_anew(self, submission: Submission, caller: Caller) -> tuple[Application, dict[str, Any]]:
        seen = self._catalogue if caller.is_admin else UsersCatalogue(self._catalogue)
        if submission.use:
            seen.entry(submission.use)
        return compose(
            catalogue=self._catalogue if submission.use else seen,
            use=submission.use,
            zapp=submission.zapp,
            text=submission.text,
            parameters=submission.parameters,
            user={"name": caller.name},
            backend=self._backend.capabilities().name,
        )

    def _client(self, client: Client) -> Client:
        check_client(client)
        capabilities = self._backend.capabilities()
        is_seen = "cwd" in capabilities.choices or _is_in(client.cwd, capabilities.shared)
        python = client.python if "python" in capabilities.choices else ""
        return replace(client, python=python, cwd=client.cwd if is_seen else "")


def _is_in(folder: str, shared: Iterable[str]) -> bool:
    path = PurePosixPath(folder)
    return ".." not in path.parts and any(map(path.is_relative_to, shared))


def check_client(client: Client) -> None:
    """Raises InvalidDescription for what is too long to be kept."""
    problems = [
        Problem(f"is a text of at most {CLIENT_LENGTH} characters, none of them NUL", f"client.{name}")
        for name, value in asdict(client).items()
        if len(value) > CLIENT_LENGTH or "\0" in value
    ]
    if problems:
        raise InvalidDescription(problems)


_LATER_WISHES = ("priority", "estimate", "begin", "weight")


def digest(submission: Submission) -> str:
    """What makes two submissions with one idempotency key the same; who asked from where does not count."""
    body = {key: value for key, value in asdict(submission).items() if key not in ("client", "lease")}
    # So that a request is still the same to a Zoe that knows more wishes than the one that heard it first.
    body = {key: value for key, value in body.items() if key not in _LATER_WISHES or value not in (None, "")}
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()


def new_secrets(application: Application) -> dict[str, str]:
    """A value for each secret that the application wants: a random word, or a key with its certificate."""
    return {
        name: new_certificate() if name in application.certificates else secrets.token_urlsafe(32)
        for name in application.secrets
    }


def new_lease(execution_id: str, *, kind: str, client: Client, ttl_s: float | None, now: float) -> Lease:
    """A hold on an execution; one that names a Jupyter server lives as long as that server says, any other must be renewed."""
    if ttl_s is None and not client.server:
        ttl_s = LEASE_TTL_S
    return Lease(
        id=secrets.token_hex(8),
        execution_id=execution_id,
        kind=kind,
        client=client,
        created_at=now,
        expires_at=None if ttl_s is None else now + ttl_s,
        ttl_s=ttl_s,
    )


def choose_name(submission: Submission, application: Application, taken: Set[str]) -> str:
    """The name asked for, else the entry's with a number; raises Conflict when it is taken, InvalidDescription when it is none."""
    if submission.name:
        check_name(submission.name)
        if submission.name in taken:
            raise Conflict(f"an execution named {submission.name!r} lives already; stop it, or choose another name")
        return submission.name
    base = re.sub(r"[^A-Za-z0-9._-]+", "-", submission.use or application.name).strip("-.")[:50] or "execution"
    number = 1
    while (name := base if number == 1 else f"{base}-{number}") in taken:
        number += 1
    return name


def check_name(name: str) -> None:
    """Raises InvalidDescription when it is none; an empty one is chosen later."""
    if name and not NAME.fullmatch(name):
        message = f"{name[:40]!r} is not a name: 1 to 63 letters, digits, dots, dashes, underscores"
        raise InvalidDescription([Problem(message, "name")])


def _images(application: Application) -> tuple[str, ...]:
    return tuple(sorted({process.image for process in application.processes}))


def _total(parts: Iterable[tuple[Resources, int]]) -> Resources:
    total = Resources()
    for resources, count in parts:
        total = total + resources * count
    return total


def _application_json(application: Application, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """As its submitter may see it: without folders of the core's machine, and with secrets masked wherever they were passed on to."""
    hidden = [parameters[name] for name in application.secret_parameters if parameters.get(name) not in (None, "")]
    body = asdict(application)
    for context in body["contexts"].values():
        context.pop("folder", None)
        context["parameters"] = {
            name: "***" if value in hidden else value for name, value in context["parameters"].items()
        }
    return body
