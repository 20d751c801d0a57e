"""Who asks ``jupyter zoe serve``: the door for a site's own users, such as a hub's."""

from __future__ import annotations

from dataclasses import dataclass

from traitlets.config import LoggingConfigurable


@dataclass(frozen=True, slots=True)
class Identity:
    """A user, and whether they are an admin of Zoe."""

    user: str
    is_admin: bool = False


class IdentityProvider(LoggingConfigurable):
    """Knows no tokens. The token in the connection file, which only the account that runs Zoe can read, needs no provider."""

    async def identify(self, token: str) -> Identity | None:
        """Whose token it is; None when it is nobody's. Raise nothing for a bad token: whoever asks gets 401 either way."""
        return None
