"""Services as pods of a Kubernetes cluster: Zoe decides what runs, the cluster places, isolates and restarts what it can by itself.

``manifests.py`` and ``translate.py`` are pure: from orders to objects, from pods to what was seen. ``watched.py`` keeps a copy of the deployment's pods
by list and watch. Must not live here: decisions, states, anything of other backends. The driver's only door. Called by the engine through
``KubernetesBackend`` only.
"""

from zoe_jupyter.backends.kubernetes.backend import KubernetesBackend

__all__ = ["KubernetesBackend"]
