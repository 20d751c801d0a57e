"""Who may hold how much."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from zoe_jupyter.model.errors import InvalidDescription, Problem
from zoe_jupyter.model.quota import Limit, Quota
from zoe_jupyter.model.units import duration_s, memory_bytes, microcores
from zoe_jupyter.server.api import PAGED, ApiRequest, Subject, page
from zoe_jupyter.server.present import quota_body
from zoe_jupyter.server.queue_schemas import LimitRequest, QuotaBody, QuotaPage, QuotaRequest

routes = Subject("quotas")

T = TypeVar("T")


@routes("GET", "quota", "What the caller may hold and holds; for admins everyone's.", answer=QuotaPage, query=PAGED)
async def list_quotas(request: ApiRequest) -> QuotaPage:
    items, next_cursor = page([quota_body(use) for use in await request.core.quotas(request.caller)], request.query)
    return QuotaPage(items, next_cursor)


@routes(
    "GET",
    "admin/quotas/{owner}",
    "The quota of a user, of ``group:NAME``, or ``default`` (for admins).",
    answer=QuotaBody,
)
async def get_quota(request: ApiRequest) -> QuotaBody:
    return quota_body(await request.core.quota(request.path["owner"], request.caller))


@routes(
    "PUT",
    "admin/quotas/{owner}",
    "Set the quota of a user, of ``group:NAME``, or ``default`` (for admins). What runs goes on.",
    body=QuotaRequest,
    answer=QuotaBody,
)
async def put_quota(request: ApiRequest) -> QuotaBody:
    body: QuotaRequest = request.body
    share = None if body.share is None else read_limit(body.share, "share")
    quota = Quota(share=share, limit=read_limit(body.limit, "limit"))
    return quota_body(await request.core.put_quota(request.path["owner"], quota, request.caller))


@routes("DELETE", "admin/quotas/{owner}", "Go back to the default's (for admins).", answer=QuotaBody)
async def drop_quota(request: ApiRequest) -> QuotaBody:
    return quota_body(await request.core.put_quota(request.path["owner"], None, request.caller))


def read_limit(body: LimitRequest, path: str) -> Limit:
    """Quantities with units, or plain numbers. Raises InvalidDescription."""
    problems: list[Problem] = []
    limit = Limit(
        executions=body.executions,
        microcores=_read(microcores, body.cores, f"{path}.cores", problems),
        memory_bytes=_read(memory_bytes, body.memory, f"{path}.memory", problems),
        gpus=body.gpus,
        run_s=_read(duration_s, body.run, f"{path}.run", problems),
    )
    if problems:
        raise InvalidDescription(problems)
    return limit


def _read(
    read: Callable[[str | int | float], T], value: str | int | float | None, path: str, problems: list[Problem]
) -> T | None:
    try:
        return None if value is None else read(value)
    except ValueError as error:
        problems.append(Problem(str(error), path))
        return None
