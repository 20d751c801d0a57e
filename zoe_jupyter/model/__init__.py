"""The words of Zoe as frozen dataclasses, and the tree of errors.

Lives here: descriptions, applications, executions, services, resources, units, errors.
Must not live here: any I/O, clock, randomness or driver; nothing outside the standard library. Imports no other room.
Called by every room; the shop and the server validate these same classes with pydantic's ``TypeAdapter``.
"""
