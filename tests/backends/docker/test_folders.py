"""Folders of the machine are seen by services where the admin named them, read-only, and never those with which they would have the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.backends.docker.conftest import DockerWorld
from tests.backends.docker.test_hostile import found
from zoe_jupyter.backends.docker import folders
from zoe_jupyter.backends.docker.settings import FolderSettings
from zoe_jupyter.model.errors import Fatal, ZoeError
from zoe_jupyter.testing.backend_contract import Runner

LOOK = """
import json, os, pathlib, sys
def tried(work):
    try:
        return work()
    except OSError as error:
        return error.strerror
print("FOUND", json.dumps({
    "read": tried(lambda: pathlib.Path("/data/table").read_text()),
    "write": tried(lambda: pathlib.Path("/data/new").write_text("x")),
    "remove": tried(lambda: os.unlink("/data/table")),
    "remount": os.system("mount -o remount,rw /data 2>/dev/null") != 0,
    "linked": tried(lambda: pathlib.Path("/data/link").read_text()),
    "scratch": tried(lambda: pathlib.Path("/scratch/new").write_text("x")),
}), flush=True)
"""


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder that the site gives, with a link in it that leads out."""
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "table").write_text("1 2 3")
    (tmp_path / "secret").write_text("of the machine")
    (folder / "link").symlink_to(tmp_path / "secret")
    return folder


@pytest.mark.docker
async def test_services_read_what_the_site_gives_them_and_no_more(world: DockerWorld, shared: Path) -> None:
    scratch = shared.parent / "scratch"
    scratch.mkdir(mode=0o777)
    scratch.chmod(0o777)
    given = FolderSettings(str(shared), "/data"), FolderSettings(str(scratch), "/scratch", is_writable=True)
    world.options["folders"] = given
    runner = Runner(world, await world.open())
    seen = await found(runner, "one", LOOK)
    assert seen["read"] == "1 2 3"
    assert (seen["write"], seen["remove"], seen["remount"]) == ("Read-only file system", "Read-only file system", True)
    assert seen["linked"] == "No such file or directory", "links are followed inside, where there is nothing"
    assert (seen["scratch"], (scratch / "new").read_text()) == (1, "x")
    await runner.backend.clean("one", keep_logs=False)
    await world.close(runner.backend)


@pytest.mark.docker
async def test_a_folder_that_later_leads_elsewhere_is_given_to_nobody(world: DockerWorld, shared: Path) -> None:
    door = shared.parent / "door"
    door.symlink_to(shared)
    world.options["folders"] = (FolderSettings(str(door), "/data"),)
    runner = Runner(world, await world.open())
    assert json.dumps(await found(runner, "one", LOOK))
    door.unlink()
    door.symlink_to("/etc")
    with pytest.raises(Fatal, match=r"is not given to services: it is /etc") as refused:
        await runner.launch(runner.order("one", "other.main-0"))
    assert refused.value.reason == "no_folder"
    door.unlink()
    with pytest.raises(Fatal, match="cannot be had: No such file"):
        await runner.launch(runner.order("one", "other.main-0"))
    await runner.backend.clean("one", keep_logs=False)
    await world.close(runner.backend)


@pytest.mark.parametrize(
    ("path", "at", "said"),
    [
        ("/", "/data", "services would have the machine"),
        ("/etc", "/data", "services would have the machine"),
        ("/var/run/docker.sock", "/data", "services would have the machine"),
        ("/proc/1", "/data", "services would have the machine"),
        ("/var", "/data", "services would have the machine"),
        ("state", "/data", "services would have the machine"),
        ("state/zoe/docker", "/data", "services would have the machine"),
        ("link", "/data", "services would have the machine"),
        ("relative", "data", "begin with a slash"),
        ("/srv", "/zoe/x", "services cannot have it at /zoe/x"),
        ("/srv", "/data/../etc", "services cannot have it at"),
    ],
)
def test_what_would_give_the_machine_away_is_refused(tmp_path: Path, path: str, at: str, said: str) -> None:
    state = tmp_path / "state" / "zoe"
    state.mkdir(parents=True)
    (tmp_path / "link").symlink_to("/etc")
    path = str(tmp_path / path) if path.startswith(("state", "link")) else path
    with pytest.raises(ZoeError, match="the folder ") as refused:
        list(folders.known([FolderSettings(path, at)], state=state))
    assert said in refused.value.message


def test_a_folder_is_seen_at_its_own_place_unless_it_has_another(tmp_path: Path) -> None:
    given = list(folders.known([FolderSettings("/srv/data"), FolderSettings("/srv/data", "/d")], state=tmp_path))
    mount = {"Type": "bind", "Source": "/srv/data", "ReadOnly": True, "BindOptions": {"NonRecursive": True}}
    assert folders.mounts(given, is_here=False, state=tmp_path) == [
        {**mount, "Target": "/srv/data"},
        {**mount, "Target": "/d"},
    ]
