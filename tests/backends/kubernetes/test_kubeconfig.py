"""A kubeconfig that cannot be used is told by its setting, and what did not start can be closed. No cluster is needed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration

from tests.backends.kubernetes.serving import serving
from zoe_jupyter.backends.kubernetes import KubernetesBackend, kubeconfig, limited
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer
from zoe_jupyter.model.errors import ZoeError
from zoe_jupyter.testing.backend_contract import eventually

GOOD = """
apiVersion: v1
kind: Config
current-context: lab
clusters: [{name: c, cluster: {server: "https://192.0.2.1:6443"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: lab, context: {cluster: c, user: u}}, {name: hall, context: {cluster: c, user: u}}]
"""


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(kubeconfig, "USUAL", str(tmp_path / "usual"))


async def refused(tmp_path: Path, **options: str) -> str:
    backend = KubernetesBackend(deployment="lab", data_dir=tmp_path, **options)  # type: ignore[arg-type]
    with pytest.raises(ZoeError) as error:
        await backend.start()
    await backend.close()
    return error.value.message


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    told = await refused(tmp_path, kubeconfig="/nope/config")
    assert told == "the setting Zoe.backend_options: kubeconfig: there is no file /nope/config"


async def test_without_any_the_way_out_is_told(tmp_path: Path) -> None:
    told = await refused(tmp_path)
    assert told == f"no kubeconfig ({tmp_path / 'usual'}) and not in a pod: set KUBECONFIG or the option kubeconfig"


@pytest.mark.parametrize("is_option", [True, False])
async def test_a_context_that_is_not_there_is_told_with_those_that_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_option: bool
) -> None:
    """And nobody falls back on a pod's own account."""
    file = tmp_path / "config"
    file.write_text(GOOD)
    monkeypatch.setattr(kubeconfig, "_is_pod", lambda configuration: True)
    monkeypatch.setenv("KUBECONFIG", str(file))
    told = await refused(tmp_path, context="nosuch", **({"kubeconfig": str(file)} if is_option else {}))
    assert told == f"the setting Zoe.backend_options: no context 'nosuch' in {file}; it has: lab, hall"


@pytest.mark.parametrize(
    "text", ["{clusters: [", "", "just words", "[1, 2]", "contexts: [{}]", "\0", "current-context: x"]
)
async def test_a_file_that_is_no_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    told = await refused(tmp_path, kubeconfig=str(file))
    assert told.startswith(f"the setting Zoe.backend_options: kubeconfig: {file} cannot be used: ")


@pytest.mark.parametrize("text", [None, "{clusters: [", ""])
async def test_a_variable_that_names_no_kubeconfig_is_told_also_in_a_pod(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    """Else Zoe would be somebody else, perhaps elsewhere, without a word."""
    file = tmp_path / "config"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(kubeconfig, "_is_pod", lambda configuration: True)
    monkeypatch.setenv("KUBECONFIG", str(file))
    told = await refused(tmp_path)
    if text is None:
        assert told == f"KUBECONFIG: there is no file {file}"
    else:
        assert told.startswith(f"KUBECONFIG: {file} cannot be used: ")


async def test_without_any_a_pod_is_its_own_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeconfig, "_is_pod", lambda configuration: True)
    assert await kubeconfig.configure(Configuration(), "", "") is None


async def test_what_never_started_can_be_closed(tmp_path: Path) -> None:
    await KubernetesBackend(deployment="lab", data_dir=tmp_path).close()


class Tokens:
    """An API server that takes one token only, and a command that tells the tokens of a file, which have an end that it does not say."""

    def __init__(self, folder: Path) -> None:
        self.taken = "first"
        self.asked: list[str] = []
        self.file = folder / "token"
        self.runs = folder / "runs"
        self.command = folder / "get-token"
        self.command.write_text(
            f"""#!/bin/sh
echo run >> {self.runs}
printf '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {{"token": "%s"}}}}' "$(cat {self.file})"
"""
        )
        self.command.chmod(0o700)
        self.file.write_text(self.taken)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.headers.get("authorization", ""))
        status = 200 if self.asked[-1] == f"Bearer {self.taken}" else 401
        return web.json_response({"method": request.method, "message": "Unauthorized"}, status=status)

    def change(self, token: str) -> None:
        self.taken = token
        self.file.write_text(token)


@pytest.fixture
async def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Tokens, ApiServer]]:
    """With a kubeconfig as the clouds make them."""
    found = Tokens(tmp_path)
    async with serving(found.answer) as url:
        command = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(found.command), "args": []}
        file = tmp_path / "kubeconfig"
        file.write_text(
            GOOD.replace("https://192.0.2.1:6443", url).replace("{token: t}", json.dumps({"exec": command}))
        )
        monkeypatch.setattr(kubeconfig, "READ_EVERY_S", 0.0)
        server = await ApiServer.connect(str(file), "")
        yield found, server
        await server.close()


async def test_a_token_that_is_over_is_asked_for_anew(tokens: tuple[Tokens, ApiServer]) -> None:
    """Once for all who wait, and what was asked is asked again by it."""
    cluster, server = tokens
    assert await server.create("/a", {"kind": "Pod"}, "zoe") == {"method": "POST", "message": "Unauthorized"}
    cluster.change("second")
    await asyncio.gather(*(server.get("/a") for _ in range(8)), server.aside.get("/a"))
    assert cluster.asked[-1] == "Bearer second"
    assert cluster.runs.read_text().count("run") == 2


