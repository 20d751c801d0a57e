"""A setting that cannot be: Jupyter starts all the same, and Zoe says what is wrong with it."""

from __future__ import annotations

import json

import pytest
from tornado.httpclient import HTTPClientError
from traitlets.config import Config


@pytest.fixture(params=[("protection_s", float("nan"), "must be a number"), ("deployment", "é" * 51, "100 bytes")])
def setting(request: pytest.FixtureRequest) -> tuple[str, object, str]:
    return request.param


@pytest.fixture
def jp_server_config(jp_server_config: Config, setting: tuple[str, object, str]) -> Config:
    return Config({**jp_server_config, "Zoe": {setting[0]: setting[1]}})


async def test_a_setting_that_cannot_be_is_told_to_who_asks(jp_fetch, setting: tuple[str, object, str]) -> None:
    assert (await jp_fetch("api", "status")).code == 200
    with pytest.raises(HTTPClientError) as caught:
        await jp_fetch("zoe", "api", "info")
    assert caught.value.code == 503
    message = json.loads(caught.value.response.body)["message"]
    assert setting[0] in message
    assert setting[2] in message
