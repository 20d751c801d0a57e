"""``jupyter zoe serve``: the core alone, without a Jupyter server. Runs until SIGTERM or SIGINT; executions run on."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
from argparse import REMAINDER, ArgumentParser, Namespace
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyter_core.application import JupyterApp, NoStart
from jupyter_core.paths import jupyter_data_dir
from traitlets import Integer, TraitError, Unicode

from zoe_jupyter import plugins
from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.server.config import Zoe
from zoe_jupyter.server.files import clean_stale, read_address, remove_address, write_address
from zoe_jupyter.server.home import STANDING_BY, Home
from zoe_jupyter.server.identity import IdentityProvider
from zoe_jupyter.server.remote import RemoteCore
from zoe_jupyter.server.settings_files import JsonLoader, PyLoader, Unreadable, refuse_missing
from zoe_jupyter.server.sockets import Identify, Listener
from zoe_jupyter.server.visitors import embedded_user
from zoe_jupyter.server.wire import Visitor

LOOPBACK = ("127.0.0.1", "::1", "localhost")
OCCUPIED = 3
"""Exit code: another process is this user's Zoe already."""


class ServeApp(JupyterApp):
    """Configuration comes from ``jupyter_zoe_config.py`` and from options such as ``--Zoe.backend=local``."""

    name = "jupyter-zoe"
    description = "Run Zoe without JupyterLab: the same interface on a socket, for shells and programs with its token."
    classes = [Zoe]
    aliases = {
        "ip": "ServeApp.ip",
        "port": "ServeApp.port",
        "socket": "ServeApp.socket",
        "log-level": "Application.log_level",
        "config": "JupyterApp.config_file",
    }
    ip = Unicode(
        "127.0.0.1",
        help="Address to listen on, together with port. Beyond this host put TLS in front: the token is sent as it is.",
    ).tag(config=True)
    port = Integer(-1, help="Port to listen on; 0 is a free one. Absent: a Unix socket.").tag(config=True)
    socket = Unicode("", help="Path of the Unix socket to listen on. Absent: one in the state folder.").tag(config=True)
    identity_provider = Unicode(
        "",
        help="""Who the users are, beside the account that this runs as: ``module:Class`` of a subclass of
        ``zoe_jupyter.server.identity.IdentityProvider``. Absent: nobody else.""",
    ).tag(config=True)
    exit_code = 0
    python_config_loader_class = PyLoader
    json_config_loader_class = JsonLoader

    def load_config_file(self, suppress_errors: bool = True) -> None:  # type: ignore[override]
        """A file that is wrong, or not there, must not be in the way of writing a new one."""
        self.raise_config_file_errors = not self.generate_config
        if self.config_file and not self.generate_config:
            refuse_missing(self.config_file)
        super().load_config_file(suppress_errors)

    def start(self) -> None:
        with suppress(NoStart):  # raised once a configuration file was written, or something was shown
            super().start()
            self.exit_code = asyncio.run(self._serve())

    async def _serve(self) -> int:
        from zoe_jupyter.store.location import state_folder

        data_dir = Path(jupyter_data_dir())
        try:
            folder = state_folder(data_dir)
            zoe = Zoe(parent=self)
        except (ZoeError, TraitError) as error:
            print(f"Zoe could not be started: {getattr(error, 'message', error)}", file=sys.stderr)
            return 1
        visitor = Visitor(embedded_user(), zoe.is_admin, secrets.token_hex(8), sys.executable)
        home = Home(folder, lambda: _open_core(zoe, folder), visitor)
        try:
            seat = await home.seat()
        except ZoeError as error:
            print(f"Zoe could not be started: {error.message}", file=sys.stderr)
            if error.reason != STANDING_BY:
                return 1
        else:
            if isinstance(seat, RemoteCore) or not home.holds_core:
                return self._refuse(home.core_file)
        listener = Listener(home, visitor, identify=self._identify())
        file = data_dir / "zoe" / "servers" / f"{visitor.server}.json"
        try:
            self._bind(listener, folder, visitor.server)
            listener.start()
            clean_stale(file.parent)
            write_address(file, listener.described())
            print(json.dumps({"address": listener.address, "file": str(file)}), flush=True)
            await _stop_signal()
        finally:
            remove_address(file)
            await listener.close()
            await home.close()
        return 0

    def _identify(self) -> Identify | None:
        if not self.identity_provider:
            return None
        provider: IdentityProvider = plugins.load("zoe_jupyter.identities", self.identity_provider)(parent=self)
        return provider.identify

    def _bind(self, listener: Listener, folder: Path, server: str) -> None:
        if self.socket:
            listener.bind_path(self.socket)
        elif self.port >= 0:
            if self.ip not in LOOPBACK:
                self.log.warning("listening on %s: the token is sent as it is, put TLS in front", self.ip)
            listener.bind_tcp(self.ip, self.port)
        else:
            listener.bind(folder, f"{server}.sock")

    def _refuse(self, core_file: Path) -> int:
        address = read_address(core_file)
        who = f"in process {address.pid}" if address else "in another process"
        print(f"Zoe is running already {who}; its address is in {core_file}", file=sys.stderr)
        return OCCUPIED


class ServeCommand:
    """The command ``serve`` of ``jupyter zoe``."""

    name = "serve"
    help = "Run Zoe without JupyterLab."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Every word is read by traitlets, ``--help`` included."""
        parser.add_argument("words", nargs=REMAINDER, metavar="--OPTION=VALUE")

    def run(self, args: Namespace | Sequence[str]) -> int:
        """Returns the exit code when it was told to stop."""
        words = list(args.words if isinstance(args, Namespace) else args)
        app: Any = ServeApp.instance()
        try:
            app.initialize(words)
        except Unreadable as error:
            print(f"Zoe could not be started: {error.message}", file=sys.stderr)
            return 1
        app.start()
        return int(app.exit_code)


def _open_core(zoe: Zoe, folder: Path) -> Any:
    # jsonschema takes over a second to load this parser, for a format that Zoe does not check. It is optional to it.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    from zoe_jupyter.engine.core import open_core

    return open_core(zoe.settings(folder, is_embedded=False))


async def _stop_signal() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    await stopped.wait()
