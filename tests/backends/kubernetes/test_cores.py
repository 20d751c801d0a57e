"""What a container may use of its node's cores, as its own control group says."""

from __future__ import annotations

import pytest

from tests.backends.kubernetes.conftest import KubernetesWorld
from zoe_jupyter.backends.kubernetes.site import CpuLimit
from zoe_jupyter.model.resources import Resources
from zoe_jupyter.testing.backend_contract import Runner

SAYS = """
from pathlib import Path
groups = Path("/sys/fs/cgroup")
def read(name):
    return (groups / name).read_text().split()
if (groups / "cpu.max").exists():
    (quota, period), share = read("cpu.max"), read("cpu.weight")[0]
else:
    (quota,), (period,), (share,) = (read(f"cpu/cpu.{name}") for name in ("cfs_quota_us", "cfs_period_us", "shares"))
print("no" if quota in ("max", "-1") else int(quota) / int(period), share)
"""


@pytest.mark.kubernetes
@pytest.mark.parametrize(("cpu", "limit"), [(CpuLimit.SHARES, "no"), (CpuLimit.QUOTA, "0.25")])
async def test_a_container_is_held_to_its_cores_where_the_settings_say_so(
    world: KubernetesWorld, cpu: CpuLimit, limit: str
) -> None:
    """And has its share in any case: who asks for twice as much has more of it."""
    world.options = {"cpu": cpu}
    runner = Runner(world, await world.open())
    for execution_id, microcores in (("one", 250_000), ("two", 500_000)):
        await runner.launch(runner.order(execution_id, code=SAYS, resources=Resources(microcores=microcores)))
    for execution_id in ("one", "two"):
        await runner.ended(execution_id)
    (held, share), (_, more) = [(await runner.output(each)).decode().split() for each in ("one", "two")]

    assert held == limit
    assert 0 < int(share) < int(more)
    for execution_id in ("one", "two"):
        await runner.backend.clean(execution_id, keep_logs=False)
    await runner.backend.close()
