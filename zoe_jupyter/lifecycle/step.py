"""One event happens to one execution. Pure: the same input gives the same output, and nothing else is touched."""

from __future__ import annotations

from zoe_jupyter.lifecycle.draft import Draft
from zoe_jupyter.lifecycle.effects import Effect
from zoe_jupyter.lifecycle.events import Event
from zoe_jupyter.lifecycle.lifetime import next_due
from zoe_jupyter.lifecycle.progress import worked
from zoe_jupyter.lifecycle.story import describe
from zoe_jupyter.lifecycle.table import TABLE
from zoe_jupyter.model.errors import InvalidTransition
from zoe_jupyter.model.execution import Execution

__all__ = ["next_due", "step"]


def step(execution: Execution, event: Event, now: float) -> tuple[Execution, tuple[Effect, ...]]:
    """Say what the execution becomes, and what follows: the records in the order of happening, then what to do.

    ``now`` is in epoch seconds. Raises Conflict when a user asked for what its state does not allow, and InvalidTransition,
    with the story, when the caller is wrong.
    """
    rule = TABLE.get((execution.state, type(event)))
    if rule is None:
        raise InvalidTransition(
            f"{type(event).__name__} cannot happen to an execution that is {execution.state.value}\n{describe(execution)}"
        )
    draft = Draft(execution, now)
    try:
        rule(draft, event)
    except InvalidTransition as error:
        raise InvalidTransition(f"{type(event).__name__}: {error.message}\n{describe(execution)}") from error
    after, effects = draft.done()
    return worked(execution, after, now), effects
