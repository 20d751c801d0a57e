"""The scheduler's reasons in the words of the form that somebody filled in: it knows resources, people know parameters."""

from __future__ import annotations

from dataclasses import replace

from zoe_jupyter.model.application import Application
from zoe_jupyter.model.execution import Reason


def in_own_words(reason: Reason, application: Application) -> Reason:
    """Name the parameter that is to be lowered, where one decides the resource that is too much; ``numbers`` has it too."""
    resource = str(reason.numbers.get("resource", ""))
    parameter = _decided_by(application, str(reason.numbers.get("process", ""))).get(resource, "")
    also = tuple(in_own_words(one, application) for one in reason.also)
    if not parameter:
        return replace(reason, also=also)
    text = reason.text.replace(f"`{resource}`", f"`{parameter}`")
    return replace(reason, text=text, numbers={**reason.numbers, "parameter": parameter}, also=also)


def _decided_by(application: Application, name: str) -> dict[str, str]:
    return next((dict(process.decided_by) for process in application.processes if process.name == name), {})
