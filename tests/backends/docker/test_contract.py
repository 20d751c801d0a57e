"""The Docker backend does what every backend must, on a real engine."""

import pytest

from zoe_jupyter.testing.backend_contract import BackendContract

pytestmark = pytest.mark.docker


class TestDockerBackend(BackendContract):
    pass
