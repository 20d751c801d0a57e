"""What Zoe remembers, in SQLite or PostgreSQL: executions, services, leases, secrets, idempotency keys, the event log.

Lives here: tables, migrations, the repository, the place and lock of local state; the only SQL of the product.
Must not live here: decisions, HTTP. No row and no session leaves this room, only the model's dataclasses do.
Called by ``engine`` only: writes from one thread, reads from a few.
"""
