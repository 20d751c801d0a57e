"""Two servers that share one database: one acts, the other stands by; who was silent and comes back does no harm."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.requirements import require
from zoe_jupyter.testing.chaos import ChaosHarness, Refused, Server, until
from zoe_jupyter.testing.postgresql import running_postgresql

pytestmark = [pytest.mark.slow, pytest.mark.postgresql, pytest.mark.timeout(240)]

PATIENCE_S = 60.0
"""More than the 20 s for which a core must be silent before another takes over."""


@pytest.fixture(scope="module")
def database() -> Iterator[Any]:
    require("postgresql")
    with running_postgresql() as server:
        yield server


@pytest.fixture
def homes(tmp_path: Path, database: Any) -> Iterator[tuple[ChaosHarness, ChaosHarness]]:
    """Two homes with one database, and one place for what runs."""
    options = {"folder": str(tmp_path / "shared"), "is_caged": False}
    settings = f"c.Zoe.database_url = {database.new_database()!r}\nc.Zoe.backend_options = {options!r}\n"
    one, other = ChaosHarness(tmp_path / "one"), ChaosHarness(tmp_path / "other")
    for home in (one, other):
        home.furnish(settings)
    config = one.folder / "config" / "jupyter_zoe_config.py"
    (other.folder / "config" / "jupyter_zoe_config.py").write_text(config.read_text())
    yield one, other
    for pid in supervisors(tmp_path) | {pid for home in (one, other) for pid in home.processes()}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def supervisors(folder: Path) -> set[int]:
    """Every process that was started for this test and still lives."""
    own = {os.getpid(), os.getppid()}
    numbers = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()} - own
    return {pid for pid in numbers if str(folder) in _text(pid)}


def _text(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text() + Path(f"/proc/{pid}/environ").read_text()
    except (OSError, UnicodeDecodeError):
        return ""


def state(server: Server, own: str) -> str:
    """Empty while this server stands by."""
    answer = asked(server, f"executions/{own}")
    return "" if answer is None else str(answer["state"])


def asked(server: Server, path: str) -> Any:
    """The answer; None when it stands by."""
    try:
        return server.ask("GET", path)
    except Refused as refused:
        if refused.status == 503 and "acts for this database" in str(refused):
            return None
        raise


def is_standing_by(server: Server) -> bool:
    return asked(server, "executions") is None


def test_who_was_paused_and_replaced_acts_no_more_and_takes_over_again(
    homes: tuple[ChaosHarness, ChaosHarness],
) -> None:
    """SIGSTOP the one, the other takes over; SIGCONT: the first stands by, and acts again when the other is gone."""
    one, other = homes
    first = one.serve()
    second = other.serve()
    try:
        own = first.ask("POST", "executions", {"use": "crew", "name": "mine"})["id"]
        until(lambda: state(first, own) == "running", PATIENCE_S)
        assert is_standing_by(second)
        started = one.launches()

        first.process.send_signal(signal.SIGSTOP)
        until(lambda: state(second, own) == "running", PATIENCE_S)
        second.ask("POST", f"executions/{own}/scale", {"counts": {"worker": 1}})
        first.process.send_signal(signal.SIGCONT)

        until(lambda: is_standing_by(first), PATIENCE_S)
        until(lambda: len(second.ask("GET", f"executions/{own}")["services"]) == 2, PATIENCE_S)
        assert one.launches() == started, "what ran was adopted, not started anew"

        second.end()
        until(lambda: state(first, own) == "running", PATIENCE_S)
        first.ask("POST", f"executions/{own}/stop")
        until(lambda: state(first, own) == "ended", PATIENCE_S)
    finally:
        for server in (first, second):
            if server.process.poll() is None:
                server.process.send_signal(signal.SIGCONT)
                server.end()


def test_a_killed_core_is_followed_at_once_on_its_host(homes: tuple[ChaosHarness, ChaosHarness]) -> None:
    """That its process has gone can be seen: nobody waits until it has been silent for long."""
    one, other = homes
    first, second = one.serve(), other.serve()
    try:
        own = first.ask("POST", "executions", {"use": "crew", "name": "mine"})["id"]
        until(lambda: state(first, own) == "running" and len(one.sleepers()) == 3, PATIENCE_S)
        started = one.launches()

        first.process.kill()
        first.ended()

        until(lambda: state(second, own) == "running", 10.0)
        assert one.launches() == started, "what ran was adopted, not started anew"
        second.ask("POST", f"executions/{own}/stop")
        until(lambda: state(second, own) == "ended", PATIENCE_S)
        until(lambda: not one.sleepers(), PATIENCE_S, one.sleepers)
    finally:
        second.end()
