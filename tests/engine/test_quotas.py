"""Who may hold how much: what could never fit is refused with the numbers, what could waits, whoever submits at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from zoe_jupyter.model.errors import Forbidden, InvalidDescription, NotFound, QuotaExceeded
from zoe_jupyter.model.execution import State
from zoe_jupyter.model.quota import Limit, Quota, Supposed
from zoe_jupyter.testing.fake_backend import FakeBackend
from zoe_jupyter.testing.house import ADMIN, ALICE, BOB, House

GIB = 1 << 30
ONE_CLUSTER = Quota(limit=Limit(executions=1))


@pytest.fixture
async def grouped(tmp_path: Path) -> AsyncIterator[House]:
    """Alice and Bob are in one group."""
    house = House(tmp_path, FakeBackend(data_dir=tmp_path / "backend"), groups={"physics": ("alice", "bob")})
    house.furnish()
    await house.open()
    yield house
    await house.core.close()


async def test_what_can_never_fit_is_refused_with_the_numbers(house: House) -> None:
    await house.core.put_quota("alice", Quota(limit=Limit(memory_bytes=GIB)), ADMIN)
    with pytest.raises(
        QuotaExceeded, match=r"cluster needs 1\.5 GiB of memory, at most 1 GiB are allowed by your quota"
    ):
        await house.submit()
    await house.submit(caller=BOB)


async def test_one_too_many_waits_and_its_reason_says_so(house: House) -> None:
    await house.core.put_quota("default", ONE_CLUSTER, ADMIN)
    first = await house.until_state(State.RUNNING, await house.submit("job"))
    second = await house.submit("job")
    await house.until(lambda now: house.core.waiting(now.id) is not None, second)

    waiting = house.core.waiting(second.id)
    assert waiting is not None
    assert "1 of 1" in waiting.reason.text
    house.backend.exit(first.id, "job.main-0", 0)
    await house.until_state(State.RUNNING, second)


async def test_submits_at_the_same_moment_never_hold_more_than_the_quota(house: House) -> None:
    await house.core.put_quota("alice", Quota(limit=Limit(executions=3, microcores=2_000_000)), ADMIN)
    left = {execution.id for execution in await asyncio.gather(*(house.submit("job") for _ in range(8)))}
    most = 0
    while left:
        waiting = {place.execution_id for place in await house.core.queue(ALICE)}
        found = await house.until_state(State.RUNNING, min(left - waiting or left))
        (use,) = await house.core.quotas(ALICE)
        most = max(most, use.executions)
        house.backend.exit(found.id, "job.main-0", 0)
        await house.until_state(State.ENDED, found)
        left.remove(found.id)
    assert most == 2


async def test_a_quota_and_a_submit_at_the_same_moment_are_one_after_the_other(house: House) -> None:
    """Whoever comes second in the core's turn is judged by what the first left."""
    none = Quota(limit=Limit(executions=0))
    outcomes = await asyncio.gather(
        house.core.put_quota("alice", none, ADMIN), *(house.submit("job") for _ in range(4)), return_exceptions=True
    )
    accepted = [e for e in outcomes[1:] if not isinstance(e, BaseException)]
    assert all(isinstance(e, QuotaExceeded) for e in outcomes[1:] if e not in accepted)
    with pytest.raises(QuotaExceeded, match="none is allowed"):
        await house.submit("job")


async def test_a_run_time_quota_is_an_end_of_the_lifetime(house: House) -> None:
    await house.core.put_quota("alice", Quota(limit=Limit(run_s=3600.0)), ADMIN)
    assert (await house.submit("job")).lifetime.after_s == 3600.0
    assert (await house.submit("job", lifetime={"after": "10m"})).lifetime.after_s == 600.0
    for wish in ({"lifetime": {"after": "8h"}}, {"estimate": "8h"}):
        with pytest.raises(QuotaExceeded, match="8 h, at most 1 h are allowed"):
            await house.submit("job", **wish)


async def test_members_of_a_group_share_its_quota(grouped: House) -> None:
    house = grouped
    await house.core.put_quota("group:physics", ONE_CLUSTER, ADMIN)
    await house.until_state(State.RUNNING, await house.submit("job"))
    second = await house.submit("job", caller=BOB)
    await house.until(lambda now: house.core.waiting(now.id) is not None, second)
    uses = {use.owner: use for use in await house.core.quotas(BOB)}
    assert uses["group:physics"].executions == 1
    assert uses["bob"].group == "physics"


