"""What nobody thought of: schemathesis makes requests from the OpenAPI document, good ones and bad ones. No 5xx, and every answer is as the document says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from zoe_jupyter.server.openapi import FILE
from zoe_jupyter.testing.chaos import ChaosHarness, Server, until

EXAMPLES = 16
"""For each operation: enough for every edge that the document names, and half a minute in all."""
KNOWN = "known"
"""An execution that is there: half of all requests that name one name this."""
CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]

schema = schemathesis.openapi.from_path(FILE)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = ChaosHarness(tmp_path_factory.mktemp("zj"))
    home.furnish()
    found = home.serve()
    found.ask("POST", "executions", {"use": "crew", "name": KNOWN})
    yield found
    for execution in found.ask("GET", "executions?limit=1000")["items"]:
        if execution["state"] != "ended":
            found.ask("POST", f"executions/{execution['id']}/stop", {})
    until(lambda: not home.processes(), 60, home.processes)
    found.end()


@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_the_document_says(case: schemathesis.Case, server: Server) -> None:
    case.query.pop("follow", None)  # A stream has no end, and tests of its own.
    if len(str(case.path_parameters.get("id", "-"))) % 2 == 0:
        case.path_parameters["id"] = KNOWN
    headers = {"Authorization": f"token {server.token}"}
    case.call_and_validate(base_url=f"{server.address}/zoe/api", headers=headers, checks=CHECKS, timeout=30)
