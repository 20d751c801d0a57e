"""Zoe in a Jupyter server. At Jupyter's start this must cost nearly nothing: the core and everything heavy come at the first use."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from jupyter_server.extension.application import ExtensionApp
from jupyter_server.utils import url_path_join
from tornado.routing import PathMatches, Rule
from traitlets import TraitError

from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.server.config import Zoe
from zoe_jupyter.server.farewell import farewell
from zoe_jupyter.server.files import clean_stale, remove_address, write_address
from zoe_jupyter.server.home import Home
from zoe_jupyter.server.jupyter_handlers import ApiHandler, EventsHandler, UpgradeMatches
from zoe_jupyter.server.kernels import Desk, KernelWitness
from zoe_jupyter.server.lazy_proxy import PAGE, TICKET, LazyProxy, LazyTicketProxy
from zoe_jupyter.server.lending import build, lend, lend_folder, take_back
from zoe_jupyter.server.settings_files import JsonLoader, PyLoader, Unreadable, refuse_passed_over
from zoe_jupyter.server.sockets import Listener
from zoe_jupyter.server.visitors import embedded_user
from zoe_jupyter.server.wire import API_PATH, Answerer, Visitor, WireAnswer, WireRequest

VARIABLE = "ZOE_CONNECTION_FILE"


class ZoeExtension(ExtensionApp):
    """Zoe runs data-analytics applications: Spark, Dask and others, from the notebook."""

    name = "zoe"
    load_other_extensions = True
    classes = [Zoe]
    python_config_loader_class = PyLoader
    json_config_loader_class = JsonLoader
    wrong: ZoeError | None = None
    """What keeps its settings from being read: Zoe does not start, Jupyter does."""

    def load_config_file(self, suppress_errors: bool = True) -> None:  # type: ignore[override]
        self.raise_config_file_errors = True
        try:
            super().load_config_file(suppress_errors)
            if self.serverapp is not None:
                refuse_passed_over(self.serverapp)
        except Unreadable as error:
            self.wrong = error
        except OSError as error:
            self.wrong = ZoeError(f"its settings cannot be read: {error}")

    def initialize_settings(self) -> None:
        self.visitor = _visitor(is_admin=False)
        self.presence: Presence | None = None
        zoe = self._settings()
        try:
            self.visitor = _visitor(is_admin=zoe.is_admin and self.wrong is None)
            self.presence = Presence(zoe, self.visitor, Path(jupyter_data_dir()), wrong=self.wrong)
        except (OSError, ZoeError) as error:
            self.log.error("Zoe cannot work in this server: %s", error)
            self.desk: Answerer = Refusing(f"Zoe cannot work in this server: {error}")
        else:
            self.desk = self.presence.desk

    def _settings(self) -> Zoe:
        """Those that nobody has set, where what was set is wrong."""
        try:
            zoe = Zoe(parent=self)
        except TraitError as error:
            zoe, self.wrong = Zoe(), self.wrong or ZoeError(str(error))
        if self.wrong is not None:
            self.log.error("Zoe could not be started: %s", self.wrong.message)
        return zoe

    def initialize_handlers(self) -> None:
        assert self.serverapp is not None
        app = self.serverapp.web_app
        base = url_path_join(app.settings["base_url"], API_PATH)
        options = {"desk": self.desk, "visitor": self.visitor}
        rules = [
            Rule(UpgradeMatches(f"{base}events"), EventsHandler, options),
            Rule(PathMatches(f"{base}(.*)"), ApiHandler, options),
            Rule(PathMatches(url_path_join(app.settings["base_url"], PAGE)), LazyProxy, options),
            Rule(PathMatches(url_path_join(app.settings["base_url"], TICKET)), LazyTicketProxy, options),
        ]
        app.add_handlers(".*$", rules)
        if self.presence is not None:
            self.serverapp.io_loop.add_callback(self.presence.begin, self.serverapp)

    async def stop_extension(self) -> None:
        """Called by Jupyter before its kernels end; executions run on."""
        if self.presence is not None:
            if said := await farewell(self.presence.home, self.visitor):
                self.log.info(said)
            await self.presence.end()


class Presence:
    """This server's part in Zoe: the way to the core, and the socket on which its kernels and shells find it."""

    def __init__(self, zoe: Zoe, visitor: Visitor, data_dir: Path, *, wrong: ZoeError | None) -> None:
        from zoe_jupyter.store.location import state_folder

        self._zoe = zoe
        self._visitor = visitor
        self._tasks: list[asyncio.Task[Any]] = []
        self.folder = state_folder(data_dir)
        self.home = Home(self.folder, lambda: _open(zoe, self.folder, wrong), visitor)
        self.desk = Desk(self.home)
        self.listener = Listener(self.desk, visitor)
        self.file = data_dir / "zoe" / "servers" / f"{visitor.server}.json"
        self._lent = lend_folder(self.folder, _version())
        self._announce()

    def begin(self, serverapp: Any) -> None:
        """On Jupyter's running loop, when its address is known."""
        self.listener.start()
        write_address(self.file, self.listener.described(url=serverapp.connection_url))
        kernel_ids = serverapp.kernel_manager.list_kernel_ids
        database = None if self._zoe.database_url else self.folder / "zoe.db"
        witness = KernelWitness(self.home, self.desk, self._visitor, kernel_ids=kernel_ids, database=database)
        for name, work in (("kernels", witness.watch()), ("lending", asyncio.to_thread(build, self._lent))):
            self._tasks.append(asyncio.ensure_future(work))
            self._tasks[-1].set_name(f"zoe {name}")

    async def end(self) -> None:
        """Leave nothing behind but executions that run on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._withdraw()
        await self.listener.close()
        await self.home.close()

    def _announce(self) -> None:
        """Let kernels and shells that this server starts find it: they inherit the environment."""
        clean_stale(self.file.parent)
        self.listener.bind(self.folder, f"{self._visitor.server}.sock")
        write_address(self.file, self.listener.described())
        os.environ[VARIABLE] = str(self.file)
        lend(self._lent)

    def _withdraw(self) -> None:
        remove_address(self.file)
        if os.environ.get(VARIABLE) == str(self.file):
            del os.environ[VARIABLE]
        take_back(self._lent)


class Refusing:
    """Answers everything with the reason why there is no Zoe here."""

    def __init__(self, message: str) -> None:
        self._body = json.dumps({"message": message, "reason": "unavailable", "details": {}}).encode()

    async def answer(self, request: WireRequest) -> WireAnswer:
        return WireAnswer(503, self._body, {"Content-Type": "application/json"})


def _open(zoe: Zoe, folder: Path, wrong: ZoeError | None) -> Any:
    if wrong is not None:
        raise wrong
    return open_core(zoe, folder)


def open_core(zoe: Zoe, folder: Path) -> Any:
    """On the core's own thread: everything heavy is imported here."""
    from zoe_jupyter.engine import core

    return core.open_core(zoe.settings(folder, is_embedded=True))


def _visitor(*, is_admin: bool) -> Visitor:
    return Visitor(embedded_user(), is_admin, secrets.token_hex(8), sys.executable)


def _version() -> str:
    from zoe_jupyter._version import __version__

    return __version__
