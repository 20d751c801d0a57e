"""The scheduler's reasons in the words of the form that somebody filled in: it knows resources, people know parameters."""

from __future__ import annotations

from dataclasses import replace

from zoe_jupyter.model.application import Application
from zoe_jupyter.model.execution import Reason


def in_own_words(reason: Reason, application: Application) -> Reason:
    """Name the parameters that may be lowered, where any decides the resource that is too much; ``numbers`` has the only one, too."""
    resource = str(reason.numbers.get("resource", ""))
    parameters = _deciding(application, str(reason.numbers.get("process", "")), resource)
    also = tuple(in_own_words(one, application) for one in reason.also)
    if not parameters:
        return replace(reason, also=also)
    text = reason.text.replace(f"`{resource}`", ", ".join(f"`{name}`" for name in parameters))
    numbers = {**reason.numbers, "parameter": parameters[0]} if len(parameters) == 1 else reason.numbers
    return replace(reason, text=text, numbers=numbers, also=also)


def _deciding(application: Application, name: str, resource: str) -> list[str]:
    """Of that process; without a name, of each: all of them together are too much."""
    found = (dict(p.decided_by).get(resource, "") for p in application.processes if name in ("", p.name))
    return sorted({parameter for parameter in found if parameter})
