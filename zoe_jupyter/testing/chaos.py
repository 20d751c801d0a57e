"""A user's home with a small shop of sleepers, and a Zoe that serves it as a process of its own, to be killed, paused and starved."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoe_jupyter.testing import checker

CREW = """
zoe: 1
kind: framework
name: crew
version: "1"
title: Crew
parameters:
  type: object
  properties:
    workers: {type: integer, minimum: 1, maximum: 4, default: 2}
processes:
  head:
    command: ["{{ python }}", "-I", "-S", "{{ folder }}/sleeper.py", "{{ folder }}", "{{ service.name }}", "{{ service.attempt }}"]
    ports: {rpc: {protocol: tcp}}
    resources: {cores: 0.1, memory: 64MiB}
    ready: {log: "^awake", timeout_s: 60}
    restart: {delay_s: 0.2}
    stop: {grace_s: 2}
  worker:
    after: [head]
    count: {core: 1, elastic: "{{ parameters.workers - 1 }}"}
    command: ["{{ python }}", "-I", "-S", "{{ folder }}/sleeper.py", "{{ folder }}", "{{ service.name }}", "{{ service.attempt }}"]
    resources: {cores: 0.1, memory: 64MiB}
    ready: {log: "^awake", timeout_s: 60}
    restart: {delay_s: 0.2}
    drain: {command: ["{{ python }}", "-I", "-S", "-c", "print('drained')"], timeout_s: 10}
    stop: {grace_s: 2}
"""
SLEEPER = """
import os, sys, time
folder, name, attempt = sys.argv[1:]
with open(f"{folder}/launches", "a") as file:
    file.write(f"{name}#{attempt} {os.getpid()}\\n")
print("awake", flush=True)
time.sleep(600)
"""
BROKEN = """
zoe: 1
kind: framework
name: broken
version: "1"
title: Broken
processes:
  main:
    command: ["/nowhere/at/all"]
    resources: {cores: 0.1, memory: 64MiB}
    restart: {when: never}
"""
SERVE = "import sys; from zoe_jupyter.server.serve import ServeCommand; sys.exit(ServeCommand().run(sys.argv[1:]))"


def until(condition: Callable[[], Any], timeout_s: float, what: Callable[[], Any] = lambda: "") -> Any:
    """What the condition says when it is true at last."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"this did not come about within {timeout_s:g} s: {what()}"
        time.sleep(0.03)
    return found


class Died(Exception):
    """The server went away during a request."""


@dataclass
class Server:
    """One ``jupyter zoe serve``."""

    process: subprocess.Popen[str]
    address: str = ""
    token: str = ""

    def ask(self, method: str, path: str, body: Any = None, *, key: str = "") -> Any:
        """The answer; raises Died when the server does."""
        headers = {"Authorization": f"Bearer {self.token}", **({"Idempotency-Key": key} if key else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.address}/zoe/api/{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from None
        except OSError as error:
            raise Died(str(error)) from None

    def end(self) -> None:
        self.process.terminate()
        self.ended()

    def ended(self) -> int:
        """Wait for its end; its exit code."""
        self.process.communicate(timeout=30)
        return self.process.returncode


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
        self.crew.mkdir(parents=True)
        (self.crew / "framework.yaml").write_text(CREW)
        (self.crew / "sleeper.py").write_text(SLEEPER)
        (self.crew / "launches").touch()
        self.add("broken", BROKEN)
        (self.folder / "config").mkdir()
        config = f"c.Zoe.shop_sources = [{str(self.folder / 'shop')!r}]\n{settings}"
        (self.folder / "config" / "jupyter_zoe_config.py").write_text(config)

    def add(self, name: str, description: str) -> None:
        """Put another framework into the shop."""
        folder = self.folder / "shop" / name
        folder.mkdir()
        (folder / "framework.yaml").write_text(description)

    def check(self, *, is_idle: bool = False) -> None:
        """Fails with the invariants that are broken now; ``is_idle``: nothing may be left at all."""
        broken = checker.broken(self.database, self.processes(), self.launches(), is_idle=is_idle)
        assert not broken, "\n".join(broken)

    def serve(self, *, failpoint: str = "") -> Server:
        """Start it; a Died server when it is killed before it listens."""
        folders = {f"JUPYTER_{name}_DIR": str(self.folder / name.lower()) for name in ("DATA", "CONFIG", "RUNTIME")}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("ZOE_", "PYTHONPATH"))}
        with (self.folder / "zoe.log").open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", SERVE, "--port=0"],
                env={**kept, **folders, "HOME": str(self.folder), "ZOE_FAILPOINT": failpoint},
                cwd=self.folder,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            code = Server(process).ended()
            raise Died(f"it ended with {code}: {(self.folder / 'zoe.log').read_text()[-2000:]}")
        ready = json.loads(line)
        return Server(process, ready["address"], json.loads(Path(ready["file"]).read_text())["token"])

    def launches(self) -> list[tuple[str, int]]:
        """Every start of a sleeper: ``<service>#<attempt>`` and its process id."""
        lines = (line.split() for line in (self.crew / "launches").read_text().splitlines())
        return [(name, int(pid)) for name, pid in lines]

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

    def run_folders(self) -> list[str]:
        run = self.state / "run"
        return sorted(path.name for path in run.iterdir()) if run.is_dir() else []


def _read(path: Path) -> str:
    try:
        return path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
