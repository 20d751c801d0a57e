"""From a pod as the API server tells it to what was seen of a service, with the reason in words. Pure."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

from zoe_jupyter.backends.base import Seen, SeenState
from zoe_jupyter.backends.containers import images
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.kubernetes import facts, names
from zoe_jupyter.model.execution import PULLING, Reason
from zoe_jupyter.model.images import OWN_PREFIX
from zoe_jupyter.model.units import format_bytes

Pod = Mapping[str, Any]
MAIN = "main"
"""The service's own container; a cluster may put others beside it (a mesh's proxy), of which nothing is asked."""
LAST_LINES = 20
MOST_ATTEMPTS = 10**6
SHOWN = 500
LONGEST_NAME = 100
NO_SUCH_IMAGE = frozenset({"InvalidImageName", "ErrImageNeverPull"})
IMAGE_TROUBLE = NO_SUCH_IMAGE | {"ErrImagePull", "ImagePullBackOff"}
UNKNOWN = frozenset({"ContainerStatusUnknown", "Unknown"})
"""The kubelet's word, and containerd's after its node was started anew, with an exit code (137, 255) that says nothing."""


_KEPT = (
    "name", "namespace", "uid", "resourceVersion", "annotations", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
)  # fmt: skip


def slim(pod: Pod) -> dict[str, Any]:
    """What is kept of a pod: a large cluster's would not fit into memory whole."""
    metadata, spec, status = pod["metadata"], pod.get("spec", {}), pod.get("status", {})
    return {
        "metadata": {name: metadata[name] for name in _KEPT if name in metadata},
        "spec": {"nodeName": spec.get("nodeName", ""), "hostNetwork": bool(spec.get("hostNetwork"))},
        "status": {
            "phase": status.get("phase", "Pending"),
            "reason": status.get("reason", ""),
            "message": status.get("message", ""),
            "podIP": status.get("podIP", ""),
            "conditions": [c for c in status.get("conditions", ()) if c["type"] in ("Ready", "PodScheduled")],
            "containerStatuses": [
                {"state": c.get("state", {}), "imageID": c.get("imageID", "")}
                for c in status.get("containerStatuses", ())
                if c.get("name", MAIN) == MAIN
            ],
        },
    }


_PULLING = "Pulling"
PULLS = f"involvedObject.kind=Pod,reason={_PULLING}"
"""Field selector of the events that tell of an image that a node begins to fetch."""
WARNINGS = "involvedObject.kind=Pod,type=Warning," + ",".join(
    f"reason!={told}" for told in ("Unhealthy", "BackOff", "Failed", "FailedScheduling", "NodeNotReady")
)
"""Of what keeps a node from making a pod's container, but for what pods tell themselves: volumes that cannot be mounted, no network."""


