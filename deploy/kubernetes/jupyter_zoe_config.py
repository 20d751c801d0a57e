"""Zoe on Kubernetes, from a machine with a kubeconfig; in a pod of the cluster leave `kubeconfig` out. All options: docs/admins/kubernetes.md."""

c = get_config()  # noqa: F821 (given by traitlets)
c.Zoe.backend = "kubernetes"
c.Zoe.backend_options = {"namespace": "zoe", "image_prefix": "registry.example.org/zoe/"}
