"""What a site may set, in ``jupyter_zoe_config.py`` or the Jupyter server's own configuration file: ``c.Zoe.backend = "local"``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Dict, Enum, Float, Integer, List, TraitError, Unicode
from traitlets.config import Configurable

if TYPE_CHECKING:
    from zoe_jupyter.engine.settings import Settings
    from zoe_jupyter.scheduler.snapshot import Rules

_MOST = 1e10
"""Seconds of 300 years."""
_LONGEST_NAME = 100
"""Bytes."""


class _Amount(Float):  # type: ignore[type-arg]
    """A number that can be reckoned with: Python reads ``nan`` and ``inf`` as numbers, too."""

    def validate(self, obj: Any, value: Any) -> Any:
        number = super().validate(obj, value)
        if not math.isfinite(number) or number > _MOST:
            raise TraitError(f"{self.name} must be a number of at most {_MOST:g}, not {number:g}")
        return number


class _Name(Unicode):  # type: ignore[type-arg]
    """A name that has room beside others in one of 255 bytes, as file systems have them."""

    def validate(self, obj: Any, value: Any) -> Any:
        name = super().validate(obj, value)
        if len(name.encode()) > _LONGEST_NAME:
            raise TraitError(f"{self.name} may have {_LONGEST_NAME} bytes, not {len(name.encode())}")
        return name


class Zoe(Configurable):
    """Zoe's core: where executions run, how they are scheduled, and where the state is kept."""

    backend = Unicode(
        "local",
        help="""What runs the services: the short name of an installed backend, or ``module:Class``.
        ``local`` starts plain processes on this machine.""",
    ).tag(config=True)

    backend_options = Dict(
        help="""Options of the backend's class by name, beside those that Zoe gives it. Empty: the backend's own defaults. On the
        command line one at a time: ``--Zoe.backend_options=overcommit=2``. One that the backend does not have, or cannot read, keeps
        Zoe from starting, and is told.""",
    ).tag(config=True)

    database_url = Unicode(
        "",
        help="""SQLAlchemy URL of the database with executions and events, such as
        ``postgresql+psycopg://zoe@db/zoe``. Empty: an SQLite file in the state folder. Changing it makes Zoe forget
        what runs: stop everything first.""",
    ).tag(config=True)

    policy = Unicode(
        "fifo",
        help="""Who goes first when not everything fits: the short name of an installed policy, or ``module:Class``.""",
    ).tag(config=True)

    placement = Enum(
        ["spread", "pack", "random"],
        "spread",
        help="""On which nodes services go: ``spread`` takes those with most room, ``pack`` those with least, so that whole nodes
        stay free for large ones, ``random`` any.""",
    ).tag(config=True)

    reclaim = Bool(
        True,
        help="""Whether elastic services give way to the core of one that waits, of their own or a higher priority class. False:
        who runs keeps all that it got, and others wait longer.""",
    ).tag(config=True)

    protection_s = _Amount(
        60.0,
        min=0.0,
        help="""Seconds after giving way in which an execution does not grow again, unless nobody waits. Too small: services come and
        go. Too large: room stays unused after a burst.""",
    ).tag(config=True)

    reserve_after_s = _Amount(
        300.0,
        min=0.0,
        allow_none=True,
        help="""After so many seconds of waiting the first in the queue gets a reservation: others of its class, or a lower one,
        are let past it only where they do not delay it. Too small: less is let past. None: never, and something large may wait for long.""",
    ).tag(config=True)

    ageing_s = _Amount(
        86400.0,
        min=1.0,
        allow_none=True,
        help="""Who waits for so many seconds goes before all others of its priority class, and after as long again before the next class.
        None: never, and something of a low class may wait for ever.""",
    ).tag(config=True)

    preempts = Bool(
        False,
        help="""Whether whole executions are taken back for one of a higher priority class, and wait again; what they have done is lost.
        Only those of the classes in ``preemptible``.""",
    ).tag(config=True)

    preemptible = List(
        Unicode(),
        ["filler"],
        help="""Priority classes whose executions ``preempts`` may take back whole.""",
    ).tag(config=True)

    priority_classes = Dict(
        key_trait=Unicode(),
        value_trait=Integer(min=0, max=1_000_000),
        help="""More priority classes by name, or other numbers for ``interactive`` (200), ``batch`` (100) and ``filler`` (50); the
        higher goes first, from 0 to 1000000. Executions that were submitted keep their number.""",
    ).tag(config=True)

    groups = Dict(
        key_trait=Unicode(),
        value_trait=List(Unicode()),
        help="""Users by quota group: ``{"physics": ["ada", "grace"]}``. Members share the quota ``group:physics`` and lend each other
        what they do not use. Somebody who is in several counts for the first.""",
    ).tag(config=True)

    usage_half_life_s = _Amount(
        172800.0,
        min=1.0,
        help="""For the policy ``fair``: what somebody used so many seconds ago counts half, and twice as long ago a quarter. Too small: who
        has just ended goes first again. Too large: who used much once waits for long. Two days unless set.""",
    ).tag(config=True)

    shop_sources = List(
        Unicode(),
        help="""Folders with more frameworks and ZApps, beside those that Zoe ships. Of two entries with one name, the
        one of the later folder counts.""",
    ).tag(config=True)

    trusted_sources = List(
        Unicode(),
        help="""Those of ``shop_sources`` whose web pages may act as the user in Jupyter, as what Zoe ships may. Pages of the
        others are shown in a sandbox: they cannot, and those that keep a login in a cookie do not work.""",
    ).tag(config=True)

    deployment = _Name(
        "zoe",
        help="""Name that tells the services of several Zoe apart on one backend. Two Zoe with the same name on one
        backend would take each other's services for orphans; changing it while services run orphans them.""",
    ).tag(config=True)

    silence_s = _Amount(
        86400.0,
        min=0.0,
        help="""How many seconds executions outlive a Zoe that is not heard from. Too small: a weekend's job dies when
        the Jupyter server is stopped. Too large: forgotten services go on after Zoe was uninstalled.""",
    ).tag(config=True)

    history_days = _Amount(
        90.0,
        min=0.0,
        help="""How many days ended executions and their events are kept. Larger: more disk (about 10 kB each).""",
    ).tag(config=True)

    submits_at_once = Integer(
        100,
        min=1,
        help="""How many submits (and checks of descriptions) of one user may be under way. One more is answered with status
        429 and ``Retry-After``, and clients send it again. Too small: scripts with many threads wait often. Too large: one
        user's storm takes much memory; other users are served in turn all the same.""",
    ).tag(config=True)

    is_admin = Bool(
        True,
        help="""Whether the user of this Jupyter server is Zoe's admin too: sees everyone's executions in its database,
        and support applications in the shop. Set to False where several users share one ``database_url``.""",
    ).tag(config=True)

    def settings(self, folder: Path, *, is_embedded: bool) -> Settings:
        """What the core is told; imports the engine's light part only."""
        from zoe_jupyter.engine.settings import PRIORITY_CLASSES, Settings

        return Settings(
            data_dir=folder,
            database_url=self.database_url,
            backend=self.backend,
            backend_options=_plain(self.backend_options),
            policy=self.policy,
            rules=self._rules(),
            usage_half_life_s=self.usage_half_life_s,
            priority_classes={**PRIORITY_CLASSES, **self.priority_classes},
            preemptible=tuple(self.preemptible),
            groups={name: tuple(users) for name, users in self.groups.items()},
            shop_sources=tuple(self.shop_sources),
            trusted_sources=tuple(self.trusted_sources),
            deployment=self.deployment,
            silence_s=self.silence_s,
            history_days=self.history_days,
            submits_at_once=self.submits_at_once,
            is_embedded=is_embedded,
        )

    def _rules(self) -> Rules:
        from zoe_jupyter.scheduler.snapshot import Rules, Strategy

        return Rules(
            placement=Strategy(self.placement),
            reclaims=self.reclaim,
            protection_s=self.protection_s,
            reserve_after_s=self.reserve_after_s,
            ageing_s=self.ageing_s,
            preempts=self.preempts,
        )


def _plain(options: Any) -> dict[str, Any]:
    return dict(options)
