"""The one loop, and the only writer of status and target: decisions become actions here.

Lives here: the core (its own thread and event loop), reconciling, leases, lifetimes, rendering of launch templates, failpoints.
Must not live here: HTTP, widgets, SQL, drivers. Called by ``server`` only, through ``door.CoreDoor``.
"""
