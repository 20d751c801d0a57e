"""Write again the files that are generated from the code; ``--check`` only tells whether they are as the code says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import node
import setup


@dataclass(frozen=True)
class Generator:
    """A command that writes files in place."""

    source: str
    command: tuple[str, ...]
    outputs: str
    """A pattern of paths, from the root."""
    folder: Path = setup.ROOT


GENERATORS = (
    Generator(
        "zoe_jupyter/server/openapi.py",
        (sys.executable, "-m", "zoe_jupyter.server.openapi"),
        "zoe_jupyter/server/openapi.json",
    ),
    Generator(
        "zoe_jupyter/shop/schemas.py",
        (sys.executable, "-m", "zoe_jupyter.shop.schemas"),
        "zoe_jupyter/shop/generated/*.json",
    ),
    Generator(
        "zoe_jupyter/server/openapi.json",
        ("npm", "run", "--silent", "types"),
        "labextension/src/api/generated/*",
        setup.LABEXTENSION,
    ),
)


def main() -> None:
    """Generate everything, or check it."""
    environment = node.environment(setup.VENV, install=setup.install)
    stale = []
    for generator in GENERATORS:
        if (setup.ROOT / generator.source).exists():
            stale += regenerate(generator, environment, keep="--check" in sys.argv)
    if stale and "--check" in sys.argv:
        sys.exit(f"not as the code says: {', '.join(stale)}; run `make generate` and commit what it writes")
    print(f"generated again: {', '.join(stale) or 'nothing changed'}")


def regenerate(generator: Generator, environment: Mapping[str, str], *, keep: bool) -> list[str]:
    """Run one generator; give the paths that changed, put back as they were when ``keep``."""
    before = read(generator.outputs)
    result = subprocess.run(generator.command, cwd=generator.folder, env=dict(environment), check=False)
    if result.returncode:
        sys.exit(f"generating {generator.outputs} failed: {' '.join(generator.command)}")
    after = read(generator.outputs)
    changed = sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
    if keep:
        put_back(changed, before)
    return [str(path.relative_to(setup.ROOT)) for path in changed]


def read(pattern: str) -> dict[Path, bytes]:
    """Read every file of a pattern."""
    return {path: path.read_bytes() for path in setup.ROOT.glob(pattern) if path.is_file()}


def put_back(changed: list[Path], before: Mapping[Path, bytes]) -> None:
    """Write what was there before."""
    for path in changed:
        if path in before:
            path.write_bytes(before[path])
        else:
            path.unlink()


if __name__ == "__main__":
    main()
