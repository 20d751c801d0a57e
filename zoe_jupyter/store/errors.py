"""What can be wrong with the store. Every message has the way out; none has a password or a secret."""

from __future__ import annotations

from zoe_jupyter.model.errors import ZoeError


class StoreError(ZoeError):
    """The store could not do it; nothing of the transaction was written, unless ``details`` has ``outcome: unknown``."""

    reason = "store"


class Fenced(StoreError):
    """Another core has taken over, or this one never did: it may not write any more."""

    reason = "store_fenced"


class StaleWrite(StoreError):
    """The write is based on an older version than the stored one (or on none that is stored)."""

    reason = "store_stale"


class StoreFull(StoreError):
    """No room is left on the disk; trying again after making room is safe."""

    reason = "store_full"


class StoreUnwritable(StoreError):
    """The disk is read-only now, or fails; trying again once it can be written to is safe."""

    reason = "store_unwritable"


class StoreGone(StoreError):
    """The database's files are not those any more that were opened: what is written would not be there at the next start."""

    reason = "store_gone"


class StoreCorrupt(StoreError):
    """The database, or a record in it, cannot be read."""

    reason = "store_corrupt"


class StoreTooNew(StoreError):
    """A newer Zoe has written it."""

    reason = "store_too_new"


class StoreBusy(StoreError):
    """Locked for too long, or not reachable now; trying again is safe."""

    reason = "store_busy"