async def test_a_token_is_that_of_the_context_that_zoe_began_with(
    tokens: tuple[Tokens, ApiServer], tmp_path: Path
) -> None:
    """Whoever uses another one meanwhile would give away its token, and Zoe would be blind."""
    cluster, server = tokens
    file = tmp_path / "kubeconfig"
    text = file.read_text().replace("current-context: lab", "current-context: other")
    other = "{name: other, context: {cluster: c, user: o}}, {name: lab,"
    file.write_text(text.replace("{name: lab,", other).replace("users: [", "users: [{name: o, user: {token: stray}}, "))
    cluster.change("second")
    await server.get("/a")
    assert cluster.asked == ["Bearer first", "Bearer second"]


async def test_no_token_goes_to_a_cluster_that_it_is_not_of(tokens: tuple[Tokens, ApiServer], tmp_path: Path) -> None:
    cluster, server = tokens
    file = tmp_path / "kubeconfig"
    file.write_text(file.read_text().replace("127.0.0.1", "localhost"))
    cluster.change("second")
    with pytest.raises(ApiError):
        await server.get("/a")
    assert set(cluster.asked) == {"Bearer first"}


async def test_a_socket_is_asked_for_again_by_the_new_token_too(tokens: tuple[Tokens, ApiServer]) -> None:
    cluster, server = tokens
    cluster.change("second")
    with pytest.raises(ApiError) as error:  # it has no sockets
        async with server.socket("/a", {}, ()):
            pass
    assert (error.value.status, cluster.asked) == (200, ["Bearer first", "Bearer second"])


async def test_what_asks_an_identity_provider_by_itself_is_refused_and_no_key_is_told(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(GOOD.replace("{token: t}", "{auth-provider: {name: oidc, config: {refresh-token: SECRET}}}"))
    told = await refused(tmp_path, kubeconfig=str(file))
    assert "the user 'u' has an `auth-provider`, which Kubernetes has given up; name a command" in told
    assert "SECRET" not in told
    said = kubeconfig._said(ValueError("Expected key a in f/{'name': 'u', 'user': {'token': 'SECRET'}}/user"))
    assert said == "Expected key a in f/{...}/user"


async def test_a_token_that_is_never_taken_is_asked_for_now_and_then(
    tokens: tuple[Tokens, ApiServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster, server = tokens
    cluster.taken = "another"
    monkeypatch.setattr(kubeconfig, "READ_EVERY_S", 600.0)
    for _ in range(5):
        with pytest.raises(ApiError, match="Unauthorized"):
            await server.get("/a")
    assert cluster.runs.read_text().count("run") == 1


async def test_who_gives_no_token_is_told_before_anything_starts(tmp_path: Path) -> None:
    file = tmp_path / "config"
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": "false"}
    file.write_text(GOOD.replace("{token: t}", json.dumps({"exec": command})))
    told = await refused(tmp_path, kubeconfig=str(file))
    assert told.endswith(f"kubeconfig: 'false', which {file} names, gives no token; try `kubectl get nodes`")


@pytest.mark.parametrize("told", ["null", "{apiVersion: client.authentication.k8s.io/v1}"])
async def test_a_user_with_a_token_needs_no_command(tmp_path: Path, told: str) -> None:
    file = tmp_path / "config"
    file.write_text(GOOD.replace("{token: t}", f"{{token: t, exec: {told}}}"))
    configuration = Configuration()
    assert await kubeconfig.configure(configuration, str(file), "")
    assert configuration.api_key == {"BearerToken": "Bearer t"}


async def test_a_command_ends_with_who_has_asked_it(tmp_path: Path) -> None:
    command = ("sh", "-c", 'echo $$ > "$0"; exec sleep 60', str(tmp_path / "pid"))
    asked = await asyncio.create_subprocess_exec(sys.executable, "-I", limited.__file__, "60", *command)

    async def has_begun() -> bool:
        return _said_of(tmp_path / "pid").strip() != b""

    await eventually(has_begun)
    asked.terminate()
    assert await asked.wait() == 1
    began = Path("/proc", _said_of(tmp_path / "pid").decode().strip(), "cmdline")

    async def has_ended() -> bool:
        return _said_of(began) == b""

    await eventually(has_ended)


async def test_a_command_that_hangs_is_ended_with_what_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubeconfig, "COMMAND_LIMIT_S", 1.0)
    script = tmp_path / "hangs"
    script.write_text('#!/bin/sh\nhead -c 200000 /dev/zero >&2\nsleep 300 &\necho $! > "$0.pid"\nwait\n')
    script.chmod(0o755)
    file = tmp_path / "config"
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script)}
    file.write_text(GOOD.replace("{token: t}", json.dumps({"exec": command})))
    assert "hangs', which" in await refused(tmp_path, kubeconfig=str(file))
    began = Path("/proc", (tmp_path / "hangs.pid").read_text().strip(), "cmdline")

    async def has_ended() -> bool:
        return await asyncio.to_thread(_said_of, began) == b""

    await eventually(has_ended)


def _said_of(process: Path) -> bytes:
    """Nothing of one that has ended, also while nobody has waited for it."""
    try:
        return process.read_bytes()
    except OSError:
        return b""
