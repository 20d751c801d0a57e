"""A core of its own process, to be killed: opens a backend, does what it is told, prints ``done`` and waits for its end.

``python core_process.py DATA_DIR DEPLOYMENT ACTION [ARGUMENT]``
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from zoe_jupyter.backends.base import Backend, Bounds, ServiceOrder
from zoe_jupyter.backends.local import LocalBackend, supervisors
from zoe_jupyter.model.resources import Resources


def order(deployment: str, service: str, code: str, **fields: object) -> ServiceOrder:
    command = (sys.executable, "-u", "-c", code)
    return ServiceOrder(
        deployment=deployment, execution_id="one", owner="ada", service=service, attempt=1, command=command, **fields
    )


async def launch(backend: Backend, deployment: str, code: str) -> None:
    await backend.launch(order(deployment, "app.main-0", code), "local")


async def silence(backend: Backend, deployment: str, code: str) -> None:
    await backend.launch(order(deployment, "app.main-0", code, bounds=Bounds(silence_s=1.0), grace_s=0.5), "local")


async def limited(backend: Backend, deployment: str, code: str) -> None:
    await backend.launch(order(deployment, "app.main-0", code, resources=Resources(memory_bytes=64 * 2**20)), "local")


async def die_after_spawn(backend: Backend, deployment: str, code: str) -> None:
    """Be killed between the start of the supervisor and the first word with it."""
    start = supervisors.Supervisors._start

    def start_and_die(self: supervisors.Supervisors, execution_id: str) -> None:
        start(self, execution_id)
        os.kill(os.getpid(), signal.SIGKILL)

    supervisors.Supervisors._start = start_and_die
    await launch(backend, deployment, code)


async def main(data_dir: str, deployment: str, action: str, *arguments: str) -> None:
    backend = LocalBackend(deployment=deployment, data_dir=Path(data_dir))
    await backend.start()
    await globals()[action](backend, deployment, *arguments)
    print("done", flush=True)
    await asyncio.sleep(600)


asyncio.run(main(*sys.argv[1:]))
