"""``%zoe`` and ``%%zoe`` in IPython, and the verbs as Python functions: rendering only.

Lives here: results as HTML, progress displays, completion, notices, the objects that the functions return.
Must not live here: requests, decisions about attaching (``client``, ``attach``). The only place that may import IPython and ipywidgets.
"""
