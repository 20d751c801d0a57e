"""What services use comes from the cluster's metrics API where there is one, with no more rights than the Role gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import cluster
from tests.backends.kubernetes import metrics_server
from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.backends.base import Usage
from zoe_jupyter.backends.kubernetes import usage
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer
from zoe_jupyter.backends.kubernetes.paths import Paths
from zoe_jupyter.testing.backend_contract import Runner, eventually

pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.skipif(not cluster.is_ours(), reason="a metrics API is registered by those who look after the cluster"),
]


async def test_use_is_what_the_metrics_server_says_of_pods_that_run(
    few_rights: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes after Zoe has started; while it does not answer nothing is known of use."""
    monkeypatch.setattr(usage, "AGAIN_S", 0.5)
    kubeconfig, namespace = few_rights
    world = KubernetesWorld(kubeconfig, namespace, tmp_path / "data")
    runner = Runner(world, await world.open())
    await runner.start("one")
    await runner.start("one", "app.side-0")
    assert list(await runner.backend.usage()) == []
    with metrics_server.registered(namespace, tmp_path) as server:

        async def is_measured() -> bool:
            return runner.backend.capabilities().limits["usage"] == "metrics"

        await eventually(is_measured)
        found = sorted(await runner.backend.usage(), key=lambda each: each.service)
        assert found == [Usage("one", name, 0.125, 11148 * 1024) for name in ("app.main-0", "app.side-0")]
        server.is_ill = True
        assert list(await runner.backend.usage()) == []
        server.is_ill = False
        assert len(await runner.backend.usage()) == 2
        assert server.callers == {f"system:serviceaccount:{namespace}:zoe"}
        await is_refused("default", namespace, tmp_path)
        assert server.callers == {f"system:serviceaccount:{namespace}:zoe"}
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()
    world.assert_nothing_is_left()


async def is_refused(account: str, namespace: str, folder: Path) -> None:
    """Who has not the Role is not let through to the metrics server."""
    server = await ApiServer.connect(str(cluster.kubeconfig_of(account, namespace, folder / "other")), "")
    with pytest.raises(ApiError) as refusal:
        await server.get(Paths(namespace).metrics)
    assert refusal.value.status == 403
    await server.close()
