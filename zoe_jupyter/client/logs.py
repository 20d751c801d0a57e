"""Following a log: line by line, over restarts of the server."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence

from zoe_jupyter.client.api import Api
from zoe_jupyter.client.http import Lost
from zoe_jupyter.model.errors import Unavailable

_SILENCE_S = 300.0
_REMEMBERED = 1000


def follow(api: Api, execution_id: str, *, service: str = "", tail: int | None, outage_s: float) -> Iterator[str]:
    """The last ``tail`` lines and then new ones, until the service has ended. A lost connection is taken up again where it broke."""
    told: deque[str] = deque(maxlen=_REMEMBERED)
    deadline: float | None = None
    while True:
        stream = (
            _resumed(api, execution_id, service=service, told=list(told))
            if told
            else _begun(api, execution_id, service=service, tail=tail)
        )
        try:
            for line in stream:
                deadline = None
                told.append(line)
                yield line
            return
        except TimeoutError:
            continue
        except (Lost, Unavailable):
            deadline = deadline or time.monotonic() + outage_s
            if time.monotonic() > deadline:
                raise
        api.http.forget_connection()
        time.sleep(0.5)


def _begun(api: Api, execution_id: str, *, service: str, tail: int | None) -> Iterator[str]:
    with api.log_stream(execution_id, service=service, tail=tail, follow=True, silence_s=_SILENCE_S) as lines:
        yield from lines


def _resumed(api: Api, execution_id: str, *, service: str, told: Sequence[str]) -> Iterator[str]:
    known = api.logs(execution_id, service=service, tail=_REMEMBERED)
    yield from after(told, known)
    yield from beyond(known, _begun(api, execution_id, service=service, tail=_REMEMBERED))


def after(told: Sequence[str], known: Sequence[str]) -> Sequence[str]:
    """The lines of ``known`` that follow on what was told; all of them when nothing of it is there."""
    for end in range(len(known), 0, -1):
        shared = min(end, len(told))
        if list(known[end - shared : end]) == list(told[len(told) - shared :]):
            return known[end:]
    return known


def beyond(known: Sequence[str], lines: Iterator[str]) -> Iterator[str]:
    """The lines of a stream without those at its beginning that are known."""
    at: int | None = None
    for line in lines:
        if at is None:
            at = known.index(line) if line in known else len(known)
        if at < len(known) and known[at] == line:
            at += 1
            continue
        at = len(known)
        yield line
