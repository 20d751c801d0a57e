"""The local backend as a user without privileges: ``python user_story.py DATA_DIR DEPLOYMENT`` prints what it saw as JSON."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path

from zoe_jupyter.backends.base import Backend, SeenState, ServiceOrder
from zoe_jupyter.backends.local import LocalBackend
from zoe_jupyter.model.application import Port, Probe
from zoe_jupyter.model.resources import Resources

DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
GREEDY = "kept = []\nimport time\nwhile True: kept.append(b'x' * 2**22); time.sleep(0.02)"
LIMIT = 30
CROWD = """
import os, time
while True:
    time.sleep(0.01)
    try:
        if os.fork() == 0:
            time.sleep(600)
    except OSError:
        print("refused", flush=True)
"""
SERVER = "import http.server, sys; http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()"


async def most_processes(backend: Backend, service: str) -> int:
    """How many it had when the backend told that they were too many."""
    end, most = time.monotonic() + 30, 0
    while time.monotonic() < end:
        samples = [sample.processes for sample in await backend.usage() if sample.service == service]
        most = max([most, *samples])
        if any(seen.reason for seen in (await backend.observe()).services if seen.service == service):
            return most
        await asyncio.sleep(0.02)
    raise TimeoutError(service)


async def until(backend: Backend, service: str, state: SeenState) -> dict[str, object]:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        for seen in (await backend.observe()).services:
            if seen.service == service and seen.state is state:
                return {
                    "exit_code": seen.exit_code,
                    "reason": seen.reason.code if seen.reason else None,
                    "memory": seen.handle["memory"],
                }
        await asyncio.sleep(0.02)
    raise TimeoutError(service)


async def main(data_dir: str, deployment: str) -> None:
    backend = LocalBackend(deployment=deployment, data_dir=Path(data_dir), process_limit=LIMIT)
    await backend.start()

    def order(service: str, *command: str, **fields: object) -> ServiceOrder:
        return ServiceOrder(
            deployment=deployment,
            execution_id="one",
            owner="ada",
            service=service,
            attempt=1,
            command=(sys.executable, "-u", "-c", *command),
            **fields,
        )

    told: dict[str, object] = {"uid": os.getuid()}
    reserved = await backend.reserve(
        execution_id="one",
        owner="ada",
        service="web",
        attempt=1,
        node="local",
        ports={"http": Port()},
        framework_folder="",
    )
    number = reserved.ports["http"]
    await backend.launch(
        order("web", SERVER, str(number), port_numbers=reserved.ports, ready=Probe(http="http/")), "local"
    )
    told["web"] = await until(backend, "web", SeenState.READY)
    await backend.launch(order("deaf", DEAF, ready=Probe(log="deaf")), "local")
    await until(backend, "deaf", SeenState.READY)
    await backend.stop("one", "deaf", 1, grace_s=0.3)
    told["deaf"] = await until(backend, "deaf", SeenState.EXITED)
    await backend.launch(order("greedy", GREEDY, resources=Resources(memory_bytes=64 * 2**20)), "local")
    told["greedy"] = await until(backend, "greedy", SeenState.EXITED)
    await backend.launch(order("crowd", CROWD), "local")
    most = await most_processes(backend, "crowd")
    assert most <= LIMIT or backend.capabilities().limits["processes"] == "watched", most
    await backend.stop("one", "crowd", 1, grace_s=0)
    told["crowd"] = await until(backend, "crowd", SeenState.EXITED)
    await backend.close()
    again = LocalBackend(deployment=deployment, data_dir=Path(data_dir))
    await again.start()
    told["again"] = await until(again, "web", SeenState.READY)
    await again.clean("one", keep_logs=False)
    told["left"] = len((await again.observe()).services)
    told["limits"] = dict(again.capabilities().limits)
    await again.close()
    print(json.dumps(told))


asyncio.run(main(*sys.argv[1:]))
