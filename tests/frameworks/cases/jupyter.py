"""JupyterLab: its page behind the proxy, and nothing without its token."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Mapping

import pytest

from tests.frameworks.cases import Case

PREFIX = "/user/ada/zoe/at/x/jupyter.lab.http"


def page(address: str, headers: Mapping[str, str]) -> None:
    with pytest.raises(urllib.error.HTTPError, match="403"):
        _get(f"{address}/api/status", {})
    text = _get(f"{address}/lab", {**headers, "X-Forwarded-Prefix": PREFIX})
    assert f'"baseUrl": "{PREFIX}/"' in text
    assert f'src="{PREFIX}/static/lab/' in text
    assert '"/static' not in text
    assert '"name": "notes.txt"' in _get(f"{address}/api/contents", headers)


def _get(url: str, headers: Mapping[str, str]) -> str:
    request = urllib.request.Request(url, headers=dict(headers))
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


CASE = Case(parameters={"memory": "512MiB"}, files={"notes.txt": "here"}, page=page)
