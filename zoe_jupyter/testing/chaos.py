"""A user's home with a small shop of sleepers, and a Zoe that serves it as a process of its own, to be killed, paused and starved."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from zoe_jupyter.backends.local.machine import local_node
from zoe_jupyter.backends.local.supervisor import cages
from zoe_jupyter.testing import checker, sight
from zoe_jupyter.testing.chaos_shop import BROKEN, CREW, JOB, ONE, SLEEPER
from zoe_jupyter.testing.nursery import Hatchling

SERVE = "import sys; from zoe_jupyter.server.serve import ServeCommand; sys.exit(ServeCommand().run(sys.argv[1:]))"
REPAIRED_S = 10.0
FIRST_PAUSE_S, LONGEST_PAUSE_S, PAUSE_GROWTH = 0.03, 0.25, 1.2
"""Between two looks at something that may come about at once, or after seconds: looking takes time from what is waited for."""
"""How long the next Zoe may take after a fault until everything is as it should be."""


def until(condition: Callable[[], Any], timeout_s: float, what: Callable[[], Any] = lambda: "") -> Any:
    """What the condition says when it is true at last."""
    deadline, pause_s = time.monotonic() + timeout_s, FIRST_PAUSE_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"this did not come about within {timeout_s:g} s: {what()}"
        time.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, pause_s * PAUSE_GROWTH)
    return found


class Died(Exception):
    """The server went away during a request."""


class Refused(AssertionError):
    """The server said no."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status


