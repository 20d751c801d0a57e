"""A core of its own process that launches one service, to be killed on the way: ``python core_process.py DATA_DIR DEPLOYMENT ORDER``."""

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from zoe_jupyter.backends.base import ServiceOrder
from zoe_jupyter.backends.docker import DockerBackend


async def main(data_dir: str, deployment: str, order: str) -> None:
    backend = DockerBackend(deployment=deployment, data_dir=Path(data_dir))
    await backend.start()
    (node,) = await backend.nodes()
    await backend.launch(ServiceOrder(deployment=deployment, owner="ada", attempt=1, **json.loads(order)), node.name)


asyncio.run(main(*sys.argv[1:]))
