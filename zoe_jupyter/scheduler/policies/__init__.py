"""In which order those that wait are served: one file for each policy, found by its entry point in ``zoe_jupyter.policies``.

Lives here: orders only. Must not live here: who fits where (``decide``), clock, randomness, I/O.
"""
