"""A kubeconfig that cannot be used is told by its setting, and what did not start can be closed. No cluster is needed."""

from __future__ import annotations

from pathlib import Path

import pytest
from kubernetes.aio.client import Configuration

from zoe_jupyter.backends.kubernetes import KubernetesBackend, kubeconfig
from zoe_jupyter.model.errors import ZoeError

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
    assert await kubeconfig.configure(Configuration(), "", "")


async def test_what_never_started_can_be_closed(tmp_path: Path) -> None:
    await KubernetesBackend(deployment="lab", data_dir=tmp_path).close()
