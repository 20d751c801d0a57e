"""What a site may set, in ``jupyter_zoe_config.py`` or the Jupyter server's own configuration file: ``c.Zoe.backend = "local"``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from traitlets import Bool, Dict, Float, Integer, List, Unicode
from traitlets.config import Configurable

if TYPE_CHECKING:
    from zoe_jupyter.engine.settings import Settings


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

    deployment = Unicode(
        "zoe",
        help="""Name that tells the services of several Zoe apart on one backend. Two Zoe with the same name on one
        backend would take each other's services for orphans; changing it while services run orphans them.""",
    ).tag(config=True)

    silence_s = Float(
        86400.0,
        min=0.0,
        help="""How many seconds executions outlive a Zoe that is not heard from. Too small: a weekend's job dies when
        the Jupyter server is stopped. Too large: forgotten services go on after Zoe was uninstalled.""",
    ).tag(config=True)

    history_days = Float(
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
        from zoe_jupyter.engine.settings import Settings

        return Settings(
            data_dir=folder,
            database_url=self.database_url,
            backend=self.backend,
            backend_options=_plain(self.backend_options),
            policy=self.policy,
            shop_sources=tuple(self.shop_sources),
            trusted_sources=tuple(self.trusted_sources),
            deployment=self.deployment,
            silence_s=self.silence_s,
            history_days=self.history_days,
            submits_at_once=self.submits_at_once,
            is_embedded=is_embedded,
        )


def _plain(options: Any) -> dict[str, Any]:
    return dict(options)
