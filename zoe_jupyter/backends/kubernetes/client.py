"""The API server: JSON in, JSON out. Whole dicts instead of the driver's classes, which are slow and drop what they do not know."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTClientObject

from zoe_jupyter.backends.base import Unreachable
from zoe_jupyter.backends.containers.connections import BROKEN, LONGEST_LINE, break_off, keep_alive, keep_answer_alive
from zoe_jupyter.backends.kubernetes.kubeconfig import Token, configure

ANSWER_LIMIT_S = 30.0
CONNECT_LIMIT_S = 10.0
CLOSE_LIMIT_S = 2.0
MOST_CONNECTIONS = 256
MOST_ASIDE = 1024
"""More than all together that have a share of these."""
_TURNS = 5
"""A connection that was broken off closes its socket in one of the next turns of the loop."""
APPLY = "application/apply-patch+yaml"
Query = Mapping[str, str]
Socket = Any
"""An aiohttp.ClientWebSocketResponse; its type parameter differs between versions."""


_STORE = ("etcdserver: ", "rpc error: ", "context deadline exceeded")
"""As what its store says begins in what the API server says."""


class ApiError(Exception):
    """The API server said no."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message or reason or str(status))
        self.status = status
        self.reason = reason

    @property
    def is_passing(self) -> bool:
        """Whether it is trouble of its own: it has too much to do, or its control plane is being upgraded."""
        return self.status == 429 or self.status >= 500

    @property
    def is_unsure(self) -> bool:
        """Whether what was asked for may have been done, or be done yet: the time was up in the API server, or its store had trouble."""
        return self.status == 504 or (self.status == 500 and str(self).startswith(_STORE))


