"""The JSON of quotas, and of what would be under other rules; see ``schemas.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from zoe_jupyter.server.schemas import STRICT, AmountBody, WaitingBody


class Limited(str, Enum):
    EXECUTIONS = "executions"
    CORES = "cores"
    MEMORY = "memory"
    GPUS = "gpus"


@dataclass
class LimitRequest:
    """What is absent or null is not limited."""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    executions: int | None = None
    """That are admitted at a time; more wait."""
    cores: str | float | None = None
    memory: str | int | None = None
    """Such as ``16GiB``, or bytes."""
    gpus: int | None = None
    run: str | float | None = None
    """How long one execution may run: ``8h``, or seconds."""


@dataclass
class QuotaRequest:
    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    limit: LimitRequest = field(default_factory=LimitRequest)
    share: LimitRequest | None = None
    """What is its own and is given back to it when it waits; it may hold more, up to ``limit``, while others do not use theirs."""


@dataclass
class LimitBody:
    executions: int | None = None
    cores: float | None = None
    memory_bytes: int | None = None
    gpus: int | None = None
    run_s: float | None = None


@dataclass
class QuotaBody:
    owner: str
    """A user, ``group:NAME``, or ``default``."""
    group: str
    """The quota group of a user; empty: none."""
    is_own: bool
    """False: it is the default's."""
    share: LimitBody | None
    limit: LimitBody
    executions: int
    """That are admitted now."""
    held: AmountBody


@dataclass
class QuotaPage:
    items: list[QuotaBody]
    next_cursor: str | None = None


@dataclass
class WhatIfRequest:
    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT

    policy: str = ""
    """Another policy, by its short name."""
    quotas: dict[str, LimitRequest] = field(default_factory=dict)
    """Other limits, by user, ``group:NAME`` or ``default``; what is absent or null stays as it is. ``run`` decides nothing, and is refused."""
    unlimited: dict[str, list[Limited]] = field(default_factory=dict)
    """What is supposed not to be limited, by user, ``group:NAME`` or ``default``."""


@dataclass
class MoveBody:
    """One execution that would get or give room."""

    execution_id: str
    name: str
    owner: str
    core: int
    elastic: int
    gives_way_to: str = ""
    """For whose core it would give room: that one's id."""


@dataclass
class WhatIfBody:
    start: list[MoveBody]
    grow: list[MoveBody]
    shrink: list[MoveBody]
    preempt: list[MoveBody]
    waiting: list[WaitingBody]
