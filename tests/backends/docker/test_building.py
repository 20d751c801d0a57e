"""What a builder of images is given: of the framework's folder all that is meant to be in it, of the machine nothing else."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from zoe_jupyter.backends.docker.building import Recipe, _build, context
from zoe_jupyter.model.errors import ZoeError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "shop" / "trap"
    (folder / "image").mkdir(parents=True)
    (folder / "image" / "Dockerfile").write_text("FROM scratch\n")
    (folder / "framework.yaml").write_text("name: trap\n")
    (folder / "launch.py").write_text("")
    (folder / "launch.py").chmod(0o755)
    (folder / "same.py").symlink_to("launch.py")
    (tmp_path / "secret").write_text("hush")
    return folder


def packed(folder: Path) -> dict[str, int]:
    """Mode by name."""
    with tarfile.open(fileobj=io.BytesIO(context(Recipe("zoe/trap:1", folder)))) as archive:
        return {entry.name: entry.mode for entry in archive.getmembers()}


def test_the_framework_goes_in_and_what_is_for_people_stays_out(folder: Path) -> None:
    (folder / "README.md").write_text("# Trap")
    found = packed(folder)
    assert set(found) == {
        "Dockerfile", "framework/framework.yaml", "framework/launch.py", "framework/same.py", "zoe/provide.py", "zoe/requirements.txt",
    }  # fmt: skip
    assert (found["framework/launch.py"], found["framework/framework.yaml"]) == (0o755, 0o644)


@pytest.mark.parametrize("place", ["image/id_rsa", "deep/id_rsa"])
@pytest.mark.parametrize("to", ["../../../secret", "/etc/passwd", "/dev/zero", "/nowhere", "../.."])
def test_a_link_that_leads_elsewhere_packs_nothing(folder: Path, place: str, to: str) -> None:
    (folder / "deep").mkdir()
    (folder / place).symlink_to(to)
    with pytest.raises(ZoeError, match="leads out of"):
        context(Recipe("zoe/trap:1", folder))


@pytest.mark.parametrize(
    ("said", "is_told"),
    [
        ('Get "https://registry-1.docker.io/v2/": dial tcp: lookup registry-1.docker.io: no such host', True),
        ("pull access denied for nowhere/base", True),
        ("The command '/bin/sh -c false' returned a non-zero code: 1", False),
    ],
)
def test_who_builds_without_a_registry_is_told_of_another_base(said: str, is_told: bool) -> None:
    client = SimpleNamespace(build=lambda **_: iter([{"error": said}]))
    with pytest.raises(ZoeError, match="could not be built") as caught:
        _build(client, b"", "zoe/trap:1", lambda _: None)
    assert ("`--base`" in caught.value.message) is is_told
