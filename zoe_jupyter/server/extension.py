"""Zoe in a Jupyter server. At Jupyter's start this must cost nearly nothing: the core and everything heavy come at the first use."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join
from tornado.routing import PathMatches, Rule

from zoe_jupyter.server.config import Zoe
from zoe_jupyter.server.files import clean_stale, remove_address, write_address
from zoe_jupyter.server.home import Home
from zoe_jupyter.server.jupyter_handlers import ApiHandler, EventsHandler, UpgradeMatches
from zoe_jupyter.server.kernels import Desk, KernelWitness
from zoe_jupyter.server.lazy_proxy import PATTERN, LazyProxy
from zoe_jupyter.server.lending import build, lend, lend_folder, take_back
from zoe_jupyter.server.sockets import Listener
from zoe_jupyter.server.visitors import embedded_user
from zoe_jupyter.server.wire import API_PATH, Visitor

VARIABLE = "ZOE_CONNECTION_FILE"


class ZoeExtension(ExtensionApp):
    """Zoe runs data-analytics applications: Spark, Dask and others, from the notebook."""

    name = "zoe"
    load_other_extensions = True
    classes = [Zoe]

    def initialize_settings(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []
        self.zoe = Zoe(parent=self)
        data_dir = Path(jupyter_data_dir())
        self.folder = _state_folder(data_dir)
        self.visitor = Visitor(embedded_user(), self.zoe.is_admin, secrets.token_hex(8), sys.executable)
        self.home = Home(self.folder, self._open_core, self.visitor)
        self.desk = Desk(self.home)
        self.listener = Listener(self.desk, self.visitor)
        self.file = data_dir / "zoe" / "servers" / f"{self.visitor.server}.json"
        self._announce()

    def initialize_handlers(self) -> None:
        assert self.serverapp is not None
        app = self.serverapp.web_app
        base = url_path_join(app.settings["base_url"], API_PATH)
        options = {"desk": self.desk, "visitor": self.visitor}
        to_page = {"home": self.home, "visitor": self.visitor}
        rules = [
            Rule(UpgradeMatches(f"{base}events"), EventsHandler, options),
            Rule(PathMatches(f"{base}(.*)"), ApiHandler, options),
            Rule(PathMatches(url_path_join(app.settings["base_url"], PATTERN)), LazyProxy, to_page),
        ]
        app.add_handlers(".*$", rules)
        self.serverapp.io_loop.add_callback(self._begin)

    async def stop_extension(self) -> None:
        """Called by Jupyter before its kernels end; executions run on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._withdraw()
        await self.listener.close()
        await self.home.close()

    def _open_core(self) -> Any:
        """On the core's own thread."""
        from zoe_jupyter.engine.core import open_core

        return open_core(self.zoe.settings(self.folder, is_embedded=True))

    def _announce(self) -> None:
        """Let kernels and shells that this server starts find it: they inherit the environment."""
        clean_stale(self.file.parent)
        self.listener.bind(self.folder, f"{self.visitor.server}.sock")
        write_address(self.file, self.listener.described())
        os.environ[VARIABLE] = str(self.file)
        self._lent = lend_folder(self.folder, _version())
        lend(self._lent)

    def _withdraw(self) -> None:
        remove_address(self.file)
        if os.environ.get(VARIABLE) == str(self.file):
            del os.environ[VARIABLE]
        take_back(self._lent)

    def _begin(self) -> None:
        """On Jupyter's running loop, with its address known."""
        assert self.serverapp is not None
        self.listener.start()
        write_address(self.file, self.listener.described(url=self.serverapp.connection_url))
        witness = KernelWitness(
            self.home,
            self.desk,
            self.visitor,
            kernel_ids=self.serverapp.kernel_manager.list_kernel_ids,
            database=self.folder / "zoe.db",
        )
        for name, work in (("kernels", witness.watch()), ("lending", asyncio.to_thread(build, self._lent))):
            self._tasks.append(asyncio.ensure_future(work))
            self._tasks[-1].set_name(f"zoe {name}")


def _state_folder(data_dir: Path) -> Path:
    from zoe_jupyter.store.location import state_folder

    return state_folder(data_dir)


def _version() -> str:
    from zoe_jupyter._version import __version__

    return __version__
