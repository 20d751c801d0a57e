"""From an order to the objects that are created for it: whole dicts, compared as such by the tests. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from zoe_jupyter.backends.base import Bounds, ServiceOrder
from zoe_jupyter.backends.containers import images, places, variables
from zoe_jupyter.backends.containers.names import Attempt, slug
from zoe_jupyter.backends.kubernetes import names, prelude
from zoe_jupyter.backends.kubernetes.site import Caller, CpuLimit, NodeFolder, Site, Volume
from zoe_jupyter.model.application import OnLost, Probe
from zoe_jupyter.model.images import OWN_PREFIX
from zoe_jupyter.model.resources import Resources

Manifest = dict[str, Any]
SLACK_S = 60
"""A cluster removes an execution so much later than Zoe itself would."""
MAX_SECONDS = 2**31 - 1
_PROBE_PERIOD_S, _PROBE_LIMIT_S = 1, 5


def attempt_of(order: ServiceOrder) -> Attempt:
    return Attempt(order.deployment, order.execution_id, order.service, order.attempt)


def host(site: Site, attempt: Attempt) -> str:
    """The name by which peers find a service; the pod itself knows it without asking. The site is its owner's."""
    subdomain = names.execution_name(attempt.deployment, attempt.execution_id)
    return f"{attempt.host}.{subdomain}.{site.namespace}.svc.{site.cluster_domain}"


def parent(site: Site, execution_id: str, bounds: Bounds, now: float) -> Manifest:
    """What owns every object of an execution: a Job that never runs a pod.

    Its deadline is renewed while a core lives. Once it has passed, the cluster itself removes the Job, and with it all that it owns.
    """
    nothing = {"name": "none", "image": "none", **_container_security(site)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": names.execution_name(site.deployment, execution_id),
            "namespace": site.namespace,
            "labels": _labels(site, execution_id),
            "annotations": {
                names.EXECUTION: execution_id,
                names.DEPLOYMENT: site.deployment,
                names.BOUNDS: bounds_text(bounds, now, now),
            },
        },
        "spec": {
            "parallelism": 0,
            "completions": 1,
            "activeDeadlineSeconds": deadline_s(bounds, now, now),
            "ttlSecondsAfterFinished": 0,
            "template": {
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": False,
                    "securityContext": _pod_security(site),
                    "containers": [nothing],
                }
            },
        },
    }


def bounds_text(bounds: Bounds, now: float, began_at: float) -> str:
    moments = {"heard_at": round(now, 3), "began_at": round(began_at, 3)}
    return json.dumps({"ends_at": bounds.ends_at, "silence_s": bounds.silence_s, **moments})


def deadline_s(bounds: Bounds, now: float, began_at: float) -> int:
    """Seconds after the parent's start at which the cluster may remove it."""
    ends = [now + bounds.silence_s, *([bounds.ends_at] if bounds.ends_at is not None else [])]
    return max(1, min(MAX_SECONDS, math.ceil(min(ends) - began_at) + SLACK_S))


