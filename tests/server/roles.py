"""What each operation of the OpenAPI document may be asked by whom. A new route has to be put in here: the tests of roles fail without."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from zoe_jupyter.server.openapi import FILE


class Reach(Enum):
    EVERYBODY = "the same for everybody who is known"
    OWN = "everybody sees their own, admins all"
    OWNED = "names one execution: for its owner, and for admins"
    OWNER = "names one execution: for its owner alone"
    ADMIN = "for admins"


@dataclass(frozen=True)
class Rule:
    reach: Reach
    body: Any = None
    names: Mapping[str, str] | None = None
    """What stands for parameters of the path, beside those of the execution."""
    missing: bool = False
    """What it names is not there: even those who may ask get 404."""


RULES = {
    "get_info": Rule(Reach.EVERYBODY),
    "get_openapi": Rule(Reach.EVERYBODY),
    "get_metrics": Rule(Reach.ADMIN),
    "list_entries": Rule(Reach.EVERYBODY),
    "get_entry": Rule(Reach.EVERYBODY, names={"name": "dask"}),
    "get_logo": Rule(Reach.EVERYBODY, names={"name": "spark"}),
    "validate": Rule(Reach.EVERYBODY, {"use": "dask"}),
    "list_executions": Rule(Reach.OWN),
    "submit": Rule(Reach.OWN, {"use": "dask"}),
    "get_execution": Rule(Reach.OWNED),
    "forget": Rule(Reach.OWNED),
    "stop": Rule(Reach.OWNED, {}),
    "restart": Rule(Reach.OWNED, {}),
    "suspend": Rule(Reach.OWNED, {}),
    "resume": Rule(Reach.OWNED, {}),
    "scale": Rule(Reach.OWNED, {"count": 1}),
    "issue_ticket": Rule(Reach.OWNED, {}, {"name": "PAGE"}),
    "get_logs": Rule(Reach.OWNED),
    "get_usage": Rule(Reach.OWNED),
    "get_connection": Rule(Reach.OWNER, names={"name": "CONNECTION"}),
    "take_lease": Rule(Reach.OWNED, {"kind": "kernel", "client": {"kernel_id": "k"}}),
    "renew_lease": Rule(Reach.OWNED, {}),
    "drop_lease": Rule(Reach.OWNED),
    "list_nodes": Rule(Reach.EVERYBODY),
    "disable_node": Rule(Reach.ADMIN, {}, {"name": "NODE"}),
    "enable_node": Rule(Reach.ADMIN, {}, {"name": "NODE"}),
    "list_unknown": Rule(Reach.OWN),
    "stop_unknown": Rule(Reach.ADMIN, {}, {"id": "none"}, missing=True),
    "drain_node": Rule(Reach.ADMIN, {}, {"name": "NODE"}),
    "list_queue": Rule(Reach.OWN),
    "what_if": Rule(Reach.ADMIN, {"policy": "fifo"}),
    "list_quotas": Rule(Reach.OWN),
    "get_quota": Rule(Reach.ADMIN, names={"owner": "somebody"}),
    "put_quota": Rule(Reach.ADMIN, {"limit": {"cores": 8}}, {"owner": "somebody"}),
    "drop_quota": Rule(Reach.ADMIN, names={"owner": "somebody"}),
    "list_usage": Rule(Reach.OWN),
    "list_events": Rule(Reach.OWN),
    "list_execution_events": Rule(Reach.OWNED),
}


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    pattern: str
    rule: Rule

    @property
    def is_write(self) -> bool:
        return self.method != "GET"

    def path(self, names: Mapping[str, str]) -> str:
        """Below ``zoe/api/``; ``names`` also says what PAGE, NODE and CONNECTION are."""
        own = {key: names.get(value, value) for key, value in (self.rule.names or {}).items()}
        return re.sub(r"\{(\w+)\}", lambda found: {**names, **own}[found[1]], self.pattern)


def operations() -> Iterator[Operation]:
    """Every operation of the document; KeyError for one without a rule."""
    for pattern, found in json.loads(FILE.read_text())["paths"].items():
        for method, operation in found.items():
            name = operation["operationId"]
            yield Operation(name, method.upper(), pattern.lstrip("/"), RULES[name])
