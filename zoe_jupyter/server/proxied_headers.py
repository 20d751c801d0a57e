"""What may pass between a browser and an execution's web page. Pure: names and values in, names and values out.

On the way in nothing of Jupyter's: no cookie but the page's own, no ``Authorization``, no token. On the way out nothing that reaches beyond the page's
own path: cookies are renamed and kept to it, redirects stay below it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
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
NEVER_IN = HOP_BY_HOP | {"authorization", "cookie", "content-length", "x-xsrftoken", "referer", "expect", "proxy"}
NEVER_OUT = HOP_BY_HOP | {
    "accept-ch",
    "access-control-allow-credentials",
    "alt-svc",
    "clear-site-data",
    "content-length",
    "critical-ch",
    "expect-ct",
    "nel",
    "origin-agent-cluster",
    "public-key-pins",
    "report-to",
    "service-worker-allowed",
    "set-cookie2",
    "strict-transport-security",
    "www-authenticate",
}
"""What browsers remember or ask for the whole site, or let reach beyond the page's path."""
NEVER_OUT_OF_SANDBOX = frozenset({"set-cookie", "referrer-policy", "access-control-max-age"})
SANDBOX: tuple[tuple[str, str], ...] = (
    ("Content-Security-Policy", "sandbox allow-scripts allow-forms allow-popups allow-modals allow-downloads"),
    ("Access-Control-Allow-Origin", "null"),
    ("Access-Control-Expose-Headers", "*"),
    ("Referrer-Policy", "no-referrer"),
)
"""For pages that are not trusted: an origin of their own, so that their scripts cannot act as the user in Jupyter. That origin is called ``null``,
and even their own address is another one's to it. The address is their key, so that no other site may learn it."""
WRITABLE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
REFRESH = re.compile(r"""(\s*[\d.]+(?:\s*[;,\s]\s*(?:url\s*=\s*)?)?)["']?([^"']*)["']?.*""", re.IGNORECASE)


class LeadsOutside(Exception):
    """A service sends the browser to another site."""


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
    asked: str = ""
    """The public path of this request."""

    @property
    def cookie_prefix(self) -> str:
        return f"zoe-{hashlib.sha256(self.prefix.encode()).hexdigest()[:10]}-"

    def inner_path(self, public_path: str) -> str:
        """The path that the service gets, percent-encoding untouched."""
        return public_path if self.keeps_prefix else public_path.removeprefix(self.prefix) or "/"

    def request_headers(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """What the service gets of a browser's headers, and its own token."""
        given = list(headers)
        never = NEVER_IN | _hops(given)
        kept = [
            (name, value)
            for name, value in given
            if name.lower() not in never and not name.lower().startswith("sec-websocket-")
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
        """What the browser gets of a service's headers. Raises LeadsOutside for a redirect to another site."""
        given = list(headers)
        never = NEVER_OUT | _hops(given)
        told = [(name, _written(value)) for name, value in given if name.lower() not in never]
        kept = [(name, out) for name, value in told if value is not None and (out := self._outward(name, value))]
        if self.is_trusted:
            return kept
        own = {name.lower() for name, _ in SANDBOX[1:]} | NEVER_OUT_OF_SANDBOX
        return [*((name, value) for name, value in kept if name.lower() not in own), *SANDBOX]

    def _outward(self, name: str, value: str) -> str | None:
        """The value as the browser gets it; None for those that it must not get."""
        match name.lower():
            case "set-cookie":
                return self.public_cookie(value)
            case "location":
                return self.public_location(value)
            case "content-location":
                with suppress(LeadsOutside):
                    return self.public_location(value)
            case "refresh":
                found = REFRESH.fullmatch(value)
                return f"{found[1]}{self.public_location(found[2]) if found[2] else ''}" if found else None
            case _:
                return value
        return None

    def public_cookie(self, value: str) -> str:
        """``Set-Cookie`` under a name of ours, kept to the page's path and host."""
        first, *rest = value.split(";")
        attributes = [part.strip() for part in rest]
        path = next((part.partition("=")[2] for part in attributes if part.lower().startswith("path=")), "/")
        kept = [part for part in attributes if part.partition("=")[0].strip().lower() not in ("path", "domain")]
        return "; ".join([f"{self.cookie_prefix}{first.strip()}", *kept, f"Path={self._public_path(path)}"])

    def public_location(self, value: str) -> str:
        """A redirect to the service itself as the browser must see it, never above the page; raises LeadsOutside for one to another site."""
        try:
            parts = urlsplit(value.strip().replace("\\", "/").replace("\t", ""))
        except ValueError:
            return f"{self.prefix}/"
        if parts.scheme not in ("", "http", "https") or (parts.netloc and not self._is_own(parts.netloc)):
            raise LeadsOutside(f"the page leads to {value[:200]!r}, which is outside; open it yourself if you trust it")
        is_relative = not parts.netloc and not parts.scheme and not parts.path.startswith("/")
        if is_relative and ".." not in parts.path.lower().replace("%2e", "."):
            return value
        folder = self.asked.rpartition("/")[0] if is_relative else ""
        path = f"{folder}/{parts.path}" if is_relative else parts.path or "/"
        return urlunsplit(("", "", self._public_path(path), parts.query, parts.fragment))

    def _is_own(self, netloc: str) -> bool:
        return netloc.lower() in (self.public_host.lower(), f"{self.host}:{self.port}".lower())

    def _public_path(self, path: str) -> str:
        if path == self.prefix:
            return path
        return f"{self.prefix}{without_dots('/' + path.removeprefix(f'{self.prefix}/').lstrip('/'))}"

    def _own_cookies(self, values: Iterable[str]) -> Iterator[str]:
        for value in values:
            for name, text in _cookies(value):
                if name.startswith(self.cookie_prefix):
                    yield f"{name.removeprefix(self.cookie_prefix)}={text}"


def without_token(query: str) -> str:
    """A query without Jupyter's token, else untouched."""
    return "&".join(part for part in query.split("&") if part.partition("=")[0] != "token")


def _hops(headers: Iterable[tuple[str, str]]) -> frozenset[str]:
    """What a ``Connection`` header says is for the next hop only."""
    named = (value.split(",") for name, value in headers if name.lower() == "connection")
    return frozenset(word.strip().lower() for words in named for word in words)


def _written(value: str) -> str | None:
    """The bytes of a service's header as tornado writes them; None for those that no header may have."""
    text = value.encode("utf-8", "surrogateescape").decode("latin-1")
    return text if WRITABLE.fullmatch(text) else None


def without_dots(path: str) -> str:
    """An absolute path with ``.`` and ``..`` resolved as browsers do, percent-encoded ones too; it never leads above the root."""
    kept: list[str] = []
    for part in path.split("/"):
        plain = part.lower().replace("%2e", ".")
        if plain == "..":
            del kept[max(1, len(kept) - 1) :]
        elif plain != ".":
            kept.append(part)
    is_folder = path.rpartition("/")[2].lower().replace("%2e", ".") in (".", "..")
    return "/".join([*kept, ""] if is_folder or len(kept) == 1 else kept)


def _cookies(value: str) -> list[tuple[str, str]]:
    try:
        return [(name, morsel.coded_value) for name, morsel in SimpleCookie(value).items()]
    except CookieError:
        return []
