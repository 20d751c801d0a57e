"""Several users before there is a hub: an identity provider of ``jupyter zoe serve`` for tests, with fixed tokens."""

from __future__ import annotations

import hmac

from traitlets import Dict, List, Unicode

from zoe_jupyter.server.identity import Identity, IdentityProvider

NAME = "zoe_jupyter.testing.roster:Roster"


class Roster(IdentityProvider):
    """Who has which token, and who of them is an admin."""

    tokens = Dict(key_trait=Unicode(), value_trait=Unicode(), help="User by token.").tag(config=True)
    admins = List(Unicode(), help="Users who are admins.").tag(config=True)

    async def identify(self, token: str) -> Identity | None:
        """Compares with all, so that the time tells nothing."""
        users = [user for known, user in self.tokens.items() if hmac.compare_digest(known.encode(), token.encode())]
        return Identity(users[0], users[0] in self.admins) if users else None
