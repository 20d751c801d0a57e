"""What services inherit, and what they never get."""

from __future__ import annotations

import json
import os
import sys

import pytest

from tests.backends.local.conftest import LocalWorld, status
from zoe_jupyter.backends.local.environment import inherited, service_environment
from zoe_jupyter.model.errors import Fatal
from zoe_jupyter.model.execution import Client
from zoe_jupyter.testing.backend_contract import Runner

SECRETS = {
    "JUPYTER_TOKEN": "1", "JUPYTERHUB_API_TOKEN": "1", "JPY_API_TOKEN": "1", "GITHUB_TOKEN": "1", "DB_PASSWORD": "1", "MY_SECRET": "1",
    "AWS_ACCESS_KEY_ID": "1", "AWS_SECRET_ACCESS_KEY": "1", "AZURE_CLIENT_ID": "1", "GOOGLE_APPLICATION_CREDENTIALS": "1",
    "OPENAI_API_KEY": "1", "SSH_AUTH_SOCK": "1", "JUPYTERHUB_USER": "1", "EVERYTHING_ELSE": "1", "https_proxy": "http://me:pw@proxy",
}  # fmt: skip
SHOW = "import json, os; print(json.dumps(dict(os.environ)))"


def test_only_what_is_listed_is_inherited() -> None:
    harmless = {
        "PATH": "/bin",
        "HOME": "/home/ada",
        "LC_ALL": "C.UTF-8",
        "LANG": "C",
        "TZ": "UTC",
        "TMPDIR": "/tmp",
        "http_proxy": "http://proxy",
    }
    assert inherited({**SECRETS, **harmless}) == harmless


def test_an_admin_may_add_names_but_no_secrets() -> None:
    assert inherited({"SITE": "x", "SITE_TOKEN": "y"}, extra={"SITE", "SITE_TOKEN"}) == {"SITE": "x"}


def test_the_interpreters_programs_come_first_on_the_path() -> None:
    made = service_environment({"PATH": "/bin:/env/bin:/usr/bin"}, {"TOKEN": "own"}, python="/env/bin/python")
    assert made["PATH"] == "/env/bin:/bin:/usr/bin"
    assert made["TOKEN"] == "own"


async def test_no_secret_reaches_a_service_or_its_supervisor(
    runner: Runner, world: LocalWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    await runner.launch(runner.order("one", code=SHOW, environment={"APP_TOKEN": "own"}))
    seen = await runner.ended("one")
    got = json.loads(await runner.output("one"))
    assert not set(got) & set(SECRETS)
    assert got["APP_TOKEN"] == "own"
    assert got["HOME"] == os.environ["HOME"]
    assert got["ZOE_SERVICE"] == f"{world.deployment}/one/app.main-0#1"
    assert got["PATH"].split(":")[0] == os.path.dirname(sys.executable)
    own = status(seen.handle["supervisor"]["pid"], "environ").split("\0")
    assert not {entry.partition("=")[0] for entry in own} & set(SECRETS)


async def test_a_service_works_in_its_executions_folder_or_where_it_was_told(
    runner: Runner, world: LocalWorld, tmp_path
) -> None:
    for service, cwd in {"app.own-0": "", "app.told-0": str(tmp_path)}.items():
        await runner.launch(runner.order("one", service, code="import os; print(os.getcwd())", cwd=cwd))
        await runner.ended("one", service)
    assert (await runner.output("one", "app.own-0")).decode().strip() == str(world.run_dir("one") / "work")
    assert (await runner.output("one", "app.told-0")).decode().strip() == str(tmp_path)


async def test_files_that_services_make_have_the_users_own_mask(runner: Runner, world: LocalWorld) -> None:
    mask = os.umask(0o027)
    try:
        await runner.launch(runner.order("one", code="open('made', 'w')"))
    finally:
        os.umask(mask)
    await runner.ended("one")
    assert (world.run_dir("one") / "work" / "made").stat().st_mode & 0o777 == 0o640


async def test_a_folder_or_interpreter_that_is_not_there_is_fatal_and_named(runner: Runner) -> None:
    with pytest.raises(Fatal, match="/no/such/folder"):
        await runner.launch(runner.order("one", cwd="/no/such/folder"))
    with pytest.raises(Fatal, match="/no/such/python"):
        await runner.launch(runner.order("one", client=Client(python="/no/such/python")))


@pytest.mark.parametrize("path", ["../outside", "/etc/outside", "a/../../outside"])
async def test_files_stay_in_the_services_folder(runner: Runner, path: str) -> None:
    with pytest.raises(Fatal, match="outside"):
        await runner.launch(runner.order("one", files={path: "x"}))


@pytest.mark.parametrize("name", ["../up", "a/b", "", ".hidden", "x" * 200])
async def test_names_that_are_no_file_names_are_refused(runner: Runner, name: str) -> None:
    with pytest.raises(Fatal):
        await runner.launch(runner.order(name))
    with pytest.raises(Fatal):
        await runner.launch(runner.order("one", name))