_KEEPING = frozenset(
    {"FailedMount", "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "NetworkNotReady"}
)
"""Reasons of warnings that keep a container from being made; others come while all goes well."""


def slim_event(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """What is kept of such an event, if anything: ``image`` is empty unless it tells of one."""
    metadata, message = event["metadata"], str(event.get("message", ""))
    kept = ("name", "uid", "resourceVersion", "creationTimestamp")
    is_pull = event.get("reason") == _PULLING
    if not is_pull and event.get("reason") not in _KEEPING:
        return None
    return {
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "pod": event["involvedObject"].get("name", ""),
        "at": str(event.get("lastTimestamp") or event.get("eventTime") or metadata.get("creationTimestamp", ""))[:19],
        "image": message.partition('"')[2].partition('"')[0] if is_pull else "",
        "warning": "" if is_pull else f"{event.get('reason')}: {message[:SHOWN]}",
    }


def attempt_of(pod: Pod) -> Attempt | None:
    """None for what bears our label and yet was not made by Zoe."""
    annotations = pod["metadata"].get("annotations", {})
    try:
        who = (annotations[names.DEPLOYMENT], annotations[names.EXECUTION], annotations[names.SERVICE])
        number = int(annotations[names.ATTEMPT])
    except (KeyError, ValueError):
        return None
    return Attempt(*who, number) if 0 < number <= MOST_ATTEMPTS else None


def facts_of(pod: Pod) -> Mapping[str, Any]:
    return facts.read(pod["metadata"].get("annotations", {}).get(names.FACTS, "{}"))


def pinned_to(pod: Pod) -> str:
    """The only node that it may go to; empty where the cluster chooses."""
    return str(facts_of(pod).get("node", ""))


def has_no_room(pod: Pod) -> bool:
    """Whether the cluster has looked for room for it in vain; who is kept back by a gate, or lacks a claim or a port, has not been looked at."""
    return _lacks(pod) == "unscheduled"


def has_no_port(pod: Pod) -> bool:
    """Whether it waits for a port of a node's own network."""
    return _lacks(pod) == "no_port"


def _lacks(pod: Pod) -> str:
    scheduled = _condition(pod, "PodScheduled")
    is_refused = (scheduled.get("status"), scheduled.get("reason")) == ("False", "Unschedulable")
    return _unscheduled(str(scheduled.get("message", ""))).code if is_refused else ""


def state_of(pod: Pod) -> Mapping[str, Any]:
    """The container's state: at most one of running, waiting, terminated."""
    statuses = pod["status"]["containerStatuses"]
    state: Mapping[str, Any] = statuses[0]["state"] if statuses else {}
    return state


def has_ended(pod: Pod) -> bool:
    return pod["status"]["phase"] in ("Succeeded", "Failed") or "terminated" in state_of(pod)


def is_running(pod: Pod) -> bool:
    return not has_ended(pod) and "running" in state_of(pod)


def is_ready(pod: Pod) -> bool:
    """What has proved itself once says so by an annotation; before that the kubelet does, unless its log is to say it."""
    return is_running(pod) and (has_proved(pod) or proves_itself(pod))


def has_proved(pod: Pod) -> bool:
    """Whether nothing is to be proved any more; the kubelet's own word is taken back when a node falls silent, or a service is busy."""
    return bool(pod["metadata"].get("annotations", {}).get(names.READY)) or not facts_of(pod).get("ready")


def proves_itself(pod: Pod) -> bool:
    """Whether the kubelet says now that it is ready."""
    return not facts_of(pod).get("log") and _condition(pod, "Ready").get("status") == "True"


def proved(pod: Pod) -> Pod:
    """The same as one that has proved itself."""
    metadata = pod["metadata"]
    return {**pod, "metadata": {**metadata, "annotations": {**metadata.get("annotations", {}), names.READY: "yes"}}}


def seen(
    pod: Pod, attempt: Attempt, *, host: str, verdict: Reason | None = None, last: Mapping[str, Any] | None = None
) -> Seen:
    """``verdict`` is why Zoe ended it, when it did; ``last`` the event of it that was told last."""
    common = {
        "execution_id": attempt.execution_id,
        "service": attempt.service,
        "attempt": attempt.attempt,
        "handle": handle(pod, host),
        "host": host,
        "ports": facts_of(pod).get("ports", {}),
        "image": image_of(pod),
    }
    if has_ended(pod):
        code, reason, is_blameless = ending(pod)
        reason, is_blameless = (verdict, False) if verdict else (reason, is_blameless)
        return Seen(**common, state=SeenState.EXITED, exit_code=code, reason=reason, is_blameless=is_blameless)
    state = SeenState.READY if is_ready(pod) else SeenState.STARTING
    return Seen(**common, state=state, reason=_waiting(pod, last or {}))


def image_of(pod: Pod) -> str:
    """By digest, as the node's runtime tells it; empty before the node has it."""
    statuses = pod["status"]["containerStatuses"]
    return str(statuses[0].get("imageID", "")).rpartition("://")[2] if statuses else ""


def handle(pod: Pod, host: str) -> dict[str, Any]:
    metadata = pod["metadata"]
    return {"pod": metadata["name"], "uid": metadata["uid"], "host": host}


def ending(pod: Pod) -> tuple[int | None, Reason, bool]:
    """Exit code, reason, and whether it is nobody's fault."""
    status, ended = pod["status"], state_of(pod).get("terminated", {})
    code: int | None = ended.get("exitCode")
    if status["reason"] == "DeadlineExceeded":
        return code, Reason("expired", "ended by the cluster: its time was over"), False
    if ended.get("reason") == "OOMKilled":
        limit = int(facts_of(pod).get("memory_bytes", 0))
        text = f"out of memory: used {format_bytes(limit)} of {format_bytes(limit)}" if limit else "out of memory"
        return code, Reason("out_of_memory", text, {"used": limit, "limit": limit}), False
    if status["reason"] in (
        "Evicted",
        "NodeLost",
        "NodeShutdown",
        "Terminated",
        "Preempting",
        "UnexpectedAdmissionError",
    ):
        return code, Reason("lost", f"ended by the cluster: {status['message'] or status['reason']}"), True
    if code is None or ended.get("reason") in UNKNOWN:
        return None, Reason("lost", "lost: the cluster does not know how it ended"), True
    if _looks_ill(pod, code):
        text = f"ended by the cluster since it works no more: waited for {facts_of(pod)['health']}"
        return code, Reason("unhealthy", text), False
    return code, _plain(code, ended), False


def _looks_ill(pod: Pod, code: int) -> bool:
    """The kubelet says it in events only, which clusters forget: who proves that it works and is killed though nobody removes it did not."""
    killed = code in (128 + signal.SIGTERM, 128 + signal.SIGKILL)
    return killed and bool(facts_of(pod).get("health")) and "deletionTimestamp" not in pod["metadata"]


def _plain(code: int, ended: Mapping[str, Any]) -> Reason:
    lines = str(ended.get("message", "")).strip().splitlines()[-LAST_LINES:]
    numbers = {"log": lines} if lines and code else {}
    if code in (126, 127, 128) and lines:
        return Reason("exited", f"could not be started: {lines[-1][:500]}", numbers)
    if code > 128:
        return Reason("killed", f"killed by {_signal_name(code - 128)}", numbers)
    return Reason("exited", f"exited with {code}", numbers)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _waiting(pod: Pod, last: Mapping[str, Any]) -> Reason | None:
    """Why it does not run yet, where that is worth telling."""
    scheduled = _condition(pod, "PodScheduled")
    if scheduled.get("status") == "False":
        return _unscheduled(str(scheduled.get("message", "")))
    if trouble := image_trouble(pod):
        return trouble
    why, message = _hindrance(pod)
    if why and why not in ("ContainerCreating", "PodInitializing"):
        return Reason("cannot_start", f"its container cannot be made ({why}): {message}".rstrip(": "))
    if why and last.get("warning"):
        return Reason("cannot_start", f"its node cannot make its container: {last['warning']}")
    image = last.get("image")
    return Reason(PULLING, f"pulling the image {image}", {"image": image}) if why and image else None


def image_trouble(pod: Pod) -> Reason | None:
    """Why its node does not get its image, if it has tried."""
    why, message = _hindrance(pod)
    if why not in IMAGE_TROUBLE:
        return None
    told = f"its image cannot be had ({why}): {message}".rstrip(": ")
    return Reason("image_not_found", told + _where_images_come_from(facts_of(pod)))


def _where_images_come_from(known: Mapping[str, Any]) -> str:
    """The way out, for an image of the site's own."""
    image, prefix = str(known.get("image", "")), str(known.get("image_prefix", OWN_PREFIX))
    if not image.startswith(OWN_PREFIX):
        return ""
    name = image.removeprefix(OWN_PREFIX).partition(":")[0][:LONGEST_NAME]
    return f". Build it with `jupyter zoe image build {name}`, push it to where the nodes pull from, and set `image_prefix` (now {prefix!r}) to that"


def has_no_image(pod: Pod) -> bool:
    """Whether nothing is to be hoped for from another try: who was asked for its image has none, or does not give it."""
    why, message = _hindrance(pod)
    return why in NO_SUCH_IMAGE or (why in IMAGE_TROUBLE and images.is_refusal(message))


def _hindrance(pod: Pod) -> tuple[str, str]:
    waiting = state_of(pod).get("waiting", {})
    return str(waiting.get("reason", "")), str(waiting.get("message", ""))[:SHOWN]


def _unscheduled(message: str) -> Reason:
    if "persistentvolumeclaim" in message.lower():
        return Reason("no_folder", f"a volume of the site cannot be had: {message}")
    if "free ports" in message:
        return Reason(
            "no_port",
            f"another service has its ports on the network of the node itself; it waits until that ends: {message}",
        )
    return Reason("unscheduled", f"the cluster has no room for it: {message}".rstrip(": "))


def _condition(pod: Pod, kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next((c for c in pod["status"]["conditions"] if c["type"] == kind), {})
    return found