@dataclass
class Server:
    """One ``jupyter zoe serve``."""

    process: subprocess.Popen[str] | Hatchling
    address: str = ""
    token: str = ""

    def ask(self, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        """The answer; raises Died when the server does, Refused when it refuses."""
        headers = {"Authorization": f"Bearer {self.token}", **({"Idempotency-Key": key} if key else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}/zoe/api/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise Refused(error.code, f"for {method} {path}: {error.read().decode()}") from None
        except (OSError, HTTPException) as error:
            raise Died(str(error)) from None

    def end(self) -> None:
        self.process.terminate()
        self.ended()

    def ended(self) -> int:
        """Wait for its end; its exit code."""
        self.process.communicate(timeout=30)
        assert self.process.returncode is not None
        return self.process.returncode

    def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.process.kill()
        self.ended()


@dataclass(frozen=True)
class ChaosHarness:
    """Where one user's Zoe lives; it survives its servers. ``check`` says which invariants are broken."""

    folder: Path

    @property
    def state(self) -> Path:
        """Zoe's own folder: database, sockets, run folders."""
        return self.folder / "data" / "zoe"

    @property
    def database(self) -> Path:
        return self.state / "zoe.db"

    @property
    def crew(self) -> Path:
        return self.folder / "shop" / "crew"

    def furnish(self, settings: str = "") -> None:
        """Make the home; ``settings`` are more lines for Zoe's configuration file."""
        for name, description in {"crew": CREW, "job": JOB, "broken": BROKEN, **_ones()}.items():
            self.add(name, description)
        (self.folder / "config").mkdir()
        config = f"c.Zoe.shop_sources = [{str(self.folder / 'shop')!r}]\n{settings}"
        (self.folder / "config" / "jupyter_zoe_config.py").write_text(config)

    def add(self, name: str, description: str) -> None:
        """Put another framework into the shop; ``sleeper.py`` is beside it."""
        folder = self.folder / "shop" / name
        folder.mkdir(parents=True)
        (folder / "framework.yaml").write_text(description)
        (folder / "sleeper.py").write_text(SLEEPER)
        (folder / "launches").touch()

    def allow(self, entry: str) -> None:
        """Let what is slow become ready, what is stubborn end."""
        (self.folder / "shop" / entry / "allowed").touch()

    def serve(self, *, failpoint: str = "") -> Server:
        """Start it; a Died server when it is killed before it listens."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", SERVE, "--port=0"],
                env=self._variables(failpoint),
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        return self._listening(process)

    def hatch(self, *, failpoint: str = "") -> Server:
        """Like ``serve``, and several times as fast: without the time that Python needs to load Zoe."""
        return self._listening(Hatchling(self._variables(failpoint), self.folder, self.log))

    @property
    def log(self) -> Path:
        """What its servers said."""
        return self.folder / "zoe.log"

    def _variables(self, failpoint: str) -> dict[str, str]:
        folders = {f"JUPYTER_{name}_DIR": str(self.folder / name.lower()) for name in ("DATA", "CONFIG", "RUNTIME")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZOE_", "PYTHONPATH"))}
        return {**kept, **folders, "HOME": str(self.folder), "ZOE_FAILPOINT": failpoint}

    def _listening(self, process: subprocess.Popen[str] | Hatchling) -> Server:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            code = Server(process).ended()
            raise Died(f"it ended with {code}: {self.log.read_text()[-2000:]}")
        ready = json.loads(line)
        return Server(process, ready["address"], json.loads(Path(ready["file"]).read_text())["token"])

    def check(self, server: Server | None = None, *, is_idle: bool = False) -> None:
        """Fails with the invariants that are broken now; ``is_idle``: nothing may be left at all. With a server its own view counts too."""
        broken = self.broken(server, is_idle=is_idle)
        assert not broken, "\n".join(broken)

    def settle(self, server: Server | None = None, *, is_idle: bool = False, limit_s: float = REPAIRED_S) -> None:
        """Wait until all invariants hold, as long as a repair may take; fails with those that are broken."""
        until(lambda: not self.broken(server, is_idle=is_idle), limit_s, lambda: self._told(server, is_idle=is_idle))

    def broken(self, server: Server | None = None, *, is_idle: bool = False) -> list[str]:
        """The broken invariants, in words."""
        return checker.broken(self.look(server), is_idle=is_idle)

    def look(self, server: Server | None = None) -> sight.Sight:
        """What is the case in this home now."""
        executions, events = sight.read_store(self.database)
        return sight.Sight(
            executions=executions,
            events=events,
            processes=sight.processes_of(self.folder),
            launches=[mark.partition("/")[2] for _, _, mark in self._launches()],
            run_folders=self.run_folders(),
            cages=sight.cages_of(executions),
            nodes=server.ask("GET", "cluster")["items"] if server else None,
            queue=server.ask("GET", "queue")["items"] if server else (),
        )

    def _told(self, server: Server | None, *, is_idle: bool) -> str:
        return "\n".join(["", *self.broken(server, is_idle=is_idle), self.log.read_text()[-3000:]])

    def launches(self) -> list[tuple[str, int]]:
        """Every start of a sleeper: ``<service>#<attempt>`` and its process id."""
        return [(name, int(pid)) for name, pid, _ in self._launches()]

    def _launches(self) -> Iterable[list[str]]:
        for file in sorted((self.folder / "shop").glob("*/launches")):
            yield from (line.split() for line in file.read_text().splitlines())

    def processes(self) -> dict[int, str]:
        """All processes that belong to this home's executions: supervisors and what they started."""
        found = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                command = _read(entry / "cmdline")
                if str(self.folder) in command and SERVE not in command:
                    found[int(entry.name)] = command
        return found

    def sleepers(self) -> set[str]:
        """``<service>#<attempt>`` of all that sleep now."""
        alive = self.processes()
        return {name for name, pid in self.launches() if "sleeper.py" in alive.get(pid, "")}

    def clear(self) -> list[str]:
        """Kill what still runs, and take its control groups away; says what it was."""
        left = self.processes()
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        cages.remove(sight.folders_of(self.run_folders()), limit_s=1.0)
        return sorted(left.values())

    def run_folders(self) -> list[str]:
        run = self.state / "run"
        return sorted(path.name for path in run.iterdir()) if run.is_dir() else []


def _read(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _ones() -> Mapping[str, str]:
    """Frameworks of one service; ``hall`` takes all of the machine."""
    whole = local_node(overcommit=4.0, memory_fraction=1.0).capacity.microcores / 1e6
    kinds = {"slow": ('"slow"', 0.1), "stubborn": ('"stubborn"', 0.1), "hall": ('"plain"', whole)}
    return {
        name: ONE.replace("NAME", name).replace("MANNER", manner).replace("CORES", str(cores))
        for name, (manner, cores) in kinds.items()
    }
