"""The shop: what there is to run, and what would become of a description."""

from __future__ import annotations

from typing import Any

from zoe_jupyter.model.errors import NotFound
from zoe_jupyter.server.api import PAGED, ApiRequest, Param, Raw, Subject, page
from zoe_jupyter.server.handlers.executions import read_submission
from zoe_jupyter.server.present import check_body, entry_body, entry_detail_body
from zoe_jupyter.server.schemas import CheckBody, EntryDetailBody, EntryPage, SubmissionBody

LOGO_HEADERS = {
    "Cache-Control": "private, max-age=3600",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
"""A logo may come from a shop that is not ours: as a page of its own it must not run scripts."""

routes = Subject("shop")


@routes(
    "GET",
    "shop",
    "The entries that the caller may see.",
    answer=EntryPage,
    query=(
        Param("text", "string", "Only entries with these words in name, title, summary or tags.", default=""),
        *PAGED,
    ),
)
async def list_entries(request: ApiRequest) -> EntryPage:
    words = request.query["text"].lower().split()
    found = [entry_body(entry) for entry in request.core.shop().entries() if _may_see(request, entry)]
    matching = [
        body
        for body in found
        if all(word in f"{body.name} {body.title} {body.summary} {' '.join(body.tags)}".lower() for word in words)
    ]
    items, next_cursor = page(matching, request.query)
    return EntryPage(items, next_cursor)


def _may_see(request: ApiRequest, entry: Any) -> bool:
    return entry.audience == "user" or request.caller.is_admin


def _visible(request: ApiRequest) -> Any:
    """The entry that the path names; raises NotFound also for one that the caller may not see."""
    entry = request.core.shop().entry(request.path["name"])
    if not _may_see(request, entry):
        raise NotFound(f"the shop has no {entry.name!r} for you")
    return entry


@routes("GET", "shop/{name}", "One entry with the form of its parameters and its README.", answer=EntryDetailBody)
async def get_entry(request: ApiRequest) -> EntryDetailBody:
    return entry_detail_body(_visible(request))


@routes("GET", "shop/{name}/logo", "The logo of an entry.", media=("image/svg+xml",))
async def get_logo(request: ApiRequest) -> Raw:
    logo = _visible(request).logo
    if logo is None:
        raise NotFound(f"{request.path['name']} has no logo")
    return Raw(logo, "image/svg+xml", LOGO_HEADERS)


@routes(
    "POST",
    "validate",
    "Check a description or {use, parameters}: the filled ZApp, what it would reserve, whether and where it would fit now.",
    body=SubmissionBody,
    answer=CheckBody,
    has_yaml=True,
    is_gated=True,
)
async def validate(request: ApiRequest) -> CheckBody:
    return check_body(await request.core.check(read_submission(request), request.caller))
