"""What the core is told when it starts; the server makes it from traitlets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoe_jupyter.scheduler.snapshot import Rules

PRIORITY_CLASSES: Mapping[str, int] = {"interactive": 200, "batch": 100, "filler": 50}


@dataclass(frozen=True, slots=True)
class Settings:
    data_dir: Path
    """State of this user, mode 0700; on a file system of this host."""
    database_url: str = ""
    """Empty: SQLite in ``data_dir``."""
    backend: str = "local"
    """Short name or ``module:Class``."""
    backend_options: Mapping[str, Any] = field(default_factory=dict)
    """Keyword arguments of the backend's class, beside ``deployment`` and ``data_dir``."""
    policy: str = "fifo"
    rules: Rules = Rules()
    usage_half_life_s: float = 2 * 86400.0
    """What was used so long ago counts half for who goes first."""
    priority_classes: Mapping[str, int] = field(default_factory=lambda: dict(PRIORITY_CLASSES))
    """The higher goes first."""
    preemptible: tuple[str, ...] = ("filler",)
    """Priority classes whose executions may be taken back whole for a higher one, where ``rules`` say so at all."""
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Users by quota group; one is of the first group that names it."""
    shop_sources: tuple[str, ...] = ()
    """Folders of frameworks and ZApps beside those that Zoe ships; later ones win."""
    trusted_sources: tuple[str, ...] = ()
    """Those of them whose pages may share Jupyter's origin."""
    deployment: str = "zoe"
    """Tells executions of several Zoe apart on one backend."""
    silence_s: float = 86400.0
    """How long executions outlive a silent core."""
    is_embedded: bool = True
    """Hosted by a Jupyter server: when the core is silent for long, all kernels of this machine's Jupyter servers have gone too."""
    history_days: float = 90.0
    """Ended executions and their events are kept so long."""
    submits_at_once: int = 100
    """So many submits of one user may be under way; more are told to come back."""
