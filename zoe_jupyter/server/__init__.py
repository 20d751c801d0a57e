"""Zoe inside a Jupyter server, and the same application as a process of its own (``jupyter zoe serve``).

Lives here: routes by subject, who may call, errors to HTTP, the OpenAPI document, the event stream, the web proxy,
the home of the core.
Must not live here: decisions or SQL. The only place that imports ``jupyter_server``.
"""
