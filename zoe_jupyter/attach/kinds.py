"""Attach kinds by name. Those of Zoe are found also where it was lent to the kernel as bare code, without entry points."""

from __future__ import annotations

from typing import cast

from zoe_jupyter import plugins
from zoe_jupyter.attach.base import Attach
from zoe_jupyter.model.errors import NotFound

GROUP = "zoe_jupyter.attach"
_OWN = {"spark": "zoe_jupyter.attach.spark:SparkAttach", "dask": "zoe_jupyter.attach.dask:DaskAttach"}


def kind_names() -> list[str]:
    return sorted({*_OWN, *plugins.names(GROUP)})


def find_kind(name: str) -> Attach | None:
    """The attach kind of that name; None when nothing installed understands it."""
    try:
        return cast(Attach, plugins.load(GROUP, _OWN.get(name, name))())
    except NotFound:
        return None
