"""Dask: a ``distributed.Client`` that is the kernel's default."""

from __future__ import annotations

import asyncio
import logging
import sys
import warnings
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import suppress
from typing import Any

from zoe_jupyter.attach.base import Findings
from zoe_jupyter.attach.versions import (
    RESTART,
    install_line,
    installed,
    of_cluster,
    python_warning,
    release,
    restart_problem,
)

_TIMEOUT_S = 20
_CLOSE_S = 3


class DaskAttach:
    kind = "dask"
    variable = "client"

    def check(self, environment: Mapping[str, Any] | None) -> Findings:
        here, there = installed("distributed"), of_cluster(environment or {}, "distributed", "dask")
        if not here:
            return Findings(
                (f"This kernel ({sys.executable}) has no dask.distributed. Install it with {_install(there)}{RESTART}",)
            )
        problems, warned = _compared(here, there)
        return Findings(
            (*restart_problem("distributed", here), *problems),
            (*warned, *python_warning(environment or {}, what="functions sent to Dask's workers")),
        )

    def prepare(self) -> None:
        with suppress(ImportError):
            import distributed  # noqa: F401
        logging.getLogger("distributed.client").addFilter(_is_news)
        warnings.filterwarnings("ignore", message=_OF_PYTHON_ALONE)

    def attach(
        self,
        connection: Mapping[str, Any],
        namespace: MutableMapping[str, Any],
        variable: str,
        *,
        is_over: Callable[[], bool],
    ) -> tuple[str, ...]:
        from distributed import Client

        address = str(connection["values"].get("address") or connection["values"]["url"])
        namespace[variable] = Client(address, set_as_default=True, timeout=_TIMEOUT_S, **_security(connection))
        return (variable,)

    def works(self, value: Any) -> bool:
        try:
            return bool(value.status == "running" and value.scheduler_info(n_workers=0) is not None)
        except TypeError:
            return bool(value.status == "running")
        except Exception:  # whatever the driver raises, it does not work
            return False

    def describe(self, value: Any) -> str:
        workers = len(value.nthreads())
        return f"Dask with {workers} worker{'' if workers == 1 else 's'}"

    def lose(self, value: Any) -> None:
        """Left alone, the client looks for its scheduler for 20 s, and then writes an error into the cell that attached it."""
        value.close(timeout=_CLOSE_S)

    def detach(self, value: Any, *, is_over: bool) -> None:
        value.close(timeout=0 if is_over else _CLOSE_S)


_OF_PYTHON_ALONE = r"Mismatched versions found\n\n\+[-+]+\+\n\| Package [^\n]*\n\+[-+]+\+\n\| python [^\n]*\n\+[-+]+\+$"
"""distributed's table with one row, also where only the patch differs; ``check`` tells what matters of it."""


def _is_news(record: logging.LogRecord) -> bool:
    """That a client is closed before all of it has said goodbye is what we ask for in ``detach``; distributed logs a traceback for it."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


def _security(connection: Mapping[str, Any]) -> dict[str, Any]:
    """Mutual TLS where the cluster has a certificate of its own; key and certificate are one PEM text, which stays in memory."""
    found = {key.rpartition(".")[2]: str(value) for key, value in (connection.get("secrets") or {}).items()}
    if not (pem := found.get("tls")):
        return {}
    from distributed import Security

    return {"security": Security(tls_ca_file=pem, tls_client_cert=pem, tls_client_key=pem, require_encryption=True)}


def _compared(here: str, there: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Dask promises nothing between releases: another month breaks, another patch may."""
    if not there or release(here) == release(there):
        return (), ()
    difference = f"kernel has distributed {here}, the cluster runs {there}"
    if release(here)[:2] != release(there)[:2]:
        return (f"This {difference}: that breaks. Install the cluster's with {_install(there)}{RESTART}",), ()
    return (), (f"this {difference}: they should be the same",)


def _install(there: str) -> str:
    return install_line(f'"dask[distributed]=={there}"' if there else '"dask[distributed]>=2024.1" "bokeh>=3.1"')
