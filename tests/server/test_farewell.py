"""What a server that ends says of what runs on."""

from __future__ import annotations

import time
from typing import Any

import pytest

from zoe_jupyter.server.farewell import told

NOON = time.mktime((2026, 11, 27, 12, 0, 0, 0, 0, -1))


def record(name: str, state: str = "running", **lifetime: Any) -> dict[str, Any]:
    whole = {"together_with": None, "grace_s": 600.0, "ends_at": None, **lifetime}
    return {"name": name, "state": state, "lifetime": whole}


@pytest.mark.parametrize(
    ("executions", "said"),
    [
        ([], ""),
        (
            [record("dask", together_with="kernel")],
            "Nothing was stopped: dask runs on until 12:10. Start Jupyter again to go on with it",
        ),
        (
            [
                record("dask", together_with="server", ends_at=NOON + 60),
                record("spark"),
                record("night", "queued", together_with="kernel"),
            ],
            "Nothing was stopped: dask runs on until 12:01, spark runs on, night waits for its turn. "
            "Start Jupyter again to go on with them",
        ),
    ],
)
def test_each_is_named_with_its_end(executions: list[dict[str, Any]], said: str) -> None:
    assert told(executions, NOON) == said
