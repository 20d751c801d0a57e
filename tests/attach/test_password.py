"""A Jupyter server behind a password: kernels and shells of its user need no password of Jupyter's, and nobody else gets in."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest
from jupyter_server.auth import passwd

from tests.attach.notebook import notebook
from zoe_jupyter.testing.jupyter_home import jupyter_home

pytestmark = [pytest.mark.slow]


def test_verbs_work_behind_a_password() -> None:
    options = (
        f"--PasswordIdentityProvider.hashed_password={passwd('open sesame', 'sha1')}",
        "--PasswordIdentityProvider.password_required=True",
    )
    with jupyter_home() as home:
        server = home.start(*options, app="server")
        shell = home.zoe("shop")
        assert (shell.returncode, "spark" in shell.stdout) == (0, True), shell.stderr
        with notebook(home, server) as book:
            book.run("import os\nos.environ.pop('JUPYTER_TOKEN', None)\n%load_ext zoe_jupyter")
            assert "spark" in book.run("%zoe shop").text
        for path in ("zoe/api/info", "zoe/at/nobody/spark.master.ui/"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                urllib.request.urlopen(server.url + path)
            assert refused.value.code == 403
            refused.value.close()
