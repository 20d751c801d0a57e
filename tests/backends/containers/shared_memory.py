"""How much shared memory a service has, seen from inside of its container."""

from __future__ import annotations

from zoe_jupyter.model.resources import Resources
from zoe_jupyter.testing.backend_contract import MIB, Runner

SIZE = 100 * MIB
CODE = f"""
import errno, multiprocessing.shared_memory, os
found = os.statvfs("/dev/shm")
print(found.f_blocks * found.f_frsize, flush=True)
room = multiprocessing.shared_memory.SharedMemory(create=True, size={SIZE} // 2)
room.buf[:] = bytes({SIZE} // 2)
room.close()
room.unlink()
try:
    with open("/dev/shm/more", "wb") as file:
        for _ in range({SIZE} // {MIB} + 1):
            file.write(bytes({MIB}))
except OSError as error:
    print(errno.errorcode[error.errno], flush=True)
os.unlink("/dev/shm/more")
"""


async def expect_as_asked_for(runner: Runner) -> None:
    """Where the settings say ``SIZE``: all of it can be used, and no more."""
    await runner.launch(runner.order("one", code=CODE, resources=Resources(memory_bytes=3 * SIZE)))
    seen = await runner.ended("one")
    said = (await runner.output("one")).decode()
    assert (seen.exit_code, said.split()) == (0, [str(SIZE), "ENOSPC"]), said
