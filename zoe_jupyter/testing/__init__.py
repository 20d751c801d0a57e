"""Public fakes, and the contract suites that every plug-in is run through.

Must not live here: anything that the product itself needs. May import every room; imported by tests only.
"""
