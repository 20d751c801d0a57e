"""Who runs where: ``decide(snapshot, policy, now, memo=None) -> Plan``, in counts per (execution, process, node).

Lives here: snapshot and plan, placement, admission, waiting reasons, policies. Must not live here: clock, randomness, I/O, drivers.
Called by the engine and by the simulator with the same snapshot. Imports ``plugins`` and ``model``.
"""
