"""From what the API server says of pods and nodes to what was seen, with reasons in words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.kubernetes import nodes, translate
from zoe_jupyter.backends.kubernetes.site import Site
from zoe_jupyter.model.resources import Node, Resources

WHO = Attempt("lab", "x1", "dask.worker-0", 2)
GIB = 2**30


def pod(state: dict[str, Any] | None = None, *, facts: str = "{}", **fields: Any) -> dict[str, Any]:
    ready = fields.pop("ready", "False")
    conditions = fields.pop("conditions", [{"type": "Ready", "status": ready}])
    return translate.slim(
        {
            "metadata": {
                "name": "p",
                "uid": "u",
                "annotations": {
                    "zoe-jupyter/execution": "x1",
                    "zoe-jupyter/service": "dask.worker-0",
                    "zoe-jupyter/attempt": "2",
                    "zoe-jupyter/facts": facts,
                    **fields.pop("annotations", {}),
                },
            },
            "status": {
                "phase": fields.pop("phase", "Running"),
                "conditions": conditions,
                "containerStatuses": [{"state": state}] if state else [],
                **fields,
            },
        }
    )


RUNNING = {"running": {"startedAt": "2026-01-31T12:00:00Z"}}
TCP = '{"ready": "a connection to its port web", "timeout_s": 60.0, "ports": {"web": 17000}}'
LOG = '{"ready": "a line", "timeout_s": 60.0, "log": "x"}'


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (pod(None, phase="Pending"), SeenState.STARTING),
        (pod(RUNNING), SeenState.READY),
        (pod(RUNNING, facts=TCP), SeenState.STARTING),
        (pod(RUNNING, facts=TCP, ready="True"), SeenState.READY),
        (pod(RUNNING, facts=LOG, ready="True"), SeenState.STARTING),
        (pod(RUNNING, facts=LOG, annotations={"zoe-jupyter/ready": "yes"}), SeenState.READY),
        (pod({"terminated": {"exitCode": 0}}, phase="Succeeded"), SeenState.EXITED),
    ],
)
def test_ready_is_what_proved_itself(found: dict[str, Any], state: SeenState) -> None:
    assert translate.seen(found, WHO, host="h").state is state


def test_who_is_killed_though_nobody_removes_it_works_no_more() -> None:
    killed = {"terminated": {"exitCode": 143, "reason": "Error"}}
    ill = translate.seen(pod(killed, phase="Failed", facts='{"health": "success of ping"}'), WHO, host="h")
    assert ill.reason is not None
    assert ill.reason.code == "unhealthy"
    assert ill.reason.text == "ended by the cluster since it works no more: waited for success of ping"
    assert not ill.is_blameless
    removed = pod(killed, phase="Failed", facts='{"health": "success of ping"}')
    removed["metadata"]["deletionTimestamp"] = "2026-01-31T12:00:00Z"
    other = translate.seen(removed, WHO, host="h")
    assert other.reason is not None
    assert other.reason.code == "killed"


@pytest.mark.parametrize(
    ("terminated", "fields", "code", "reason", "text", "is_blameless"),
    [
        ({"exitCode": 3}, {}, 3, "exited", "exited with 3", False),
        ({"exitCode": 139}, {}, 139, "killed", "killed by SIGSEGV", False),
        ({"exitCode": 127, "message": "zoe: x: not found\n"}, {}, 127, "exited", "could not be started: zoe: x: not found", False),
        ({"exitCode": 137, "reason": "OOMKilled"}, {}, 137, "out_of_memory", "out of memory: used 64 MiB of 64 MiB", False),
        ({"exitCode": 143}, {"reason": "DeadlineExceeded"}, 143, "expired", "ended by the cluster: its time was over", False),
        ({"exitCode": 137}, {"reason": "Evicted", "message": "low on memory"}, 137, "lost", "ended by the cluster: low on memory", True),
        ({"exitCode": 255, "reason": "Unknown"}, {}, None, "lost", "lost: the cluster does not know how it ended", True),
        ({"exitCode": 255, "reason": "Error"}, {}, 255, "killed", "killed by signal 127", False),
        ({"exitCode": 137, "reason": "ContainerStatusUnknown"}, {}, None, "lost", "lost: the cluster does not know how it ended", True),
    ],
)  # fmt: skip
def test_an_end_is_told_with_its_reason(
    terminated: dict[str, Any], fields: dict[str, str], code: int | None, reason: str, text: str, is_blameless: bool
) -> None:
    facts = f'{{"memory_bytes": {64 * 2**20}}}'

    seen = translate.seen(pod({"terminated": terminated}, phase="Failed", facts=facts, **fields), WHO, host="h")

    assert seen.reason is not None
    assert (seen.exit_code, seen.reason.code, seen.reason.text) == (code, reason, text)
    assert seen.is_blameless is is_blameless


def test_what_a_cluster_puts_beside_the_service_is_not_the_service() -> None:
    proxy = {"name": "istio-proxy", "state": RUNNING, "imageID": "istio@sha256:1"}
    main = {"name": "main", "state": {"terminated": {"exitCode": 3}}, "imageID": "spark@sha256:2"}
    seen = translate.seen(pod(containerStatuses=[proxy, main]), WHO, host="h")

    assert (seen.state, seen.exit_code, seen.image) == (SeenState.EXITED, 3, "spark@sha256:2")


@pytest.mark.parametrize(
    ("found", "code", "word"),
    [
        (pod({"waiting": {"reason": "ErrImagePull", "message": "no such image"}}), "image_not_found", "no such image"),
        (pod({"waiting": {"reason": "CreateContainerConfigError", "message": "no user"}}), "cannot_start", "no user"),
        (
            pod(None, conditions=[{"type": "PodScheduled", "status": "False", "message": "Insufficient cpu"}]),
            "unscheduled",
            "Insufficient cpu",
        ),
    ],
)
def test_who_waits_says_for_what(found: dict[str, Any], code: str, word: str) -> None:
    reason = translate.seen(found, WHO, host="h").reason

    assert reason is not None
    assert reason.code == code
    assert word in reason.text


@pytest.mark.parametrize(
    ("why", "message", "is_in_vain"),
    [
        ("InvalidImageName", "couldn't parse image name", True),
        ("ErrImageNeverPull", 'Container image "zoe/redis:7" is not present with pull policy of Never', True),
        ("ErrImagePull", "failed to resolve reference: docker.io/zoe/nothing:1: not found", True),
        ("ImagePullBackOff", 'Back-off pulling image "zoe/redis:7"', False),
        ("ErrImagePull", "dial tcp 10.0.0.1:443: connect: connection refused", False),
        ("CreateContainerConfigError", 'secret "given" not found', False),
    ],
)
def test_an_image_that_is_nowhere_is_told_from_one_that_may_come(why: str, message: str, is_in_vain: bool) -> None:
    assert translate.has_no_image(pod({"waiting": {"reason": why, "message": message}})) is is_in_vain


@pytest.mark.parametrize(
    ("told", "image"),
    [
        ("docker.io/zoe/redis@sha256:12ab", "docker.io/zoe/redis@sha256:12ab"),
        ("docker-pullable://zoe/redis@sha256:12ab", "zoe/redis@sha256:12ab"),
        ("sha256:12ab", "sha256:12ab"),
        ("", ""),
    ],
)
def test_the_image_is_told_by_digest(told: str, image: str) -> None:
    found = pod(None)
    found["status"]["containerStatuses"] = [{"state": RUNNING, "imageID": told}]

    assert translate.seen(found, WHO, host="h").image == image


def test_an_image_that_is_being_pulled_is_no_trouble() -> None:
    assert translate.seen(pod({"waiting": {"reason": "ContainerCreating"}}), WHO, host="h").reason is None


@pytest.mark.parametrize("annotations", [{}, {"zoe-jupyter/attempt": "x"}])
def test_what_zoe_did_not_make_is_nobody(annotations: dict[str, str]) -> None:
    assert translate.attempt_of({"metadata": {"annotations": annotations}}) is None


@pytest.mark.parametrize(("text", "number"), [("250m", 0.25), ("2", 2), ("1Gi", GIB), ("5e3", 5000), ("100n", 1e-7)])
def test_quantities_are_read(text: str, number: float) -> None:
    assert nodes.quantity(text) == pytest.approx(number)


def node(*, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return nodes.slim(
        {
            "metadata": {
                "name": "n1",
                "uid": "u",
                "labels": {"pool": "a", "beta.kubernetes.io/os": "linux", **(labels or {})},
            },
            "spec": spec,
            "status": {
                "allocatable": {"cpu": "4", "memory": "8Gi", "nvidia.com/gpu": "1"},
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        }
    )


def test_a_node_has_what_others_left() -> None:
    used = Resources(microcores=500_000, memory_bytes=GIB)

    found = nodes.zoe_node(Site(deployment="lab"), node(), used)

    whole = Resources(4_000_000, 8 * GIB, 1)
    assert found == Node("n1", Resources(3_500_000, 7 * GIB, 1), {"pool": "a"}, is_enabled=True, whole=whole)
    assert nodes.pooled("all", [found]) == Node("all", found.capacity, whole=whole)


def test_what_each_node_has_is_there_as_long_as_the_node() -> None:
    agent = Resources(microcores=500_000, memory_bytes=GIB)

    found = nodes.zoe_node(Site(deployment="lab"), node(), agent, staying=agent)

    assert (found.capacity, found.whole) == (Resources(3_500_000, 7 * GIB, 1), None)


@pytest.mark.parametrize(
    ("labels", "model"),
    [
        ({"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}, "NVIDIA-H100-80GB-HBM3"),
        ({"amd.com/gpu.product-name": "MI300X"}, "MI300X"),
        ({"nvidia.com/gpu.product": "A100", "gpu": "big"}, "big"),
        ({}, None),
    ],
)
def test_the_label_gpu_is_the_model_as_those_tell_it_who_look_after_gpus(
    labels: dict[str, str], model: str | None
) -> None:
    assert nodes.zoe_node(Site(deployment="lab"), node(labels=labels), Resources()).labels.get("gpu") == model


@pytest.mark.parametrize(
    ("spec", "is_open"),
    [
        ({"unschedulable": True}, False),
        ({"taints": [{"key": "zoe", "effect": "NoSchedule"}]}, True),
        ({"taints": [{"key": "other", "effect": "NoSchedule"}]}, False),
        ({"taints": [{"key": "other", "effect": "PreferNoSchedule"}]}, True),
    ],
)
def test_a_node_that_takes_no_pods_of_ours_is_closed(spec: dict[str, Any], is_open: bool) -> None:
    site = Site(deployment="lab", tolerations=({"key": "zoe", "operator": "Exists"},))

    assert nodes.zoe_node(site, node(**spec), Resources()).is_enabled is is_open


@pytest.mark.parametrize(("pods", "is_open"), [(1, True), (2, False)])
def test_a_node_that_has_all_its_pods_is_closed(pods: int, is_open: bool) -> None:
    found = node()
    found["status"]["allocatable"]["pods"] = "2"

    assert nodes.zoe_node(Site(deployment="lab"), found, Resources(), pods=pods).is_enabled is is_open


def asks(cpu: str, **fields: str) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu}}, **fields}


@pytest.mark.parametrize(
    ("spec", "cores"),
    [
        ({"containers": [asks("1"), asks("500m")]}, 1.5),
        ({"containers": [asks("1")], "initContainers": [asks("500m", restartPolicy="Always")]}, 1.5),
        ({"containers": [asks("1")], "initContainers": [asks("3"), asks("2")]}, 3),
        ({"containers": [asks("1")], "initContainers": [asks("1", restartPolicy="Always"), asks("2")]}, 3),
        ({"containers": [asks("1")], "initContainers": [asks("3"), asks("1", restartPolicy="Always")]}, 3),
        ({"containers": [asks("1")], "overhead": {"cpu": "250m"}}, 1.25),
    ],
)
def test_a_pod_takes_what_the_cluster_counts_it_for(spec: dict[str, Any], cores: float) -> None:
    assert nodes.requested({"spec": spec}, "nvidia.com/gpu").microcores == cores * 1_000_000


@pytest.mark.parametrize(
    ("selector", "is_open"), [({"pool": "a"}, True), ({"pool": "b"}, False), ({"pool": "a", "disk": "ssd"}, False)]
)
def test_a_node_without_the_labels_of_the_settings_is_closed(selector: dict[str, str], is_open: bool) -> None:
    site = Site(deployment="lab", node_selector=selector)

    assert nodes.zoe_node(site, node(), Resources()).is_enabled is is_open


@pytest.mark.parametrize(("image", "is_own"), [("zoe/spark:4", True), ("", False)])
def test_who_lacks_an_image_of_the_sites_own_is_told_how_to_make_it(image: str, is_own: bool) -> None:
    waiting = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
    trouble = translate.image_trouble(
        pod(
            waiting, phase="Pending", facts=json.dumps({"image_prefix": "site/", **({"image": image} if image else {})})
        )
    )

    assert trouble is not None
    assert trouble.text.startswith("its image cannot be had (ErrImagePull): not found")
    assert trouble.text.endswith("`image_prefix` (now 'site/') to that") is is_own
    assert ("`jupyter zoe image build spark`" in trouble.text) is is_own
