"""The only way in for notebooks, shells and modules: HTTP with the standard library, and one verb table.

Lives here: how a running Zoe is found, the requests, who asks from where, the verbs with their arguments, and results as plain text.
Must not live here: HTML, IPython, anything that is not in the standard library. Called by ``magics``, ``cli``, ``attach``, ``modules``.
"""
