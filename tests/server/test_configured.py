"""A setting that cannot be: Jupyter starts all the same, and Zoe says what is wrong with it."""

from __future__ import annotations

import json

import pytest
from tornado.httpclient import HTTPClientError
from traitlets.config import Config


@pytest.fixture
def jp_server_config(jp_server_config: Config) -> Config:
    return Config({**jp_server_config, "Zoe": {"protection_s": float("nan")}})


async def test_a_setting_that_cannot_be_is_told_to_who_asks(jp_fetch) -> None:
    assert (await jp_fetch("api", "status")).code == 200
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("zoe", "api", "info")
    assert caught.value.code == 503
    assert "protection_s must be a number" in json.loads(caught.value.response.body)["message"]
