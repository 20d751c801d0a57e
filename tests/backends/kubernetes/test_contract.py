"""The Kubernetes backend does what every backend must, on a real cluster, with no more rights than Zoe asks for."""

import pytest

from zoe_jupyter.testing.backend_contract import BackendContract


@pytest.mark.kubernetes
class TestKubernetesBackend(BackendContract):
    pass
