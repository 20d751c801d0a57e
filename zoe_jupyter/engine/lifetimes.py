"""When an execution would go away by itself, and what the backend is told about it for times without a core."""

from __future__ import annotations

from zoe_jupyter.backends.base import Bounds
from zoe_jupyter.model.execution import Execution


def ends_at(execution: Execution) -> float | None:
    """Epoch seconds at which it goes away as things stand now; None when nothing is due."""
    lifetime = execution.lifetime
    moments = [
        execution.started_at + lifetime.after_s
        if execution.started_at is not None and lifetime.after_s is not None
        else None,
        execution.idle_since + lifetime.idle_s
        if execution.idle_since is not None and lifetime.idle_s is not None
        else None,
        execution.unleased_since + lifetime.grace_s
        if execution.unleased_since is not None and lifetime.together_with is not None
        else None,
    ]
    return min((moment for moment in moments if moment is not None), default=None)


def bounds(execution: Execution, *, silence_s: float, is_embedded: bool) -> Bounds:
    """How long it may outlive the core's silence.

    Idle time is left out: only a core can tell it. Where Jupyter servers host the core, silence means that they and their kernels have gone,
    so what lives together with them gets its grace and no more.
    """
    lifetime = execution.lifetime
    moments = []
    if execution.started_at is not None and lifetime.after_s is not None:
        moments.append(execution.started_at + lifetime.after_s)
    if execution.unleased_since is not None and lifetime.together_with is not None:
        moments.append(execution.unleased_since + lifetime.grace_s)
    if is_embedded and lifetime.together_with is not None:
        silence_s = min(silence_s, lifetime.grace_s)
    return Bounds(ends_at=min(moments, default=None), silence_s=silence_s)
