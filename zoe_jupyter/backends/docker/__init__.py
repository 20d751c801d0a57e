"""Services as containers of one or several Docker Engines.

Lives here: the only place that knows the ``docker`` package. ``translate`` is pure, ``engine`` speaks with one engine. Must not live here:
decisions, states, anything of other backends. Called by the engine room through ``DockerBackend`` only.
"""

from zoe_jupyter.backends.docker.backend import DockerBackend

__all__ = ["DockerBackend"]
