"""``jupyter zoe --generate-config`` writes every setting, with its help, and Python can read it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def test_the_configuration_file_names_every_setting(tmp_path: Path) -> None:
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(tmp_path), "HOME": str(tmp_path)}

    ran = subprocess.run(
        [sys.executable, "-m", "zoe_jupyter.cli.app", "--generate-config"],
        env=environment,
        capture_output=True,
        text=True,
    )

    assert ran.returncode == 0, ran.stderr
    text = (tmp_path / "jupyter_zoe_config.py").read_text()
    compile(text, "jupyter_zoe_config.py", "exec")
    for setting in ("backend", "database_url", "policy", "shop_sources"):
        assert f"# c.Zoe.{setting} = " in text
