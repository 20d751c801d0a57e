"""From files to applications: reads descriptions, checks them, fills templates and parameters, composes frameworks.

Lives here: reading YAML and JSON with limits, templates, parameters, sources of the shop, the catalogue, composing, JSON Schemas.
Must not live here: anything that starts, schedules or stores; HTTP. Imports ``model`` and ``plugins`` only.
Called by the engine (at submit and at launch) and the server (cards, forms, validation). All of it is written for hostile input:
it never follows a reference to elsewhere, never runs what a description says, and reports every problem, not the first only.
"""

from zoe_jupyter import make_callable

make_callable(__name__)
