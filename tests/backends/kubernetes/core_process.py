"""A core of its own process that launches one service and cleans it up, to be killed on the way:

``python core_process.py OPTIONS ORDER``
"""

import asyncio
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from zoe_jupyter.backends.base import ServiceOrder
from zoe_jupyter.backends.kubernetes import KubernetesBackend


async def main(options: str, order: str) -> None:
    given = json.loads(options)
    backend = KubernetesBackend(**{**given, "data_dir": Path(given["data_dir"])})
    await backend.start()
    wanted = ServiceOrder(deployment=given["deployment"], owner="ada", attempt=1, **json.loads(order))
    await backend.launch(wanted, (await backend.nodes())[0].name)
    await backend.clean(wanted.execution_id, keep_logs=False)


asyncio.run(main(*sys.argv[1:]))
