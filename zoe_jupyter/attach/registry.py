"""What this kernel is attached to. One list for the process: a kernel has one namespace."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from zoe_jupyter.attach.base import Attach
from zoe_jupyter.attach.heartbeat import Heartbeat
from zoe_jupyter.client.api import Api

EXIT_S = 3.0
"""How long the end of the kernel waits for clusters to be let go."""


@dataclass(frozen=True, slots=True)
class Attachment:
    execution_id: str
    execution_name: str
    entry: str
    connection: str
    kind: Attach
    variable: str
    names: Mapping[str, Any]
    """All that it set in the namespace, with the values."""
    value: Any
    lease_id: str
    heartbeat: Heartbeat | None = None


_attachments: list[Attachment] = []
_ended: set[str] = set()
_taken: dict[str, Attachment] = {}
"""By variable that is no longer set: what had set it."""
_left: set[str] = set()
"""Executions that were running and stopped, to be suspended or started anew: what is attached is attached to nothing."""


def names() -> list[str]:
    """Names of the executions that this kernel is attached to, oldest first."""
    return list(dict.fromkeys(name for _, name in held()))


def held() -> list[tuple[str, str]]:
    """Id and name of each execution that this kernel is attached to, oldest first; the labextension asks it."""
    return _named(one for one in _attachments if one.execution_id not in _left)


def left() -> list[tuple[str, str]]:
    """Those whose execution is no longer what they were attached to; the labextension asks for them, too."""
    return _named(one for one in _attachments if one.execution_id in _left)


def _named(attachments: Iterable[Attachment]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((one.execution_id, one.execution_name) for one in attachments))


def attachments(execution: str = "") -> list[Attachment]:
    """All, or those to one execution (name, id, or the entry that it came from)."""
    if not execution:
        return list(_attachments)
    exact = [one for one in _attachments if execution in (one.execution_name, one.execution_id)]
    return exact or [one for one in _attachments if one.entry == execution]


def add(attachment: Attachment) -> None:
    if not _attachments:
        atexit.register(_leave)
    for name in attachment.names:
        _taken.pop(name, None)
    _attachments.append(attachment)


def is_own(namespace: Mapping[str, Any], variable: str) -> bool:
    """Whether that variable is ours to set again: absent, or what an earlier attach put there."""
    return variable not in namespace or any(
        one.variable == variable and namespace[variable] is one.value for one in _attachments
    )


def drop(attachment: Attachment, namespace: MutableMapping[str, Any], api: Api) -> None:
    """Let go of the cluster, its lease and its names; what the user has put in their place stays."""
    if attachment in _attachments:
        _attachments.remove(attachment)
    _release(attachment)
    for name, value in attachment.names.items():
        if namespace.get(name) is value:
            del namespace[name]
            _taken[name] = attachment
    if not any(one.execution_id == attachment.execution_id for one in _attachments):
        _drop_lease(attachment, api)


def absence(variable: str) -> str:
    """Why a variable that was set here is not there any more, and how it comes back; empty for all others."""
    if (one := _taken.get(variable)) is None:
        return ""
    if has_ended(one.execution_id):
        way_out = f"What it held is lost; `%zoe attach {one.entry or one.execution_name}` starts a new one"
        return f"`{variable}` went with {one.execution_name}, which has ended. {way_out}"
    # By a name that is also an application's, another one would be started.
    word = one.execution_id if one.execution_name == one.entry else one.execution_name
    back = f"`%zoe attach {word}` brings it back"
    return f"`{variable}` went when this notebook was detached from {one.execution_name}. {back}"


def mark_ended(execution_id: str) -> None:
    """Remember that an execution has ended, so that nothing waits for it."""
    _ended.add(execution_id)


def lose(execution_id: str) -> None:
    """Let what is attached know, in a thread, that its cluster has gone; the notebook keeps it until it is attached anew."""

    def work() -> None:
        for one in attachments(execution_id):
            with suppress(Exception):
                one.kind.lose(one.value)

    threading.Thread(target=work, name=f"zoe-lose-{execution_id}", daemon=True).start()


def mark_there(execution_id: str) -> None:
    """What is attached is attached to what runs now."""
    _ended.discard(execution_id)
    _left.discard(execution_id)


def mark_left(execution_id: str) -> None:
    """Remember that an execution is no longer what this kernel was attached to."""
    _left.add(execution_id)


def was_left(execution_id: str) -> bool:
    return execution_id in _left


def has_ended(execution_id: str) -> bool:
    return execution_id in _ended


def is_over(execution_id: str) -> bool:
    """Whether what was attached has gone, so that nothing waits for an answer of it."""
    return has_ended(execution_id) or was_left(execution_id)


def _release(attachment: Attachment) -> None:
    """Detach in a thread: drivers may wait long for a cluster that has gone."""

    def work() -> None:
        with suppress(Exception):
            attachment.kind.detach(attachment.value, is_over=is_over(attachment.execution_id))

    thread = threading.Thread(target=work, name=f"zoe-detach-{attachment.execution_name}", daemon=True)
    thread.start()
    thread.join(EXIT_S)


def _drop_lease(attachment: Attachment, api: Api) -> None:
    if attachment.heartbeat is not None:
        attachment.heartbeat.stop()
    if attachment.lease_id and not has_ended(attachment.execution_id):
        with suppress(Exception):
            api.drop_lease(attachment.execution_id, attachment.lease_id, timeout_s=EXIT_S)


def _leave() -> None:
    """At the end of the process: a driver that was not stopped can hang the interpreter. The leases end with the kernel."""
    while _attachments:
        attachment = _attachments.pop()
        if attachment.heartbeat is not None:
            attachment.heartbeat.stop()
        _release(attachment)
