"""The images of the frameworks that Zoe ships, built by its own command, without a registry and without an index."""

from __future__ import annotations

import contextlib
import hashlib
import io
from typing import Any

from tests.backends.docker import kernel_image
from zoe_jupyter.model.images import OWN_PREFIX
from zoe_jupyter.server.image_command import ImageCommand
from zoe_jupyter.shop.sources import shipped_folder

PREFIX = "zoe-test/framework-"
LAB = "zoe-test/jupyter"
"""What has a JupyterLab, which is more than packages."""
TAGS = {"dask": "dask:1", "jupyter": "jupyter:4", "python-job": "python-job:1", "spark": "spark:4"}


def ensure(client: Any, *names: str) -> str:
    """Build those that are not there, or whose files have changed; the prefix of their names."""
    for name in names:
        base = kernel_image.ensure_base(client, LAB) if name == "jupyter" else kernel_image.ensure(client)
        mark = f"{PREFIX}{name}:{_mark(client, name, base)}"
        if not client.images(name=mark):
            with contextlib.redirect_stdout(io.StringIO()):
                assert ImageCommand().run(["build", name, "--base", base, "--prefix", PREFIX, "--quiet"]) == 0
            client.tag(f"{PREFIX}{TAGS[name]}", *mark.split(":"))
    assert PREFIX != OWN_PREFIX
    return PREFIX


def _mark(client: Any, name: str, base: str) -> str:
    """Of all that goes into the image."""
    digest = hashlib.sha256(client.inspect_image(base)["Id"].encode())
    for path in sorted((shipped_folder() / name).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(str(path).encode() + path.read_bytes())
    return digest.hexdigest()[:16]
