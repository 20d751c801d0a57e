"""An attach kind without a cluster."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from zoe_jupyter.attach.base import Findings


class FakeSession:
    def __init__(self, connection: Mapping[str, Any], is_over: Callable[[], bool]) -> None:
        self.connection = connection
        self.is_over = is_over
        self.is_open = True
        self.is_lost = False

    def count(self) -> int:
        """As a driver does when its cluster has gone."""
        if self.is_over():
            raise ConnectionError("connection refused")
        return 1


class FakeSpark:
    kind = "spark"
    variable = "spark"
    findings = Findings()
    """What the check before the start finds."""
    late = Findings()
    """What the check against a running cluster finds."""
    failure: Exception | None = None
    checked: list[Mapping[str, Any] | None] = []
    hang = threading.Event()

    @classmethod
    def reset(cls) -> None:
        cls.findings, cls.late, cls.failure, cls.checked = Findings(), Findings(), None, []

    def check(self, environment: Mapping[str, Any] | None) -> Findings:
        FakeSpark.checked.append(environment)
        return self.findings if environment is None else self.late

    def prepare(self) -> None:
        pass

    def attach(
        self,
        connection: Mapping[str, Any],
        namespace: MutableMapping[str, Any],
        variable: str,
        *,
        is_over: Callable[[], bool],
    ) -> tuple[str, ...]:
        if self.failure is not None:
            raise self.failure
        namespace[variable] = FakeSession(connection, is_over)
        return (variable,)

    def works(self, value: FakeSession) -> bool:
        return value.is_open

    def describe(self, value: FakeSession) -> str:
        return "Spark 4.3.0"

    def lose(self, value: FakeSession) -> None:
        value.is_lost = True

    def detach(self, value: FakeSession, *, is_over: bool) -> None:
        value.is_open = False
