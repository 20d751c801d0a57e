"""Which nodes count as lost, which pods are overdue, and what Zoe remembers of pods that are gone."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from zoe_jupyter.backends.base import Bounds, Seen, SeenState
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.kubernetes import KubernetesBackend, asking, manifests, names, translate
from zoe_jupyter.backends.kubernetes.hints import Hints
from zoe_jupyter.backends.kubernetes.known import Known
from zoe_jupyter.backends.kubernetes.objects import Objects, refuse_stray
from zoe_jupyter.backends.kubernetes.site import Site
from zoe_jupyter.backends.kubernetes.upkeep import (
    Crowded,
    Hindered,
    Overdue,
    SilentNodes,
    homeless,
    stranded,
)
from zoe_jupyter.model.errors import Fatal
from zoe_jupyter.model.execution import PULLING, Reason

SITE = Site(deployment="lab", namespace="zoe")
WHO = Attempt("lab", "x1", "app.main-0", 1)
NOON = 1769860800.0


def node(status: str) -> dict[str, Any]:
    return {"status": {"conditions": [{"type": "Ready", "status": status}]}}


def pod(attempt: Attempt = WHO, *, phase: str = "Running", code: int | None = None, **metadata: Any) -> dict[str, Any]:
    state: dict[str, Any] = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
    return {
        "metadata": {
            "name": attempt.name,
            "namespace": "zoe",
            "uid": f"u{attempt.attempt}",
            "annotations": {
                names.DEPLOYMENT: attempt.deployment,
                names.EXECUTION: attempt.execution_id,
                names.SERVICE: attempt.service,
                names.ATTEMPT: str(attempt.attempt),
            },
            **metadata,
        },
        "spec": {"nodeName": "n1", "hostNetwork": False},
        "status": {
            "phase": phase,
            "reason": "",
            "message": "",
            "podIP": "",
            "conditions": [],
            "containerStatuses": [{"state": state}],
        },
    }


def known(*pods: dict[str, Any], closed: frozenset[str] = frozenset()) -> Known:
    found = Known(SITE, Hints(), is_closed=closed.__contains__)
    for each in pods:
        found.take(each["metadata"]["name"], each)
    return found


def only(found: Known) -> Seen:
    (seen,) = found.observed()
    return seen


def test_a_pod_stays_the_attempt_that_it_was_whatever_is_written_on_it() -> None:
    found, changed = known(pod()), pod()
    changed["metadata"]["annotations"][names.ATTEMPT] = "9999"
    found.take(WHO.name, changed)
    assert only(found).attempt == WHO.attempt
    found.take(WHO.name, None)
    assert not found.pods
    assert only(found).state is SeenState.EXITED


def test_a_node_is_silent_at_once_and_lost_after_the_sites_time() -> None:
    nodes = {"n1": node("True"), "n2": node("Unknown")}
    silent = SilentNodes(nodes, lost_after_s=60)

    assert silent.look({"n1", "gone"}, 1000.0)
    assert (set(silent.silent), set(silent.lost)) == ({"n2", "gone"}, set())
    assert not silent.look({"n1", "gone"}, 1059.0)

    assert silent.look({"n1"}, 1060.0)
    assert (set(silent.silent), set(silent.lost)) == ({"n2"}, {"n2"})


def test_a_node_that_answered_in_between_is_given_the_whole_time_again() -> None:
    nodes = {"n1": node("Unknown")}
    silent = SilentNodes(nodes, lost_after_s=60)
    silent.look((), 1000.0)
    nodes["n1"] = node("True")
    silent.look((), 1050.0)
    nodes["n1"] = node("Unknown")

    silent.look((), 1070.0)

    assert not silent.lost


@pytest.mark.parametrize("told_at", ["2026-01-31T12:00:00Z", "2036-01-31T12:00:00Z", "2016-01-31T12:00:00Z"])
def test_who_should_be_gone_long_since_is_given_up_whatever_the_clock_of_the_cluster(told_at: str) -> None:
    found = known(pod(deletionTimestamp=told_at, deletionGracePeriodSeconds=30))
    overdue = Overdue(found)

    assert overdue.look(1000.0) == []
    assert overdue.look(1050.0) == []
    ((attempt, reason),) = overdue.look(1050.1)
    found.give_up(attempt, reason)

    assert overdue.look(1051.0) == []
    assert (only(found).state, only(found).is_blameless) == (SeenState.EXITED, True)


def patient(**metadata: Any) -> dict[str, Any]:
    """Of an execution with ``on_lost: wait``."""
    found = pod(**metadata)
    found["metadata"]["annotations"][names.FACTS] = json.dumps({"waits": True})
    return found


def imageless(why: str, message: str = "", **facts: Any) -> dict[str, Any]:
    found = pod(phase="Pending")
    found["metadata"]["annotations"][names.FACTS] = json.dumps(facts)
    found["status"]["containerStatuses"] = [{"state": {"waiting": {"reason": why, "message": message}}}]
    return found


def test_who_may_still_get_an_image_has_the_time_to_become_ready() -> None:
    found = known(imageless("ErrImagePull", "connection refused", timeout_s=30.0))
    missing = Hindered(found)

    assert missing.overdue(1000.0) == []
    found.take(WHO.name, imageless("ImagePullBackOff", "connection refused", timeout_s=30.0))
    assert missing.overdue(1029.0) == []
    ((attempt, reason),) = missing.overdue(1030.0)

    assert (attempt, reason.code) == (WHO, "not_ready")
    assert reason.text.startswith("not ready after 30 s: its image cannot be had (ImagePullBackOff)")


def test_who_got_an_image_in_the_end_is_left_alone() -> None:
    found = known(imageless("ErrImagePull"))
    missing = Hindered(found)
    missing.overdue(1000.0)
    found.take(WHO.name, pod())

    assert missing.overdue(2000.0) == []


def test_who_asks_for_an_image_that_is_nowhere_ends_at_once_and_only_once() -> None:
    found = known(imageless("ErrImageNeverPull", "it is not present", timeout_s=30.0))
    missing = Hindered(found)

    ((attempt, reason),) = missing.overdue(1000.0)
    found.condemn(attempt, reason)

    assert reason.code == "image_missing"
    assert missing.overdue(1001.0) == []


def test_who_is_condemned_stays_on_the_list_until_the_cluster_knows() -> None:
    found = known(pod())
    found.condemn(WHO, Reason("not_ready", "too slow"))
    assert found.condemned() == [WHO]

    found.take(WHO.name, pod(deletionTimestamp="2026-01-31T12:00:00Z"))
    assert found.condemned() == []


def test_who_is_on_a_lost_node_is_stranded_unless_it_has_ended() -> None:
    lost = {"n1": "it has not answered"}

    assert [attempt for attempt, _ in stranded(known(pod()), lost)] == [WHO]
    assert stranded(known(pod(phase="Failed", code=1)), lost) == []
    assert stranded(known(pod()), {"n2": "why"}) == []
    assert stranded(known(patient()), lost) == []


def test_how_it_ended_is_known_after_its_pod_is_gone() -> None:
    found = known(pod(phase="Failed", code=3))

    found.take(WHO.name, None)

    assert (only(found).exit_code, only(found).state) == (3, SeenState.EXITED)
    found.forget("x1")
    assert found.observed() == []


def test_a_pod_that_somebody_else_removed_is_nobodys_fault() -> None:
    found = known(pod(phase="Failed", code=143, deletionTimestamp="2026-01-31T12:00:00Z"))

    assert only(found).is_blameless
    assert only(found).reason is not None
    assert "not by Zoe" in str(only(found).reason)


def test_a_pod_that_a_drained_node_gave_up_is_to_go_elsewhere() -> None:
    found = known(pod(phase="Failed", code=143, deletionTimestamp="2026-01-31T12:00:00Z"), closed=frozenset({"n1"}))
    assert only(found).is_blameless
    assert only(found).reason == Reason(
        "lost", "lost: its node n1 takes no pods any more and gave it up", {"node": "n1"}
    )

    vanished = known(pod(), closed=frozenset({"n1"}))
    vanished.take(WHO.name, None)
    assert only(vanished).reason == only(found).reason


def test_who_waits_for_a_node_that_takes_nobody_has_no_home() -> None:
    waiting = pod(phase="Pending")
    waiting["spec"]["nodeName"] = ""
    waiting["metadata"]["annotations"][names.FACTS] = json.dumps({"node": "n1"})
    found = known(waiting)

    assert homeless(found, {"n2"}.__contains__) == []
    ((attempt, reason),) = homeless(found, {"n1"}.__contains__)
    assert (attempt, dict(reason.numbers)) == (WHO, {"node": "n1"})
    found.give_up(attempt, reason)
    assert homeless(found, {"n1"}.__contains__) == []
    assert homeless(known(pod()), {"n1"}.__contains__) == []


def pinned(
    attempt: Attempt = WHO,
    *,
    node: str = "n1",
    reason: str = "Unschedulable",
    message: str = "0/2 nodes: Insufficient cpu",
) -> dict[str, Any]:
    """It may go to one node only, and is not there yet."""
    found = pod(attempt, phase="Pending")
    found["spec"]["nodeName"] = ""
    found["metadata"]["annotations"][names.FACTS] = json.dumps({"node": node})
    found["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}]
    return found


def test_who_was_given_up_is_to_go_also_where_a_node_has_taken_it_since() -> None:
    found = known(pinned())
    found.give_up(WHO, Reason("lost", "no room"))
    found.take(WHO.name, pod())

    assert [each["spec"]["nodeName"] for each in found.given_up()] == ["n1"]
    found.take(WHO.name, pod(deletionTimestamp="2026-01-31T12:00:00Z"))
    assert found.given_up() == []


@pytest.mark.parametrize("is_pool", [True, False])
async def test_one_whom_the_cluster_refuses_to_let_go_holds_up_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_pool: bool
) -> None:
    """Those on a lost node, and those whose only node takes nobody."""
    other = Attempt("lab", "x2", "app.main-0", 1)
    backend: Any = KubernetesBackend(deployment="lab", data_dir=tmp_path, namespace="zoe")
    found = known(pod(), pod(other)) if is_pool else known(pinned(), pinned(other))
    backend._known, backend._crowded = found, Crowded(found, open_nodes=set)
    backend._nodes = SimpleNamespace(lost={"n1": "it is silent"})
    backend._machines = SimpleNamespace(is_pool=is_pool, is_closed=lambda node: True)
    backend._objects = AsyncMock()
    remove = backend._objects.remove_pod

    backend._objects.mark.side_effect = [Fatal("the cluster does not allow it"), None]
    await backend._give_up_lost()
    assert [call.args[0]["metadata"]["name"] for call in remove.await_args_list] == [other.name]
    assert found.is_given_up(other)

    backend._objects.mark.side_effect = None
    await backend._give_up_lost()
    assert WHO.name not in [call.args[0]["metadata"]["name"] for call in remove.await_args_list]
    monkeypatch.setattr(asking, "AGAIN_S", 0.0)
    await backend._give_up_lost()
    assert WHO.name in [call.args[0]["metadata"]["name"] for call in remove.await_args_list]
    assert found.is_given_up(WHO)


def test_of_each_service_the_last_end_only_is_remembered_however_often_it_was_started() -> None:
    found = known()
    for number in range(1, 6):
        attempt = Attempt("lab", "x1", "app.main-0", number)
        found.take(attempt.name, pod(attempt))
        found.condemn(attempt, Reason("not_ready", f"not ready: {number}"))
        found.take(attempt.name, None)

    assert (only(found).attempt, only(found).reason) == (5, Reason("not_ready", "not ready: 5"))
    assert [len(each) for each in (found._gone, found._verdicts, found.asked)] == [1, 1, 1]


def test_who_is_gone_after_its_successor_is_not_remembered_and_who_is_there_is() -> None:
    first, second = (Attempt("lab", "x1", "app.main-0", number) for number in (1, 2))
    found = known(pod(first), pod(second))
    found.condemn(first, Reason("not_ready", "not ready"))
    found.take(second.name, None)
    assert first in found.asked

    found.take(first.name, None)
    assert (only(found).attempt, found.asked, len(found._gone)) == (2, set(), 1)


def test_pods_are_counted_where_they_are_or_are_to_go() -> None:
    other, ended = (Attempt("lab", "x1", name, 1) for name in ("app.other-0", "app.ended-0"))

    assert known(pinned(), pod(other), pod(ended, phase="Failed", code=1)).by_node() == {"n1": 2}


def test_who_was_ended_by_zoe_says_why() -> None:
    found = known(pod())
    reason = Reason("not_ready", "not ready after 5 s")

    found.condemn(WHO, reason)
    found.take(WHO.name, pod(phase="Failed", code=143, deletionTimestamp="2026-01-31T12:00:00Z"))

    assert (only(found).reason, only(found).is_blameless) == (reason, False)


def test_only_the_last_of_several_ended_attempts_is_told_and_every_live_one() -> None:
    attempts = [Attempt("lab", "x1", "app.main-0", number) for number in (1, 2, 3)]
    found = known(pod(attempts[0], phase="Failed", code=1), pod(attempts[1]), pod(attempts[2], phase="Failed", code=1))

    assert sorted(seen.attempt for seen in found.observed()) == [2, 3]


def creating(**facts: Any) -> dict[str, Any]:
    found = imageless("ContainerCreating", **facts)
    found["status"]["containerStatuses"] = [{"state": {"waiting": {"reason": "ContainerCreating"}}}]
    return found


def event(reason: str, message: str, *, minute: int = 0) -> dict[str, Any] | None:
    return translate.slim_event(
        {
            "metadata": {"name": f"{WHO.name}.{minute}", "uid": "e", "resourceVersion": "7"},
            "involvedObject": {"kind": "Pod", "name": WHO.name},
            "lastTimestamp": f"2026-01-31T12:{minute:02}:00Z",
            "reason": reason,
            "message": message,
        }
    )


@pytest.mark.parametrize("is_event_first", [True, False])
def test_an_image_that_its_node_fetches_is_told_until_it_runs(*, is_event_first: bool) -> None:
    pull = event("Pulling", 'Pulling image "registry/zoe/dask:1"')
    found = known()
    for happens in sorted((0, 1), reverse=is_event_first):
        if happens:
            found.take_event("e1", pull)
        else:
            found.take(WHO.name, creating())

    assert only(found).reason == Reason(
        PULLING, "pulling the image registry/zoe/dask:1", {"image": "registry/zoe/dask:1"}
    )
    found.take(WHO.name, pod())
    assert only(found).reason is None
    found.take_event("e1", None)
    found.take(WHO.name, creating())
    assert only(found).reason is None


def test_what_keeps_a_node_from_making_a_container_is_told_and_ends_it_when_its_time_is_over() -> None:
    found = known(creating(timeout_s=30.0))
    hindered = Hindered(found)
    found.take_event("e2", event("FailedMount", "MountVolume.SetUp failed: no such host", minute=2))
    found.take_event("e1", event("Pulling", 'Pulling image "zoe/dask:1"', minute=1))

    reason = only(found).reason
    assert reason is not None
    assert reason.text == "its node cannot make its container: FailedMount: MountVolume.SetUp failed: no such host"
    assert hindered.overdue(1000.0) == []
    ((attempt, verdict),) = hindered.overdue(1030.0)
    assert (attempt, verdict.code) == (WHO, "not_ready")
    assert verdict.text == f"not ready after 30 s: {reason.text}"

    found.take_event("e3", event("Pulling", 'Pulling image "zoe/dask:1"', minute=3))
    assert only(found).reason == Reason(PULLING, "pulling the image zoe/dask:1", {"image": "zoe/dask:1"})
    assert hindered.overdue(2000.0) == []


def test_a_warning_that_keeps_nothing_from_starting_is_not_kept() -> None:
    assert event("FailedToRetrieveImagePullSecret", "Unable to retrieve some image pull secrets") is None


@pytest.mark.parametrize("is_pull_first", [True, False])
def test_of_two_events_of_one_second_the_pull_is_the_later_one(*, is_pull_first: bool) -> None:
    found = known(creating())
    told = {"pull": event("Pulling", 'Pulling image "zoe/dask:1"'), "mount": event("FailedMount", "not yet")}
    for name in sorted(told, reverse=is_pull_first):
        found.take_event(name, told[name])

    reason = only(found).reason
    assert reason is not None
    assert reason.code == PULLING


def test_who_has_nothing_to_prove_has_minutes_for_its_volumes() -> None:
    found = known(creating())
    hindered = Hindered(found)
    found.take_event("e1", event("FailedAttachVolume", "still attached elsewhere"))

    assert hindered.overdue(1000.0) == []
    assert hindered.overdue(1200.0) == []
    assert [verdict.code for _, verdict in hindered.overdue(1300.0)] == ["not_ready"]


def test_who_waits_for_room_in_the_cluster_is_never_overdue() -> None:
    waiting = creating(timeout_s=30.0)
    waiting["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "message": "0/2 nodes"}]
    hindered = Hindered(known(waiting))

    assert hindered.overdue(1000.0) == []
    assert hindered.overdue(9000.0) == []


def test_what_was_not_made_by_zoe_is_not_known() -> None:
    stranger = pod()
    stranger["metadata"]["annotations"] = {}

    assert known(stranger).observed() == []


def test_a_pod_elsewhere_than_its_executions_parent_is_not_of_it() -> None:
    parent = manifests.parent(SITE, "x1", Bounds(), NOON)
    jobs = SimpleNamespace(items={parent["metadata"]["name"]: parent})
    objects = Objects(AsyncMock(), SITE, jobs=jobs)  # type: ignore[arg-type]
    posing, strange = pod(namespace="zoe-bob"), pod(Attempt("lab", "x2", "app.main-0", 1), namespace="zoe-bob")

    assert [objects.is_at_home(each) for each in (pod(), posing, strange)] == [True, False, True]
    with pytest.raises(Fatal, match="poses as"):
        refuse_stray(posing, SITE)
