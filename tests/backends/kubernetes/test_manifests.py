"""From an order to the objects of a cluster: whole dicts, as they are sent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from zoe_jupyter.backends.base import Bounds, ServiceOrder
from zoe_jupyter.backends.containers import places, variables
from zoe_jupyter.backends.containers.names import Attempt, slug
from zoe_jupyter.backends.kubernetes import manifests, names, prelude
from zoe_jupyter.backends.kubernetes.site import (
    Caller,
    CpuLimit,
    NodeFolder,
    PodProfile,
    Site,
    Volume,
    admitted,
    checked,
    widened,
)
from zoe_jupyter.model.application import Health, OnLost, Probe
from zoe_jupyter.model.errors import Fatal, ZoeError
from zoe_jupyter.model.resources import Resources

SITE = Site(deployment="lab", namespace="zoe")
OWNERS = [{"apiVersion": "batch/v1", "kind": "Job", "name": "parent", "uid": "u-1"}]
LABELS = {"zoe-jupyter/deployment": slug("lab"), "zoe-jupyter/execution": slug("x1")}
EXECUTION = names.execution_name("lab", "x1")
WHOM = Attempt("lab", "x1", "dask.worker-0", 2)
POD = WHOM.name
WHO = {"zoe-jupyter/deployment": "lab", "zoe-jupyter/execution": "x1"}
POD_SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 1000,
    "runAsGroup": 1000,
    "fsGroup": 1000,
    "fsGroupChangePolicy": "OnRootMismatch",
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def order(**fields: Any) -> ServiceOrder:
    given_fields: dict[str, Any] = {
        "deployment": "lab",
        "execution_id": "x1",
        "owner": "ada",
        "service": "dask.worker-0",
        "attempt": 2,
        "command": ("dask-worker", "tls://scheduler:20000"),
        "image": "zoe/dask:1",
        **fields,
    }
    return ServiceOrder(**given_fields)


def test_the_parent_runs_nothing_and_is_removed_by_the_cluster_when_no_core_is_heard() -> None:
    made = manifests.parent(SITE, "x1", Bounds(ends_at=None, silence_s=3600.0), 1000.0)

    assert made == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": EXECUTION,
            "namespace": "zoe",
            "labels": LABELS,
            "annotations": {
                **WHO,
                "zoe-jupyter/bounds": '{"ends_at": null, "silence_s": 3600.0, "heard_at": 1000.0, "began_at": 1000.0}',
            },
        },
        "spec": {
            "parallelism": 0,
            "completions": 1,
            "activeDeadlineSeconds": 3660,
            "ttlSecondsAfterFinished": 0,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": POD_SECURITY,
                    "containers": [{"name": "none", "image": "none", "securityContext": CONTAINER_SECURITY}],
                }
            },
        },
    }


@pytest.mark.parametrize(
    ("bounds", "now", "seconds"),
    [
        (Bounds(None, 100.0), 1500.0, 660),
        (Bounds(1550.0, 100.0), 1500.0, 610),
        (Bounds(1600.0, 1e12), 1500.0, 660),
        (Bounds(None, 1e12), 1500.0, 2**31 - 1),
    ],
)
def test_the_deadline_counts_from_the_parents_start(bounds: Bounds, now: float, seconds: int) -> None:
    assert manifests.deadline_s(bounds, now, 1000.0) == seconds


def test_peers_are_found_by_one_headless_service() -> None:
    meta = {"name": EXECUTION, "namespace": "zoe", "labels": LABELS, "annotations": WHO, "ownerReferences": OWNERS}

    assert manifests.network(SITE, "x1", OWNERS) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {**LABELS, "zoe-jupyter/published": "yes"},
        },
    }
    assert manifests.host(SITE, WHOM) == f"{WHOM.host}.{EXECUTION}.zoe.svc.cluster.local"


def test_only_the_execution_itself_and_the_sites_callers_are_let_in() -> None:
    made = manifests.isolation(Site(deployment="lab", namespace="zoe", callers=("10.0.0.0/8",)), "x1", OWNERS)

    assert made["spec"] == {
        "podSelector": {"matchLabels": LABELS},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": LABELS}}, {"ipBlock": {"cidr": "10.0.0.0/8"}}]}],
    }


def test_callers_are_also_pods_of_another_namespace_by_their_labels() -> None:
    site = Site(deployment="lab", namespace="zoe", callers=(Caller("hub", {"app": "jupyterhub"}),))

    assert manifests.isolation(site, "x1", OWNERS)["spec"]["ingress"][0]["from"][1:] == [
        {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "hub"}},
            "podSelector": {"matchLabels": {"app": "jupyterhub"}},
        }
    ]


def test_callers_are_networks_in_the_clusters_words() -> None:
    assert admitted(["10.0.0.7", "10.1.2.3/8", "fd00::/64"]) == ("10.0.0.7/32", "10.0.0.0/8", "fd00::/64")


@pytest.mark.parametrize("caller", ["everybody", "10.0.0.0/40", Caller("hub", {})])
def test_callers_that_could_be_anybody_are_refused(caller: str | Caller) -> None:
    with pytest.raises(ZoeError, match=r"Zoe\.backend_options: callers"):
        admitted([caller])


def test_environment_and_files_are_in_a_secret_and_nowhere_else() -> None:
    secretive = order(environment={"TOKEN": "it's s3cret"}, files={"conf/a.pem": "pr1vate"})

    environment = (
        "export HOME=/zoe\nexport ZOE_EXECUTION=x1\nexport ZOE_SERVICE=dask.worker-0\n"
        "export TOKEN='it'\"'\"'s s3cret'\n:\n"
    )
    made = manifests.secret(SITE, secretive, OWNERS)
    pod = json.dumps(manifests.pod(SITE, secretive, "", OWNERS))

    assert made["metadata"]["name"] == POD
    assert made["stringData"] == {"environment": environment, "file-0": "pr1vate"}
    assert made["immutable"]
    assert "s3cret" not in pod
    assert "pr1vate" not in pod


def test_a_pod_says_in_full_whose_it_is() -> None:
    made = manifests.pod(SITE, order(), "", OWNERS)

    assert made["metadata"] == {
        "name": POD,
        "namespace": "zoe",
        "ownerReferences": OWNERS,
        "labels": {
            **LABELS,
            "zoe-jupyter/service": slug("dask.worker-0"),
            "zoe-jupyter/owner": slug("ada"),
            "zoe-jupyter/published": "yes",
        },
        "annotations": {
            **WHO,
            "zoe-jupyter/service": "dask.worker-0",
            "zoe-jupyter/attempt": "2",
            "zoe-jupyter/owner": "ada",
            "zoe-jupyter/facts": '{"image": "zoe/dask:1", "memory_bytes": 0, "ports": {}, "published": []}',
        },
    }


def test_a_pod_asks_for_no_more_than_a_restricted_namespace_allows() -> None:
    made = manifests.pod(SITE, order(), "", OWNERS)

    assert made["spec"] == {
        "restartPolicy": "Never",
        "hostname": WHOM.host,
        "subdomain": EXECUTION,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": 10,
        "securityContext": POD_SECURITY,
        "tolerations": [
            {
                "key": f"node.kubernetes.io/{what}",
                "operator": "Exists",
                "effect": "NoExecute",
                "tolerationSeconds": 60,
            }
            for what in ("not-ready", "unreachable")
        ],
        "containers": [
            {
                "name": "main",
                "image": "zoe/dask:1",
                "imagePullPolicy": "IfNotPresent",
                "args": prelude.started(("dask-worker", "tls://scheduler:20000"), ()),
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "resources": {},
                "volumeMounts": [
                    {"name": "given", "mountPath": prelude.GIVEN, "readOnly": True},
                    {"name": "own", "mountPath": "/zoe"},
                ],
                "securityContext": CONTAINER_SECURITY,
            }
        ],
        "volumes": [
            {
                "name": "given",
                "secret": {
                    "secretName": POD,
                    "defaultMode": 0o400,
                    "items": [{"key": "environment", "path": "environment"}],
                },
            },
            {"name": "own", "emptyDir": {}},
        ],
    }


def test_what_a_service_asks_for_is_asked_of_the_cluster() -> None:
    wanted = order(resources=Resources(microcores=250_000, memory_bytes=2**30, gpus=1))

    shares = _container(SITE, wanted)["resources"]
    quota = _container(Site(deployment="lab", cpu=CpuLimit.QUOTA), wanted)["resources"]

    assert shares == {
        "requests": {"cpu": "250m", "memory": "1073741824"},
        "limits": {"memory": "1073741824", "nvidia.com/gpu": "1"},
    }
    assert quota["limits"] == {"cpu": "250m", "memory": "1073741824", "nvidia.com/gpu": "1"}


@pytest.mark.parametrize(
    ("probe", "check"),
    [
        (Probe(tcp="web"), {"tcpSocket": {"port": 20001}}),
        (Probe(http="web/health?x=1"), {"httpGet": {"port": 20001, "path": "/health?x=1"}}),
        (Probe(command=("check", "it")), {"exec": {"command": prelude.beside(("check", "it"))}}),
    ],
)
def test_the_kubelet_looks_at_ports_and_runs_commands(probe: Probe, check: dict[str, Any]) -> None:
    numbers = places.port_numbers(["web", "rpc"])

    container = _container(SITE, order(ready=probe, port_numbers=numbers))

    assert container["readinessProbe"] == {**check, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 1}
    assert container["ports"] == [
        {"containerPort": 20000, "protocol": "TCP"},
        {"containerPort": 20001, "protocol": "TCP"},
    ]


LIVE = {"exec": {"command": prelude.beside(["true"])}, "periodSeconds": 3, "timeoutSeconds": 1, "failureThreshold": 2}


def test_the_kubelet_looks_whether_it_works_once_it_was_ready() -> None:
    health = Health(Probe(command=("true",), timeout_s=0.5), every_s=2.5, failures=2)

    container = _container(
        SITE, order(ready=Probe(tcp="web", timeout_s=30), port_numbers={"web": 20000}, health=health)
    )

    assert container["livenessProbe"] == LIVE
    assert container["startupProbe"] == {
        "tcpSocket": {"port": 20000}, "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 90
    }  # fmt: skip
    later = _container(SITE, order(ready=Probe(log="x", timeout_s=30), health=health))
    assert (later["livenessProbe"], "startupProbe" in later) == ({**LIVE, "initialDelaySeconds": 90}, False)
    assert _container(SITE, order(health=health))["livenessProbe"] == {**LIVE, "initialDelaySeconds": 0}


def test_a_line_in_a_log_is_not_for_the_kubelet() -> None:
    made = manifests.pod(SITE, order(ready=Probe(log="Registered to", timeout_s=7)), "", OWNERS)

    facts = json.loads(made["metadata"]["annotations"]["zoe-jupyter/facts"])
    assert facts["log"] == "Registered to"
    assert facts["timeout_s"] == 7
    assert "readinessProbe" not in made["spec"]["containers"][0]


def test_a_pod_goes_to_the_node_that_zoe_has_chosen_or_nowhere() -> None:
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["node2"]}]}

    made = manifests.pod(SITE, order(), "node2", OWNERS)

    assert json.loads(made["metadata"]["annotations"]["zoe-jupyter/facts"])["node"] == "node2"
    assert made["spec"]["affinity"]["nodeAffinity"] == {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}
    }


def test_images_of_frameworks_have_the_sites_prefix() -> None:
    assert _container(Site(deployment="lab", image_prefix="registry/lab-"), order())["image"] == "registry/lab-dask:1"


def test_who_is_to_be_waited_for_is_left_on_its_node() -> None:
    made = manifests.pod(SITE, order(on_lost=OnLost.WAIT), "", OWNERS)

    assert all("tolerationSeconds" not in toleration for toleration in made["spec"]["tolerations"])
    assert json.loads(made["metadata"]["annotations"]["zoe-jupyter/facts"])["waits"]


PROFILE = PodProfile(
    frameworks=("nfs",),
    users=("ada",),
    gains_privileges=True,
    capabilities=("SYS_ADMIN",),
    user_id=0,
    has_host_network=True,
    volumes=(Volume("more", "/more"),),
    folders=(NodeFolder("/srv/x", "/x", is_writable=True), NodeFolder("/srv/y")),
)


def test_a_profile_widens_what_it_names_for_its_framework_and_nothing_else() -> None:
    plain = Site(deployment="lab", namespace="zoe", volumes=(Volume("data", "/data"),), has_user_namespaces=True)
    site = replace(plain, profiles={"files": PROFILE})
    assert manifests.pod(site, order(), "", OWNERS) == manifests.pod(plain, order(), "", OWNERS)
    assert manifests.pod(site, order(framework="nfs", owner="eve"), "", OWNERS) == manifests.pod(
        plain, order(owner="eve"), "", OWNERS
    )

    made = manifests.pod(site, order(framework="nfs"), "", OWNERS)

    expected = manifests.pod(plain, order(), "", OWNERS)
    expected["metadata"]["annotations"]["zoe-jupyter/profile"] = "files"
    spec, container = expected["spec"], expected["spec"]["containers"][0]
    del spec["hostUsers"]
    spec |= {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"}
    spec["securityContext"] |= {"runAsNonRoot": False, "runAsUser": 0, "runAsGroup": 0}
    container["securityContext"] = {
        "allowPrivilegeEscalation": True,
        "capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]},
    }
    container["volumeMounts"] += [
        {"name": "site-1", "mountPath": "/more", "readOnly": True},
        {"name": "folder-0", "mountPath": "/x", "readOnly": False},
        {"name": "folder-1", "mountPath": "/srv/y", "readOnly": True},
    ]
    spec["volumes"] += [
        {"name": "site-1", "persistentVolumeClaim": {"claimName": "more", "readOnly": True}},
        {"name": "folder-0", "hostPath": {"path": "/srv/x", "type": "Directory"}},
        {"name": "folder-1", "hostPath": {"path": "/srv/y", "type": "Directory"}},
    ]
    assert made == expected


def test_a_privileged_pod_says_nothing_that_kubernetes_refuses_beside_it() -> None:
    site = replace(SITE, profiles={"all": PodProfile(frameworks=("nfs",), users=("*",), is_privileged=True)})
    made = manifests.pod(site, order(framework="nfs"), "", OWNERS)
    expected = manifests.pod(SITE, order(), "", OWNERS)
    expected["metadata"]["annotations"]["zoe-jupyter/profile"] = "all"
    expected["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    assert made == expected
    assert manifests.parent(site, "x1", Bounds(), 1.0) == manifests.parent(SITE, "x1", Bounds(), 1.0)


@pytest.mark.parametrize(
    "path", ["/", "/etc/kubernetes", "/var", "/var/lib/kubelet/pods", "srv", "/srv/../etc", "/run/x"]
)
def test_a_folder_that_would_be_the_node_itself_is_refused(path: str) -> None:
    profile = PodProfile(frameworks=("nfs",), users=("*",), folders=(NodeFolder(path, "/x"),))
    with pytest.raises(ZoeError, match="the profile 'files': services cannot have the folder"):
        widened({"files": profile}, ())


def test_two_at_one_place_are_refused_before_each_pod_would_be() -> None:
    data, twin = Volume("data", "/srv/data"), Volume("other", "/srv/data/")
    with pytest.raises(ZoeError, match="two volumes or folders would be at '/srv/data'"):
        checked((data, twin))
    for profile in (
        PodProfile(frameworks=("nfs",), users=("*",), folders=(NodeFolder("/srv/data"),)),
        PodProfile(frameworks=("nfs",), users=("*",), volumes=(twin,)),
    ):
        assert widened({"files": profile}, ()) == {"files": profile}
        with pytest.raises(ZoeError, match="two volumes or folders"):
            widened({"files": profile}, (data,))


def test_what_an_admin_has_set_is_in_every_pod() -> None:
    site = Site(
        deployment="lab",
        pull_secrets=("registry",),
        priority_class="batch",
        runtime_class="gvisor",
        node_selector={"pool": "zoe"},
        tolerations=({"key": "zoe", "operator": "Exists"},),
        labels={"kueue.x-k8s.io/queue-name": "lab"},
        shared_memory_bytes=2**30,
        has_user_namespaces=True,
    )

    made = manifests.pod(site, order(), "", OWNERS)
    spec = made["spec"]

    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "lab"
    assert spec["imagePullSecrets"] == [{"name": "registry"}]
    assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("batch", "gvisor")
    assert spec["nodeSelector"] == {"pool": "zoe"}
    assert spec["tolerations"][0] == {"key": "zoe", "operator": "Exists"}
    assert spec["volumes"][-1] == {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1073741824"}}
    assert spec["hostUsers"] is False


def test_what_the_site_shares_is_read_unless_it_says_more() -> None:
    site = Site(
        deployment="lab", volumes=(Volume("data", "/srv/data"), Volume("scratch", "/scratch", is_writable=True))
    )

    spec = manifests.pod(site, order(), "", OWNERS)["spec"]

    assert spec["volumes"][-2:] == [
        {"name": "site-0", "persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
        {"name": "site-1", "persistentVolumeClaim": {"claimName": "scratch", "readOnly": False}},
    ]
    assert spec["containers"][0]["volumeMounts"][-2:] == [
        {"name": "site-0", "mountPath": "/srv/data", "readOnly": True},
        {"name": "site-1", "mountPath": "/scratch", "readOnly": False},
    ]


def test_a_claim_is_in_a_pod_once_however_often_it_is_mounted() -> None:
    site = Site(deployment="lab", volumes=(Volume("data", "/srv/data"), Volume("data", "/scratch", is_writable=True)))

    spec = manifests.pod(site, order(), "", OWNERS)["spec"]

    assert spec["volumes"][2:] == [
        {"name": "site-0", "persistentVolumeClaim": {"claimName": "data", "readOnly": False}}
    ]
    assert spec["containers"][0]["volumeMounts"][2:] == [
        {"name": "site-0", "mountPath": "/srv/data", "readOnly": True},
        {"name": "site-0", "mountPath": "/scratch", "readOnly": False},
    ]


@pytest.mark.parametrize(
    "at", ["/", "/zoe/data", "/etc/passwd", "/run/zoe", "/srv/../etc", "srv", "", "/proc/1", "/dev/shm"]
)
def test_a_volume_is_nowhere_where_something_else_is(at: str) -> None:
    with pytest.raises(ZoeError, match="the volume 'data'"):
        checked([Volume("data", at)])


def test_a_label_cannot_take_the_place_of_zoes_own() -> None:
    site = Site(deployment="lab", labels={"zoe-jupyter/deployment": "other"})

    assert manifests.pod(site, order(), "", OWNERS)["metadata"]["labels"]["zoe-jupyter/deployment"] == slug("lab")


def test_a_program_starts_in_the_folder_that_it_is_to_see() -> None:
    own, shared = _container(SITE, order()), _container(SITE, order(cwd="/srv/data/a b"))
    assert own["args"][2].endswith(' && exec "$@"')
    assert shared["args"][2] == own["args"][2].replace(" && exec", " && cd '/srv/data/a b' && exec")


def test_a_name_that_no_shell_takes_is_refused() -> None:
    with pytest.raises(Fatal, match="no-name"):
        variables.exports({"no-name": "x"})


def _container(site: Site, wanted: ServiceOrder) -> dict[str, Any]:
    container: dict[str, Any] = manifests.pod(site, wanted, "", OWNERS)["spec"]["containers"][0]
    return container
