"""The local backend does what every backend must."""

from zoe_jupyter.testing.backend_contract import BackendContract


class TestLocalBackend(BackendContract):
    pass
