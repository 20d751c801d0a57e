"""Dask: functions, data that stays on the workers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.frameworks.cases import Case
from zoe_jupyter.engine.certificates import new_certificate

TASKS = 240


@contextmanager
def attach(values: Mapping[str, Any], secrets: Mapping[str, str]) -> Iterator[Any]:
    from zoe_jupyter.attach.dask import DaskAttach

    names: dict[str, Any] = {}
    DaskAttach().attach({"values": values, "secrets": secrets}, names, "client", is_over=lambda: False)
    try:
        yield names["client"]
    finally:
        names["client"].close()


def work(client: Any, folder: Path) -> None:
    _see_that_others_are_not_let_in(client.scheduler.address)
    words = client.scatter({"a": 1, "b": 2})
    assert client.submit(lambda found, key: found[key], words, "b").result(timeout=30) == 2
    assert client.gather(client.map(lambda number: number**2, range(10))) == [number**2 for number in range(10)]


def _see_that_others_are_not_let_in(address: str) -> None:
    """Neither without a key, nor with that of another cluster."""
    from distributed import Client, Security

    pem = new_certificate()
    stranger = Security(tls_ca_file=pem, tls_client_cert=pem, tls_client_key=pem)
    for where, security in ((address, stranger), (address.replace("tls:", "tcp:"), None)):
        with pytest.raises(OSError, match=r"TLS certificate does not match|Connection reset|Timed out"):
            Client(where, security=security, timeout=2, set_as_default=False)


def long_job(client: Any) -> tuple[Any, Any]:
    def slow(number: int) -> int:
        import time

        time.sleep(0.05)
        return number * 2

    first = client.map(slow, range(TASKS))
    second = client.map(lambda number: number + 1, first)
    return sum(client.gather(second)), sum(2 * number + 1 for number in range(TASKS))


CASE = Case(
    parameters={"workers": 2, "worker_memory": "512MiB", "scheduler_memory": "512MiB"},
    needs="dask",
    attach=attach,
    work=work,
    long_job=long_job,
    scalable="worker",
)
