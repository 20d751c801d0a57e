"""Starts JupyterLab behind Zoe's proxy, in the environment that has it.

The proxy takes the public path away and tells it in a header; addresses in pages begin with what the header says. Kernels find the
engines that this JupyterLab was connected to in their environment.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

PREFIX = re.compile(r"(?:/[A-Za-z0-9._~%@!$&'()*+,;=:-]+)+", re.ASCII)


def main() -> None:
    file = Path(sys.argv[1])
    settings = json.loads(file.read_text(encoding="utf-8"))
    os.environ.update(_addresses(settings, file.parent))
    runtime = file.parent / "runtime"
    runtime.mkdir(mode=0o700, exist_ok=True)
    os.environ["JUPYTER_RUNTIME_DIR"] = str(runtime)
    from jupyterlab.labapp import LabApp

    _follow_proxy()
    LabApp.launch_instance(argv=[f"--config={_configuration(settings, file.parent)}"])


def _addresses(settings: dict[str, Any], folder: Path) -> dict[str, str]:
    """Where the engines are and what lets one in, as their own libraries look for it."""
    spark, dask = settings.get("spark") or {}, settings.get("dask") or {}
    pem = _private(folder / "dask.pem", dask["tls"]) if dask.get("tls") else ""
    found = {
        "SPARK_REMOTE": spark.get("url"),
        "SPARK_CONNECT_AUTHENTICATE_TOKEN": spark.get("token") if spark.get("url") else None,
        "DASK_SCHEDULER_ADDRESS": dask.get("address"),
        **{f"DASK_DISTRIBUTED__COMM__TLS__{name}": pem for name in ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY")},
    }
    return {name: value for name, value in found.items() if value}


def _configuration(settings: dict[str, Any], folder: Path) -> Path:
    root = Path(settings["folder"] or folder / "notebooks")
    if not settings["folder"]:
        root.mkdir(exist_ok=True)
    content = {
        "ServerApp": {
            "ip": settings["host"],
            "port": settings["port"],
            "port_retries": 0,
            "open_browser": False,
            "root_dir": str(root),
            "allow_root": True,
            "allow_remote_access": True,
            "quit_button": True,
            "use_redirect_file": False,
        },
        "IdentityProvider": {"token": settings["token"]},
    }
    return Path(_private(folder / "jupyter_server_config.json", json.dumps(content)))


def _private(file: Path, content: str) -> str:
    """Write a file that only this user can read; returns its path."""
    file.touch(mode=0o600)
    file.write_text(content, encoding="utf-8")
    return str(file)


def _follow_proxy() -> None:
    """Let addresses in pages begin with the public path, which requests through the proxy tell."""
    from jupyter_server.serverapp import ServerWebApplication

    find_handler = ServerWebApplication.find_handler

    def find(self: Any, request: Any, **arguments: Any) -> Any:
        prefix = request.headers.get("X-Forwarded-Prefix", "")
        base = f"{prefix.rstrip('/')}/"
        if PREFIX.fullmatch(prefix) and self.settings["base_url"] != base:
            _move(self.settings, base)
        return find_handler(self, request, **arguments)

    ServerWebApplication.find_handler = find


def _move(settings: dict[str, Any], base: str) -> None:
    """Change where pages believe to be; where requests arrive stays."""
    server = settings["serverapp"]
    old = settings["base_url"]
    settings["base_url"] = server.base_url = base
    settings["static_url_prefix"] = f"{base}static/"
    settings["login_url"] = f"{base}login"
    settings.get("page_config_data", {}).pop("fullStaticUrl", None)
    for applications in server.extension_manager.extension_apps.values():
        for application in applications:
            if application.static_url_prefix.startswith(old):
                application.static_url_prefix = base + application.static_url_prefix.removeprefix(old)


if __name__ == "__main__":
    main()
