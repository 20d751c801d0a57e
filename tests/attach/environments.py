"""Second environments for kernels, made of this one's packages: without pyspark, or with another version of it, and without Zoe."""

from __future__ import annotations

import json
import sys
import sysconfig
import venv
from pathlib import Path

from zoe_jupyter.testing.jupyter_home import JupyterHome

LEFT_OUT = (
    "pyspark",
    "zoe_jupyter",
    "_zoe_jupyter",
    "__editable__",
    "_editable",
    "distutils-precedence",
    "_virtualenv",
    "a1_coverage",
)


def add_kernel(home: JupyterHome, name: str, *, pyspark: str = "") -> Path:
    """An environment and its kernel spec; ``pyspark`` is the version that it claims to hold."""
    folder = home.folder / f"env-{name}"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    packages = next((folder / "lib").glob("python*/site-packages"))
    _link_packages(packages)
    if pyspark:
        described = packages / f"pyspark-{pyspark}.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pyspark\nVersion: {pyspark}\n")
    spec = home.data / "kernels" / name
    spec.mkdir(parents=True)
    argv = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}))
    return python


def _link_packages(target: Path) -> None:
    source = Path(sysconfig.get_path("purelib"))
    assert source.is_relative_to(sys.prefix)
    for entry in source.iterdir():
        if not entry.name.lower().startswith(LEFT_OUT) and not (target / entry.name).exists():
            (target / entry.name).symlink_to(entry)
