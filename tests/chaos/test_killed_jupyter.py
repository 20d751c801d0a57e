"""Not ``jupyter zoe serve`` but a whole Jupyter server is killed, as the kernel does when memory is short; the next one goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from zoe_jupyter.testing import checker, sight
from zoe_jupyter.testing.chaos import REPAIRED_S, until
from zoe_jupyter.testing.chaos_shop import CREW, SLEEPER
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer, jupyter_home, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

CREW_SERVICES = ["crew.head-0", "crew.worker-0", "crew.worker-1"]
MINE = "zoe/api/executions/mine"


@pytest.fixture
def home() -> Iterator[JupyterHome]:
    with jupyter_home() as home:
        crew = home.folder / "shop" / "crew"
        crew.mkdir(parents=True)
        (crew / "framework.yaml").write_text(CREW)
        (crew / "sleeper.py").write_text(SLEEPER)
        (crew / "launches").touch()
        yield home


def start(home: JupyterHome, *, point: str = "") -> JupyterServer:
    sources = f"--Zoe.shop_sources={home.folder / 'shop'}"
    return home.start(sources, app="server", variables={"ZOE_FAILPOINT": point})


def ask_until_killed(server: JupyterServer, path: str, body: Any = None) -> None:
    """What is asked for may be answered or not."""
    with suppress(OSError):
        server.ask(path, method="POST", body=body)
    wait_for("its death", server.has_ended)
    server.process.wait()


def look(home: JupyterHome, server: JupyterServer) -> sight.Sight:
    executions, events = sight.read_store(home.data / "zoe" / "zoe.db")
    run = home.data / "zoe" / "run"
    launches = (home.folder / "shop" / "crew" / "launches").read_text().splitlines()
    return sight.Sight(
        executions=executions,
        events=events,
        processes=sight.processes_of(home.folder, f"TMPDIR={home.folder / 'tmp'}"),
        launches=[line.split()[2].partition("/")[2] for line in launches],
        run_folders=[path.name for path in run.iterdir()] if run.is_dir() else [],
        cages=sight.cages_of(executions),
        nodes=server.ask("zoe/api/cluster")["items"],
        queue=server.ask("zoe/api/queue")["items"],
    )


def until_well(home: JupyterHome, server: JupyterServer, services: list[str], *, is_idle: bool = False) -> None:
    """Exactly these run, and all invariants hold."""
    problems: list[str] = []

    def is_well() -> bool:
        found = server.ask(MINE)["services"]
        running = sorted(service["name"] for service in found if service["state"] == "running")
        problems[:] = checker.broken(look(home, server), is_idle=is_idle)
        return running == services and not problems

    until(is_well, REPAIRED_S, lambda: (server.ask(MINE), problems))


def test_a_jupyter_server_that_is_killed_while_it_starts_something_is_repaired(home: JupyterHome) -> None:
    server = start(home, point="launch.after")
    ask_until_killed(server, "zoe/api/executions", {"use": "crew", "name": "mine"})

    server = start(home)

    until_well(home, server, CREW_SERVICES)
    assert len(look(home, server).launches) == 3


@pytest.mark.parametrize(
    ("point", "wish", "body", "left"),
    [
        ("drain.after", "scale", {"counts": {"worker": 1}}, CREW_SERVICES[:2]),
        ("stop.before", "stop", None, []),
    ],
    ids=["shrinking", "stopping"],
)
def test_a_jupyter_server_that_is_killed_while_it_takes_away_is_repaired(
    home: JupyterHome, point: str, wish: str, body: Any, left: list[str]
) -> None:
    server = start(home, point=point)
    server.ask("zoe/api/executions", method="POST", body={"use": "crew", "name": "mine"})
    until_well(home, server, CREW_SERVICES)
    ask_until_killed(server, f"{MINE}/{wish}", body)

    server = start(home)

    until_well(home, server, left, is_idle=not left)
    assert len(look(home, server).launches) == 3
