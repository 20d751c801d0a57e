"""Keeping a lease alive from a kernel that no Jupyter server of Zoe watches."""

from __future__ import annotations

import threading
from collections.abc import Mapping

from zoe_jupyter.client.api import Api
from zoe_jupyter.model.errors import NotFound, ZoeError

TTL_S = 90.0
SHORTEST_S = 0.5


class Heartbeat:
    """Renews a lease from a thread until it is stopped or its execution is gone; outlasts restarts of the server."""

    def __init__(
        self, api: Api, execution_id: str, lease_id: str, *, renew_s: float, client: Mapping[str, str]
    ) -> None:
        self._api = api
        self._execution_id = execution_id
        self._lease_id = lease_id
        self._renew_s = max(SHORTEST_S, renew_s)
        self._client = dict(client)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"zoe-lease-{execution_id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()

    def _run(self) -> None:
        while not self._over.wait(self._renew_s):
            if not self._beat():
                return

    def _beat(self) -> bool:
        """Renew; False when there is nothing left to hold."""
        try:
            self._api.renew_lease(self._execution_id, self._lease_id)
        except NotFound:
            return self._take_again()
        except (ZoeError, OSError):
            self._api.http.forget_connection()
        return True

    def _take_again(self) -> bool:
        """A new lease in place of one that has run out, as long as the execution lives."""
        try:
            if self._api.execution(self._execution_id)["state"] == "ended":
                return False
            self._lease_id = str(
                self._api.take_lease(self._execution_id, kind="kernel", client=self._client, ttl_s=TTL_S)["id"]
            )
        except NotFound:
            return False
        except (ZoeError, OSError):
            return True
        return True
