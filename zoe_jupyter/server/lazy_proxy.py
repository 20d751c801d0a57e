"""The addresses of the web proxy in the Jupyter server; what answers there is imported when the first page is opened."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from jupyter_server.base.handlers import JupyterHandler
from tornado import web

PAGE = r"zoe/at/(?P<execution>[^/]+)/(?P<endpoint>[^/]+)(?P<rest>(?:/.*)?)"
TICKET = r"zoe/ticket/(?P<ticket>[^/]+)(?P<rest>(?:/.*)?)"


class LazyProxy(JupyterHandler):
    """Stands for ``proxy.ZoeProxy``: making one makes the other."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        from zoe_jupyter.server.proxy import ZoeProxy

        return ZoeProxy(*args, **kwargs)

    @web.authenticated
    @authorized
    async def get(self, *args: str, **kwargs: str) -> None:
        """Never reached; says to Jupyter, which looks at every handler, that nobody gets in unknown."""

    post = put = delete = head = patch = options = get


class LazyTicketProxy(JupyterHandler):
    """Stands for ``ticket_proxy.TicketProxy``."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        from zoe_jupyter.server.ticket_proxy import TicketProxy

        return TicketProxy(*args, **kwargs)

    @allow_unauthenticated
    async def get(self, *args: str, **kwargs: str) -> None:
        """Never reached; says to Jupyter that the ticket alone lets in."""

    post = put = delete = head = patch = options = get