def owned_by(found: Mapping[str, Any]) -> list[Manifest]:
    """The reference to the parent, from what the server said of it."""
    metadata = found["metadata"]
    return [{"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}]


def network(site: Site, execution_id: str, owners: list[Manifest]) -> Manifest:
    """The headless Service that gives the pods of an execution their names."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(site, execution_id, owners),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {**_labels(site, execution_id), names.PUBLISHED: "yes"},
        },
    }


def isolation(site: Site, execution_id: str, owners: list[Manifest]) -> Manifest:
    """The NetworkPolicy that lets in only those of the same execution, and the callers that the site names."""
    peers: list[Manifest] = [{"podSelector": {"matchLabels": _labels(site, execution_id)}}]
    peers += [_peer(each) for each in site.callers]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": _metadata(site, execution_id, owners),
        "spec": {
            "podSelector": {"matchLabels": _labels(site, execution_id)},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": peers}],
        },
    }


def _peer(caller: str | Caller) -> Manifest:
    if isinstance(caller, str):
        return {"ipBlock": {"cidr": caller}}
    namespace = {"kubernetes.io/metadata.name": caller.namespace}
    return {"namespaceSelector": {"matchLabels": namespace}, "podSelector": {"matchLabels": dict(caller.labels)}}


def secret(site: Site, order: ServiceOrder, owners: list[Manifest]) -> Manifest:
    """Environment and files of one attempt."""
    content = {prelude.ENVIRONMENT: variables.exports(places.environment(order))}
    content |= {f"file-{index}": order.files[name] for index, name in enumerate(sorted(order.files))}
    metadata = _metadata(site, order.execution_id, owners)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {**metadata, "name": attempt_of(order).name},
        "immutable": True,
        "stringData": content,
    }


def pod(site: Site, order: ServiceOrder, node: str, owners: list[Manifest]) -> Manifest:
    """One attempt of a service, under its profile if it has one; ``node`` empty: anywhere."""
    site = site.under(order)
    spec: Manifest = {
        "restartPolicy": "Never",
        "hostname": attempt_of(order).host,
        "subdomain": names.execution_name(site.deployment, order.execution_id),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "shareProcessNamespace": True,
        "terminationGracePeriodSeconds": math.ceil(order.grace_s),
        "securityContext": _pod_security(site),
        "tolerations": [*(dict(each) for each in site.tolerations), *_patience(site, order)],
        "containers": [_container(site, order)],
        "volumes": _volumes(site, order),
        **_placement(node),
        **_wishes(site),
        **({"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"} if site.has_host_network else {}),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": attempt_of(order).name,
            "namespace": site.namespace,
            "ownerReferences": owners,
            "labels": {**site.labels, **_labels(site, order.execution_id), **_service_labels(order)},
            "annotations": _annotations(site, order, node),
        },
        "spec": spec,
    }


def _container(site: Site, order: ServiceOrder) -> Manifest:
    container: Manifest = {
        "name": "main",
        "image": images.resolve(order.image, site.image_prefix),
        "imagePullPolicy": site.pull_policy,
        "args": prelude.started(order.command, order.files, folder=order.cwd),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "resources": _resources(site, order.resources),
        "volumeMounts": [
            {"name": "given", "mountPath": prelude.GIVEN, "readOnly": True},
            {"name": "own", "mountPath": places.FOLDER},
            *([{"name": "shm", "mountPath": "/dev/shm"}] if site.shared_memory_bytes else []),  # noqa: S108
            *_shared(site),
        ],
        **_container_security(site),
    }
    if order.port_numbers:
        ports = sorted(order.port_numbers.values())
        container["ports"] = [{"containerPort": number, "protocol": "TCP"} for number in ports]
    check = _check(order.ready, order.port_numbers)
    if check:
        timing = {"periodSeconds": _PROBE_PERIOD_S, "timeoutSeconds": _PROBE_LIMIT_S, "failureThreshold": 1}
        container["readinessProbe"] = {**check, **timing}
    return {**container, **_health(order, check)}


def _health(order: ServiceOrder, ready: Manifest) -> Manifest:
    """The kubelet begins to look once the service was ready, or was given all its time for that."""
    health = order.health
    if health is None:
        return {}
    live = {
        **_check(health.probe, order.port_numbers),
        "periodSeconds": max(1, math.ceil(health.every_s)),
        "timeoutSeconds": max(1, math.ceil(health.probe.timeout_s)),
        "failureThreshold": health.failures,
    }
    patience_s = math.ceil(order.ready.timeout_s) + SLACK_S if order.ready else 0
    if not ready:
        return {"livenessProbe": {**live, "initialDelaySeconds": patience_s}}
    timing = {"periodSeconds": _PROBE_PERIOD_S, "timeoutSeconds": _PROBE_LIMIT_S, "failureThreshold": patience_s}
    return {"livenessProbe": live, "startupProbe": {**ready, **timing}}


def _check(probe: Probe | None, numbers: Mapping[str, int]) -> Manifest:
    """What the kubelet can look at itself; empty where it cannot (the log)."""
    if probe is None or probe.log:
        return {}
    if probe.tcp:
        return {"tcpSocket": {"port": numbers[probe.tcp]}}
    if probe.http:
        port, _, path = probe.http.partition("/")
        return {"httpGet": {"port": numbers[port], "path": f"/{path}"}}
    return {"exec": {"command": prelude.beside(probe.command)}}


def _resources(site: Site, wanted: Resources) -> Manifest:
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}
    if wanted.microcores:
        requests["cpu"] = f"{math.ceil(wanted.microcores / 1000)}m"
        if site.cpu is CpuLimit.QUOTA:
            limits["cpu"] = requests["cpu"]
    if wanted.memory_bytes:
        requests["memory"] = limits["memory"] = str(wanted.memory_bytes)
    if wanted.gpus:
        limits[site.gpu_resource] = str(wanted.gpus)
    return {name: value for name, value in (("requests", requests), ("limits", limits)) if value}


def _volumes(site: Site, order: ServiceOrder) -> list[Manifest]:
    items = [{"key": prelude.ENVIRONMENT, "path": prelude.ENVIRONMENT}]
    items += [{"key": f"file-{index}", "path": f"files/{name}"} for index, name in enumerate(sorted(order.files))]
    given = {"secretName": attempt_of(order).name, "defaultMode": 0o400, "items": items}
    volumes: list[Manifest] = [{"name": "given", "secret": given}, {"name": "own", "emptyDir": {}}]
    if site.shared_memory_bytes:
        size = str(site.shared_memory_bytes)
        volumes.append({"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": size}})
    return [*volumes, *_claims(site), *_folders(site)]


def _claims(site: Site) -> list[Manifest]:
    """Each once, however often it is mounted: no node gets a pod ready that names a claim twice."""
    writable = {each.claim for each in site.volumes if each.is_writable}
    return [
        {"name": name, "persistentVolumeClaim": {"claimName": claim, "readOnly": claim not in writable}}
        for claim, name in _claim_names(site).items()
    ]


def _folders(site: Site) -> list[Manifest]:
    return [
        {"name": f"folder-{number}", "hostPath": {"path": each.path, "type": "Directory"}}
        for number, each in enumerate(site.folders)
    ]


def _claim_names(site: Site) -> dict[str, str]:
    """What the site's claims are called in a pod."""
    claims = dict.fromkeys(each.claim for each in site.volumes)
    return {claim: f"site-{number}" for number, claim in enumerate(claims)}


def _shared(site: Site) -> list[Manifest]:
    """Where the site's claims and folders are in a container."""
    called = _claim_names(site)
    mounts: list[tuple[str, str, Volume | NodeFolder]] = [(called[each.claim], each.at, each) for each in site.volumes]
    mounts += [(f"folder-{number}", each.at or each.path, each) for number, each in enumerate(site.folders)]
    return [{"name": name, "mountPath": at, "readOnly": not each.is_writable} for name, at, each in mounts]


def _placement(node: str) -> Manifest:
    """The cluster's scheduler still has a say: whether there is room, and whether the node takes such pods."""
    if not node:
        return {}
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
    choice = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    return {"affinity": {"nodeAffinity": choice}}


def _wishes(site: Site) -> Manifest:
    """What stands in a pod only where the admin has set it."""
    wishes: Manifest = {
        "nodeSelector": dict(site.node_selector),
        "imagePullSecrets": [{"name": name} for name in site.pull_secrets],
        "priorityClassName": site.priority_class,
        "runtimeClassName": site.runtime_class,
        "serviceAccountName": site.service_account,
    }
    kept = {name: value for name, value in wishes.items() if value}
    return {**kept, "hostUsers": False} if site.has_user_namespaces and not site.has_host_network else kept


def _patience(site: Site, order: ServiceOrder) -> list[Manifest]:
    """How long the cluster itself leaves a pod on a node that does not answer; for ever where it is to be waited for."""
    limit = {} if order.on_lost is OnLost.WAIT else {"tolerationSeconds": math.ceil(site.lost_after_s)}
    return [
        {"key": f"node.kubernetes.io/{what}", "operator": "Exists", "effect": "NoExecute", **limit}
        for what in ("not-ready", "unreachable")
    ]


def _pod_security(site: Site) -> Manifest:
    return {
        "runAsNonRoot": site.user_id != 0,
        "runAsUser": site.user_id,
        "runAsGroup": site.user_id,
        "fsGroup": site.user_id if site.group_id is None else site.group_id,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _container_security(site: Site) -> Manifest:
    if site.is_privileged:
        return {"securityContext": {"privileged": True}}
    capabilities = {"drop": ["ALL"], **({"add": list(site.capabilities)} if site.capabilities else {})}
    return {"securityContext": {"allowPrivilegeEscalation": site.gains_privileges, "capabilities": capabilities}}


def _annotations(site: Site, order: ServiceOrder, node: str) -> dict[str, str]:
    probe = order.ready
    waits = {} if probe is None else {"ready": awaited(probe), "timeout_s": probe.timeout_s, "log": probe.log}
    facts = {
        "ports": dict(order.port_numbers),
        "published": list(places.published(order.ports)),
        "memory_bytes": order.resources.memory_bytes,
        **waits,
        **({"health": awaited(order.health.probe)} if order.health else {}),
        **({"node": node} if node else {}),
        **({"image": order.image} if order.image.startswith(OWN_PREFIX) else {}),
        **({"image_prefix": site.image_prefix} if site.image_prefix != OWN_PREFIX else {}),
        **({"waits": True} if order.on_lost is OnLost.WAIT else {}),
    }
    return {
        names.DEPLOYMENT: site.deployment,
        names.EXECUTION: order.execution_id,
        names.SERVICE: order.service,
        names.ATTEMPT: str(order.attempt),
        names.OWNER: order.owner,
        names.FACTS: json.dumps(facts, sort_keys=True),
        **({names.PROFILE: site.profile} if site.profile else {}),
    }


def awaited(probe: Probe) -> str:
    """What a service must do to be ready, in words."""
    if probe.tcp:
        return f"a connection to its port {probe.tcp}"
    if probe.http:
        return f"an answer of {probe.http}"
    if probe.log:
        return f"a line in its log that matches {probe.log!r}"
    return f"success of {' '.join(probe.command)[:200]}"


def _labels(site: Site, execution_id: str) -> dict[str, str]:
    return {names.DEPLOYMENT: slug(site.deployment), names.EXECUTION: slug(execution_id)}


def _service_labels(order: ServiceOrder) -> dict[str, str]:
    return {names.SERVICE: slug(order.service), names.OWNER: slug(order.owner), names.PUBLISHED: "yes"}


def _metadata(site: Site, execution_id: str, owners: list[Manifest]) -> Manifest:
    return {
        "name": names.execution_name(site.deployment, execution_id),
        "namespace": site.namespace,
        "labels": _labels(site, execution_id),
        "annotations": {names.DEPLOYMENT: site.deployment, names.EXECUTION: execution_id},
        "ownerReferences": owners,
    }
