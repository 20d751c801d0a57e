"""From errors to HTTP, once."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from zoe_jupyter.model.errors import (
    BackendError,
    Conflict,
    Forbidden,
    InvalidDescription,
    NoRoom,
    NotFound,
    QuotaExceeded,
    TooMany,
    Unavailable,
    Unfit,
    UserError,
    ZoeError,
)
from zoe_jupyter.store.errors import Fenced, StoreBusy, StoreCorrupt, StoreFull, StoreGone, StoreUnwritable

log = logging.getLogger("zoe_jupyter.server")

STATUSES: tuple[tuple[type[ZoeError], int], ...] = (
    (InvalidDescription, 422),
    (NotFound, 404),
    (Conflict, 409),
    (Forbidden, 403),
    (QuotaExceeded, 422),
    (TooMany, 429),
    (Unfit, 422),
    (Unavailable, 503),
    (NoRoom, 507),
    (UserError, 400),
    (BackendError, 502),
    (StoreFull, 507),
    (StoreBusy, 503),
    (StoreUnwritable, 503),
    (StoreGone, 503),
    (StoreCorrupt, 503),
    (Fenced, 503),
)


class TooLarge(UserError):
    """A body is larger than the server reads."""

    reason = "too_large"


class NotAllowed(UserError):
    """The path is there, the method is not."""

    reason = "method_not_allowed"


class WrongMedia(UserError):
    """The body is of a kind that this route does not read."""

    reason = "unsupported_media_type"


OWN_STATUSES: dict[type[BaseException], int] = {TooLarge: 413, NotAllowed: 405, WrongMedia: 415}


def status_of(error: BaseException) -> int:
    """The HTTP status for an error; 500 for what nobody raised on purpose."""
    if type(error) in OWN_STATUSES:
        return OWN_STATUSES[type(error)]
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def error_body(error: BaseException) -> dict[str, Any]:
    """The error as every answer carries it; of an unforeseen one nothing but an id, by which the log has the rest."""
    if isinstance(
        error, UserError | BackendError | StoreFull | StoreBusy | StoreUnwritable | StoreGone | StoreCorrupt | Fenced
    ):
        return {"message": error.message, "reason": error.reason, "details": error.details}
    name = secrets.token_hex(4)
    log.error("unforeseen error %s", name, exc_info=error)
    return {
        "message": f"something went wrong inside Zoe; the server's log has it as {name}",
        "reason": "internal",
        "details": {"id": name},
    }
