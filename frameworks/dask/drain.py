"""Retires a worker: the scheduler gives it no more work, and what it holds moves to the others. Exits with 0 also when it is gone."""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress

from distributed.core import rpc
from distributed.security import Security


async def main() -> None:
    address, pem, name = sys.argv[1:]
    security = Security(tls_ca_file=pem, tls_client_cert=pem, tls_client_key=pem, require_encryption=True)
    with suppress(OSError):
        async with rpc(address, connection_args=security.get_connection_args("client")) as scheduler:
            await scheduler.retire_workers(names=[name], close_workers=False, remove=True)


if __name__ == "__main__":
    asyncio.run(main())