class ApiServer:
    """One connection pool; ``kubeconfig`` empty: the environment's, or where there is none, what a pod is given."""

    def __init__(self, client: ApiClient, session: aiohttp.ClientSession, token: Token | None = None) -> None:
        self._client = client
        self._session = session
        self._token = token
        self.aside = self
        """The same with a pool of its own, for what others hold for as long as they like: nothing that Zoe itself needs waits for it."""
        self._base = client.configuration.host.rstrip("/")
        self._asking: set[asyncio.Future[Any]] = set()
        self.is_inside = token is None
        """Whether the core itself is a pod of this cluster."""

    @classmethod
    async def connect(cls, kubeconfig: str, context: str) -> ApiServer:
        """Read the configuration; says nothing about whether the cluster answers. Raises ZoeError."""
        configuration = Configuration()
        configuration.connection_pool_maxsize = MOST_CONNECTIONS
        token = await configure(configuration, kubeconfig, context)
        client = ApiClient(configuration)
        server = cls(client, client.rest_client.pool_manager, token)
        aside = RESTClientObject(configuration, maxsize=MOST_ASIDE)
        server.aside = cls(client, aside.pool_manager, token)
        return server

    async def close(self) -> None:
        if self._asking:
            await asyncio.wait(self._asking, timeout=CLOSE_LIMIT_S)
        for asking in self._asking:
            asking.cancel()
        if self.aside is not self:
            await self.aside.close()
            await self._client.close()
        await self._session.close()
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    async def get(self, path: str, query: Query | None = None, *, limit_s: float = ANSWER_LIMIT_S) -> Any:
        return await self._json("GET", path, query, limit_s=limit_s)

    async def create(self, path: str, body: Mapping[str, Any], manager: str) -> Any:
        """Raises ApiError 409 when there is one of that name."""
        return await self._json("POST", path, {"fieldManager": manager}, body=body)

    async def apply(self, path: str, body: Mapping[str, Any], manager: str) -> Any:
        """Change the fields in ``body``, which names an object that is there by its uid; those that the manager applied before and not now go."""
        return await self._json("PATCH", path, {"fieldManager": manager, "force": "true"}, body=body, kind=APPLY)

    async def delete(self, path: str, query: Query | None = None, **options: Any) -> Any:
        """What is not there is no error."""
        try:
            return await self._json(
                "DELETE", path, query, body={"apiVersion": "v1", "kind": "DeleteOptions", **options}
            )
        except ApiError as error:
            if error.status not in (404, 409):
                raise
            return None

    @contextlib.asynccontextmanager
    async def stream(self, path: str, query: Query, *, silence_s: float | None) -> AsyncIterator[aiohttp.StreamReader]:
        """The answer while it comes; ``silence_s``: after so long without a byte it is broken (Unreachable)."""
        timeout = aiohttp.ClientTimeout(
            total=None, connect=ANSWER_LIMIT_S, sock_connect=CONNECT_LIMIT_S, sock_read=silence_s
        )
        async with self._answered("GET", path, query, timeout=timeout) as answer:
            yield answer.content

    @contextlib.asynccontextmanager
    async def socket(self, path: str, query: Any, protocols: tuple[str, ...]) -> AsyncIterator[Socket]:
        """A WebSocket, as ``exec`` and ``portforward`` want one."""
        try:
            socket = await self._connected(path, query, protocols, may_renew=True)
            try:
                keep_alive(socket)
                yield socket
            finally:
                await socket.close()
        except BROKEN as error:
            raise Unreachable(_told(error)) from None

    async def _connected(self, path: str, query: Any, protocols: tuple[str, ...], *, may_renew: bool) -> Socket:
        headers = await self._headers()
        asked = self._session.ws_connect(
            self._base + path, params=query, headers=headers, protocols=protocols, proxy=self._proxy(),
            max_msg_size=0, timeout=aiohttp.ClientWSTimeout(ws_close=5.0),
        )  # fmt: skip
        try:
            # A pooled connection may be dead without a word.
            return await asyncio.wait_for(self._opened(asked), ANSWER_LIMIT_S)
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 401 and may_renew and await self._is_renewed(headers):
                return await self._connected(path, query, protocols, may_renew=False)
            raise ApiError(error.status, "", error.message) from None

    async def _json(
        self, method: str, path: str, query: Query | None, *, body: Any = None, kind: str = "application/json",
        limit_s: float = ANSWER_LIMIT_S,
    ) -> Any:  # fmt: skip
        timeout = aiohttp.ClientTimeout(total=limit_s, sock_connect=CONNECT_LIMIT_S)
        async with self._answered(method, path, query, body=body, kind=kind, timeout=timeout) as answer:
            return _read(await answer.read())

    @contextlib.asynccontextmanager
    async def _answered(
        self, method: str, path: str, query: Query | None, *, timeout: aiohttp.ClientTimeout, body: Any = None,
        kind: str = "application/json",
    ) -> AsyncIterator[aiohttp.ClientResponse]:  # fmt: skip
        data = None if body is None else json.dumps(body).encode()
        try:
            for may_renew in (True, False):
                headers = await self._headers()
                if data is not None:
                    headers["Content-Type"] = kind
                asked = self._session.request(
                    method,
                    self._base + path,
                    params=query,
                    data=data,
                    headers=headers,
                    timeout=timeout,
                    proxy=self._proxy(),
                    max_line_size=LONGEST_LINE,
                    max_field_size=LONGEST_LINE,
                )
                async with await self._opened(asked) as answer:
                    keep_answer_alive(answer)
                    if answer.status == 401 and may_renew and await self._is_renewed(headers):
                        continue
                    if answer.status >= 400:
                        raise _refusal(answer.status, await answer.read())
                    try:
                        yield answer
                    finally:
                        break_off(answer)
                    return
        except BROKEN as error:
            raise Unreachable(_told(error)) from None

    async def _opened(self, asked: Awaitable[Any]) -> Any:
        """The answer. Who is cancelled while a connection is made would leave it open with nobody to close it: so it is made all the same, and then closed."""
        asking = asyncio.ensure_future(asked)
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            asking.add_done_callback(self._let_go)
            raise

    def _let_go(self, asked: asyncio.Future[Any]) -> None:
        if not asked.cancelled() and asked.exception() is None:
            closing = asked.result().close()
            if closing is not None:
                task = asyncio.ensure_future(closing)
                self._asking.add(task)
                task.add_done_callback(self._asking.discard)

    async def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"])
        return headers

    async def _is_renewed(self, refused: Mapping[str, str]) -> bool:
        """Whether the cluster may be asked once more, by another token than that which it does not take."""
        return self._token is not None and await self._token.renew(refused.get("authorization", ""))

    def _proxy(self) -> str | None:
        proxy: str | None = self._client.configuration.proxy
        return proxy


def _read(content: bytes) -> Any:
    """Raises Unreachable: what says no JSON stands between, a page that asks who one is."""
    try:
        return json.loads(content)
    except ValueError:
        raise Unreachable("what answers for the Kubernetes API server does not speak JSON") from None


def _refusal(status: int, body: bytes) -> ApiError:
    try:
        answer = json.loads(body)
        return ApiError(status, str(answer.get("reason", "")), str(answer.get("message", "")))
    except (ValueError, AttributeError):
        return ApiError(status, "", body.decode(errors="replace")[:300])


def _told(error: BaseException) -> str:
    return f"the Kubernetes API server does not answer: {str(error)[:300] or type(error).__name__}"


def default_namespace() -> str:
    """Where the core itself runs when it is a pod."""
    try:
        return Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace").read_text(encoding="ascii").strip()
    except OSError:
        return "default"
