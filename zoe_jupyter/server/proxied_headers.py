"""What may pass between a browser and an execution's web page. Pure: names and values in, names and values out.

On the way in nothing of Jupyter's: no cookie but the page's own, no ``Authorization``, no token. On the way out nothing that reaches beyond the page's
own path: cookies are renamed and kept to it, redirects stay below it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit, urlunsplit

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
NEVER_IN = HOP_BY_HOP | {"authorization", "cookie", "content-length", "x-xsrftoken", "referer", "expect"}
NEVER_OUT = HOP_BY_HOP | {
    "access-control-allow-credentials",
    "alt-svc",
    "clear-site-data",
    "content-length",
    "public-key-pins",
    "service-worker-allowed",
    "set-cookie2",
    "strict-transport-security",
}
SANDBOX = "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads"
"""For pages that are not trusted: a null origin, so that their scripts cannot act as the user in Jupyter."""


@dataclass(frozen=True, slots=True)
class Page:
    """One endpoint of an execution, as seen from both sides."""

    prefix: str
    """Its public path, without a slash at its end."""
    public_host: str
    """``Host`` as the browser says it."""
    host: str
    port: int
    headers: Mapping[str, str] = field(default_factory=dict)
    is_trusted: bool = True
    keeps_prefix: bool = False

    @property
    def cookie_prefix(self) -> str:
        return f"zoe-{hashlib.sha256(self.prefix.encode()).hexdigest()[:10]}-"

    def inner_path(self, public_path: str) -> str:
        """The path that the service gets, percent-encoding untouched."""
        return public_path if self.keeps_prefix else public_path.removeprefix(self.prefix) or "/"

    def request_headers(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """What the service gets of a browser's headers, and its own token."""
        given = list(headers)
        kept = [
            (name, value)
            for name, value in given
            if _may_pass(name, NEVER_IN) and not name.lower().startswith("sec-websocket-")
        ]
        cookies = "; ".join(self._own_cookies(value for name, value in given if name.lower() == "cookie"))
        if cookies:
            kept.append(("Cookie", cookies))
        if not self.keeps_prefix:
            kept += [
                (name, self.prefix) for name in ("X-Forwarded-Context", "X-ProxyContextPath", "X-Forwarded-Prefix")
            ]
        replaced = {name.lower() for name in self.headers}
        return [(name, value) for name, value in kept if name.lower() not in replaced] + list(self.headers.items())

    def response_headers(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """What the browser gets of a service's headers."""
        kept = [(name, self._outward(name, value)) for name, value in headers if _may_pass(name, NEVER_OUT)]
        return kept if self.is_trusted else [*kept, ("Content-Security-Policy", SANDBOX)]

    def _outward(self, name: str, value: str) -> str:
        if name.lower() == "set-cookie":
            return self.public_cookie(value)
        return self.public_location(value) if name.lower() in ("location", "content-location") else value

    def public_cookie(self, value: str) -> str:
        """``Set-Cookie`` under a name of ours, kept to the page's path and host."""
        first, *rest = value.split(";")
        attributes = [part.strip() for part in rest]
        path = next((part.partition("=")[2] for part in attributes if part.lower().startswith("path=")), "/")
        kept = [part for part in attributes if part.partition("=")[0].strip().lower() not in ("path", "domain")]
        return "; ".join([f"{self.cookie_prefix}{first.strip()}", *kept, f"Path={self._public_path(path)}"])

    def public_location(self, value: str) -> str:
        """A redirect to the service itself as the browser must see it; those to other sites stay as they are."""
        parts = urlsplit(value)
        if parts.netloc and parts.netloc.lower() not in (self.public_host.lower(), f"{self.host}:{self.port}".lower()):
            return value
        if not parts.netloc and not value.startswith("/"):
            return value
        return urlunsplit(("", "", self._public_path(parts.path or "/"), parts.query, parts.fragment))

    def _public_path(self, path: str) -> str:
        if path == self.prefix or path.startswith(f"{self.prefix}/"):
            return path
        return f"{self.prefix}/{path.lstrip('/')}"

    def _own_cookies(self, values: Iterable[str]) -> Iterator[str]:
        for value in values:
            for name, text in _cookies(value):
                if name.startswith(self.cookie_prefix):
                    yield f"{name.removeprefix(self.cookie_prefix)}={text}"


def without_token(query: str) -> str:
    """A query without Jupyter's token, else untouched."""
    return "&".join(part for part in query.split("&") if part.partition("=")[0] != "token")


def _may_pass(name: str, never: frozenset[str]) -> bool:
    return name.lower() not in never


def _cookies(value: str) -> list[tuple[str, str]]:
    try:
        return [(name, morsel.coded_value) for name, morsel in SimpleCookie(value).items()]
    except CookieError:
        return []