async def test_quotas_are_kept_and_can_be_taken_back(house: House) -> None:
    quota = Quota(share=Limit(microcores=1_000_000), limit=Limit(microcores=2_000_000, run_s=60.0))
    await house.core.put_quota("alice", quota, ADMIN)
    await house.reopen()
    use = await house.core.quota("alice", ADMIN)
    assert (use.quota, use.is_own) == (quota, True)
    use = await house.core.put_quota("alice", None, ADMIN)
    assert (use.quota, use.is_own) == (Quota(), False)


async def test_only_admins_set_quotas_and_nonsense_is_refused(house: House) -> None:
    with pytest.raises(Forbidden):
        await house.core.put_quota("alice", ONE_CLUSTER, ALICE)
    with pytest.raises(Forbidden):
        await house.core.quota("alice", ALICE)
    with pytest.raises(NotFound, match="no group 'chess'"):
        await house.core.put_quota("group:chess", ONE_CLUSTER, ADMIN)
    with pytest.raises(InvalidDescription, match="not negative"):
        await house.core.put_quota("alice", Quota(limit=Limit(gpus=-1)), ADMIN)
    with pytest.raises(InvalidDescription, match="at most the limit of 2"):
        await house.core.put_quota("alice", Quota(share=Limit(gpus=3), limit=Limit(gpus=2)), ADMIN)


async def test_what_if_answers_and_changes_nothing(house: House) -> None:
    await house.core.put_quota("alice", ONE_CLUSTER, ADMIN)
    await house.until_state(State.RUNNING, await house.submit("job"))
    # A decision is known a moment before what follows from it is stored.
    second = await house.until_state(State.QUEUED, await house.submit("job"))
    await house.until(lambda now: house.core.waiting(now.id) is not None, second)

    plan = await house.core.what_if("sjf", {"alice": Supposed(Limit(executions=2))}, ADMIN)
    assert list(plan.start) == [second.id]
    assert (await house.get(second)).state is State.QUEUED
    assert list((await house.core.what_if("", {}, ADMIN)).waiting) == [second.id]
    with pytest.raises(InvalidDescription, match="no policy 'os:system'"):
        await house.core.what_if("os:system", {}, ADMIN)
    with pytest.raises(Forbidden):
        await house.core.what_if("", {}, ALICE)


async def test_what_if_knows_no_limit_and_refuses_what_would_decide_nothing(grouped: House) -> None:
    house = grouped
    await house.core.put_quota("alice", ONE_CLUSTER, ADMIN)
    await house.until_state(State.RUNNING, await house.submit("job"))
    second = await house.until_state(State.QUEUED, await house.submit("job"))
    await house.until(lambda now: house.core.waiting(now.id) is not None, second)

    plan = await house.core.what_if("", {"alice": Supposed(unlimited=frozenset({"executions"}))}, ADMIN)
    assert list(plan.start) == [second.id]
    assert not (await house.core.what_if("", {"bob": Supposed(), "group:physics": Supposed()}, ADMIN)).start
    with pytest.raises(InvalidDescription, match="becomes an end of the lifetime"):
        await house.core.what_if("", {"alice": Supposed(Limit(run_s=60.0))}, ADMIN)
    with pytest.raises(InvalidDescription, match="not negative"):
        await house.core.what_if("", {"alice": Supposed(Limit(gpus=-1))}, ADMIN)
    with pytest.raises(NotFound, match=r"no group 'chess' in c\.Zoe\.groups; there is physics"):
        await house.core.what_if("", {"group:chess": Supposed()}, ADMIN)
    with pytest.raises(NotFound, match=r"nothing of 'alcie' is here.*there is alice, bob"):
        await house.core.what_if("", {"alcie": Supposed()}, ADMIN)


async def test_a_group_has_its_own_limit_and_not_that_of_every_user(grouped: House) -> None:
    house = grouped
    await house.core.put_quota("default", ONE_CLUSTER, ADMIN)
    for caller in (ALICE, BOB):
        await house.until_state(State.RUNNING, await house.submit("job", caller=caller))
    second = await house.until_state(State.QUEUED, await house.submit("job", caller=BOB))
    await house.until(lambda now: house.core.waiting(now.id) is not None, second)
    supposed = {"group:physics": Supposed(Limit(microcores=99_000_000)), "bob": Supposed(Limit(executions=2))}
    assert list((await house.core.what_if("", supposed, ADMIN)).start) == [second.id]


async def test_members_who_run_nothing_lend_their_shares(grouped: House) -> None:
    house = grouped
    own = Quota(share=Limit(executions=1), limit=Limit(executions=2))
    await house.core.put_quota("default", own, ADMIN)
    for _ in range(2):
        await house.until_state(State.RUNNING, await house.submit("job"))
