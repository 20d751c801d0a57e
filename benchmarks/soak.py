"""A simulated day of random users: how memory and database grow, on the fake backend with a scripted clock."""

from __future__ import annotations

import gc
import logging
import random
from collections.abc import Coroutine
from typing import Any

import psutil

from benchmarks.running import Effort, Report, note
from zoe_jupyter.model.errors import UserError
from zoe_jupyter.model.execution import Client, Execution, State
from zoe_jupyter.testing.house import ALICE, BOB
from zoe_jupyter.testing.simulated_house import SimulatedHouse

MIB = 1 << 20
HOUR_S = 3600.0
AN_HOUR = 200
"""Executions that are submitted in one."""
HOURS, QUICK_HOURS = 24, 2
QUICK_AN_HOUR = 40
HISTORY_DAYS = 3 / 24
"""So that a day shows many times over what is kept and what is forgotten."""
SEED = 4


def measure(effort: Effort) -> Report:
    """Let users come and go; figures compare the end with the first hour, or with the first that had something to forget."""
    logging.disable(logging.WARNING)
    report = Report()
    hours, an_hour = (QUICK_HOURS, QUICK_AN_HOUR) if effort.is_quick else (HOURS, AN_HOUR)
    house = SimulatedHouse(history_days=HISTORY_DAYS)
    try:
        house.open()
        users = Users(house)
        for hour in range(1, hours + 1):
            users.spend_an_hour(an_hour)
            report.runs.append(_look(house, hour))
            note(str(report.runs[-1]))
    finally:
        house.close()
        logging.disable(logging.NOTSET)
    first, last = report.runs[0], report.runs[-1]
    settled = report.runs[min(5, hours - 1)]
    report.figures["memory_growth_percent"] = round(100 * (last["memory_mib"] / first["memory_mib"] - 1), 2)
    report.figures["database_growth_percent"] = round(100 * (last["database_mib"] / settled["database_mib"] - 1), 2)
    report.figures["memory_mib"], report.figures["database_mib"] = last["memory_mib"], last["database_mib"]
    report.figures["executions"] = users.submitted
    return report


class Users:
    """Who submit, use, change and forget executions, by one seed."""

    def __init__(self, house: SimulatedHouse) -> None:
        self._house = house
        self._random = random.Random(SEED)
        self.submitted = 0

    def spend_an_hour(self, executions: int) -> None:
        for _ in range(executions):
            self._house.pass_time(self._random.uniform(0.5, 1.5) * HOUR_S / executions)
            self._submit()
            for execution in list(self._house.living()):
                self._use(execution)

    def _submit(self) -> None:
        client = Client(kernel_id=str(self.submitted), server=str(self.submitted // 50))
        fields: dict[str, Any] = {"client": client, "lease": self._random.choice(["", "kernel"])}
        use = self._random.choice(["job", "cluster"])
        self._ask(
            self._house.core.submit(
                _submission(use, fields), self._random.choice([ALICE, BOB]), key=str(self.submitted)
            )
        )
        self.submitted += 1

    def _use(self, execution: Execution) -> None:
        """Most live for some minutes and end in one way or another."""
        core, caller = self._house.core, ALICE if execution.owner == "alice" else BOB
        lot = self._random.random()
        if lot < 0.1:
            self._ask(core.stop(execution.id, caller))
        elif lot < 0.2 and execution.state is State.RUNNING:
            name = next(iter(execution.services))
            self._house.backend.exit(execution.id, name, self._random.choice([0, 0, 1, 137]))
        elif lot < 0.25:
            self._ask(core.scale(execution.id, caller, counts={"worker": self._random.randint(1, 3)}))
        elif lot < 0.27:
            self._ask(core.restart(execution.id, caller))
        elif lot < 0.4:
            self._ask(core.usage(execution.id, caller))

    def _ask(self, work: Coroutine[Any, Any, object]) -> None:
        try:
            self._house.do(work)
        except (UserError, KeyError):
            return


def _submission(use: str, fields: dict[str, Any]) -> Any:
    from zoe_jupyter.engine.door import Submission

    return Submission(use=use, lifetime={"after": "30m"}, **fields)


def _look(house: SimulatedHouse, hour: int) -> dict[str, Any]:
    house.backend.launched.clear()
    house.backend.stopped.clear()
    house.backend.cleaned.clear()
    house.backend.ran.clear()
    house.backend.world.logs.clear()
    house.backend.bounds.clear()
    house.backend._hidden.clear()
    gc.collect()
    return {
        "side": "zoe",
        "hour": hour,
        "memory_mib": round(psutil.Process().memory_info().rss / MIB, 2),
        "database_mib": round(house.database.stat().st_size / MIB, 2),
        "living": len(house.living()),
        "events": house.core.last_seq(),
    }
