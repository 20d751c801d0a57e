"""The objects of executions on the API server: made once under names that are found again, and removed together."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from typing import Any

from zoe_jupyter.backends.base import Bounds, ServiceOrder, Unreachable
from zoe_jupyter.backends.kubernetes import manifests, names, parents, translate
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer
from zoe_jupyter.backends.kubernetes.homes import way_out
from zoe_jupyter.backends.kubernetes.paths import Paths, path_of
from zoe_jupyter.backends.kubernetes.site import Site
from zoe_jupyter.backends.kubernetes.watched import Watched
from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.model.errors import BackendError, Busy, Fatal

QUOTA_RETRY_S = 30.0
_TRIES = 3


class Objects:
    def __init__(self, server: ApiServer, site: Site, *, jobs: Watched, moments: parents.Moments | None = None) -> None:
        self._server = server
        self._site = site
        self._jobs = jobs
        self._moments = moments or parents.Moments()
        self._bounds: dict[str, Bounds] = {}
        """As they were told last, by whatever clock Zoe went by then."""
        self._named: dict[str, str] = {}
        """Executions whose network is there, and the uid of the parent that owns it."""
        self._unsure: dict[str, set[str]] = {}
        """Of executions, the paths of pods of which the cluster has not told whether it made them."""

    def kept(self) -> frozenset[str]:
        """Executions that have a parent."""
        return frozenset(parents.execution_of(parent) for parent in self._jobs.items.values())

    def has_kept(self, execution_id: str) -> bool:
        """Whether that one has a parent."""
        return self._parent(execution_id) is not None

    def is_at_home(self, pod: translate.Pod) -> bool:
        """Whether it is what it says, in its execution's namespace as far as that is known: anybody can write into a pod of theirs that it is another's."""
        attempt = translate.attempt_of(pod)
        if attempt is None or (attempt.deployment, attempt.name) != (self._site.deployment, pod["metadata"]["name"]):
            return False
        parent = self._parent(attempt.execution_id)
        return parent is None or parent["metadata"]["namespace"] == pod["metadata"]["namespace"]

    async def ensure(self, execution_id: str, owner: str, bounds: Bounds) -> list[manifests.Manifest]:
        """See that the execution has its parent and its network; the owner reference for all else. Raises Retryable, Fatal, Unreachable."""
        site = self._site.of(owner)
        paths, parent = Paths(site.namespace), self._parent(execution_id)
        refuse_stray(parent, site)
        if parent is None:
            manifest = manifests.parent(site, execution_id, bounds, self._moments.wall())
            parent = parents.parent_of(site.deployment, await self._made(paths.jobs, manifest))
            if parent is None:
                raise _foreign(manifest)
            self._bounds.pop(execution_id, None)
            self._jobs.put(parent)
        owners, uid = manifests.owned_by(parent), str(parent["metadata"]["uid"])
        if self._named.get(execution_id) != uid:
            await asyncio.gather(
                self._made(paths.services, manifests.network(site, execution_id, owners)),
                self._made(paths.policies, manifests.isolation(site, execution_id, owners)),
            )
            self._named[execution_id] = uid
        return owners

    def doubt(self, execution_id: str) -> None:
        """See at the next use that its network is there: somebody may have removed it. That its parent is another one is seen anyway."""
        self._named.pop(execution_id, None)

    async def made_before(self, order: ServiceOrder) -> Mapping[str, Any] | None:
        """The attempt's pod where it was made though the cluster did not say so. Raises Unreachable while it still does not.

        Only then may what refuses the attempt make room for another: a job's program must not run twice.
        """
        path = self._path(order)
        if path not in self._unsure.get(order.execution_id, ()):
            return None
        found = await self._there(path)
        if found is not None:
            _refuse_foreign(found, manifests.pod(self._site.of(order.owner), order, "", []))
        self._unsure[order.execution_id].discard(path)
        return found

    async def launch(self, order: ServiceOrder, node: str, owners: list[manifests.Manifest]) -> Mapping[str, Any]:
        """The pod of the attempt, made now or before. Raises Retryable, Fatal, Unreachable."""
        site = self._site.of(order.owner)
        paths = Paths(site.namespace)
        await self._made(paths.secrets, manifests.secret(site, order, owners))
        failpoint("launch.given")
        unsure = self._unsure.setdefault(order.execution_id, set())
        unsure.add(self._path(order))
        try:
            found = await self._made(paths.pods, manifests.pod(site, order, node, owners))
        except BackendError:
            unsure.discard(self._path(order))
            raise
        unsure.discard(self._path(order))
        return found

    def _path(self, order: ServiceOrder) -> str:
        attempt = manifests.attempt_of(order)
        return f"{Paths(self._site.of(order.owner).namespace).pods}/{attempt.name}"

    async def renew(self, execution_id: str, bounds: Bounds | None = None) -> None:
        """Let the parent know that a core lives, and how long the execution may go on without: as long as before unless there are others."""
        parent = self._parent(execution_id)
        if parent is not None:
            path = f"{Paths(parent['metadata']['namespace']).jobs}/{parent['metadata']['name']}"
            changed = await self._asked(
                self._server.apply(path, parents.renewal(parent, bounds, self._moments), self._site.manager)
            )
            self._jobs.put(changed)

    async def rebind(self, execution_id: str, bounds: Bounds) -> None:
        """Like ``renew``, when the bounds are others than those that the parent knows."""
        parent = self._parent(execution_id)
        if parent is None:
            return
        if bounds != (self._bounds.get(execution_id) or parents.bounds_of(parent)[0]):
            await self.renew(execution_id, bounds)
        self._bounds[execution_id] = bounds

    async def mark(self, pod: translate.Pod, **fields: Mapping[str, str]) -> Mapping[str, Any]:
        """Set labels or annotations of a pod."""
        identity = {name: pod["metadata"][name] for name in ("name", "uid")}
        change = {"apiVersion": "v1", "kind": "Pod", "metadata": {**identity, **fields}}
        found: Mapping[str, Any] = await self._asked(self._server.apply(path_of(pod), change, self._site.manager))
        return found

    async def remove_pod(self, pod: translate.Pod, *, grace_s: float) -> None:
        """Ask it to end, and have it killed after the grace; not a successor of the same name."""
        metadata = pod["metadata"]
        await self._asked(
            self._server.delete(
                path_of(pod),
                gracePeriodSeconds=max(1, math.ceil(grace_s)),
                preconditions={"uid": metadata["uid"]},
            )
        )

    async def remove_secret(self, pod: translate.Pod) -> None:
        """The one of that pod, which has its name."""
        metadata = pod["metadata"]
        await self._asked(self._server.delete(f"{Paths(metadata['namespace']).secrets}/{metadata['name']}"))

    async def remove(self, execution_id: str) -> None:
        """Remove the parent, and with it all that it owns."""
        self.doubt(execution_id)
        self._bounds.pop(execution_id, None)
        self._unsure.pop(execution_id, None)
        parent = self._parent(execution_id)
        if parent is None:
            return
        paths, name = Paths(parent["metadata"]["namespace"]), parent["metadata"]["name"]
        await self._asked(self._server.delete(f"{paths.jobs}/{name}", propagationPolicy="Background"))
        await asyncio.gather(
            self._asked(self._server.delete(f"{paths.services}/{name}")),
            self._asked(self._server.delete(f"{paths.policies}/{name}")),
        )

    def _parent(self, execution_id: str) -> Mapping[str, Any] | None:
        return self._jobs.items.get(names.execution_name(self._site.deployment, execution_id))

    async def _made(self, path: str, manifest: manifests.Manifest) -> Mapping[str, Any]:
        """Create it; what is there under that name is taken over only if this deployment made it for the same, and it belongs to the same parent.

        Looked for also where it was refused with trouble: what stands before the API server may not have seen what became of it.
        """
        for _ in range(_TRIES):
            try:
                found: Mapping[str, Any] = await self._server.create(path, manifest, self._site.manager)
                return found
            except ApiError as error:
                if error.is_unsure:
                    raise Unreachable(
                        f"the cluster does not say whether it made the {manifest['kind']}: {error}"
                    ) from None
                is_known = error.status == 409 and error.reason == "AlreadyExists"
                trouble: Exception | None = None if is_known else told(error)
                if trouble is not None and error.status < 500:
                    raise trouble from None
                if manifest["kind"] == "Pod" and not error.reason:
                    # Said by what stands before the API server, which may still hand it on; of all else two do no harm.
                    trouble = Unreachable(f"the cluster does not say whether it made the Pod: {error}")
            there = await self._there(f"{path}/{manifest['metadata']['name']}")
            if there is None and trouble is not None:
                raise trouble
            if there is not None:
                _refuse_foreign(there, manifest)
                if not _is_left_behind(there, manifest):
                    return there
                await self._remove(f"{path}/{manifest['metadata']['name']}", there)
        raise Busy(f"the {manifest['kind']} of an earlier life is still being removed", delay_s=1.0)

    async def _there(self, path: str) -> Mapping[str, Any] | None:
        """None where it has just gone, or never was. Raises Unreachable while the cluster does not say; Fatal where it never will."""
        try:
            found: Mapping[str, Any] = await self._server.get(path)
        except ApiError as error:
            if error.status == 404:
                return None
            if error.status in (401, 403) and not any(path in each for each in self._unsure.values()):
                raise told(error) from None
            raise Unreachable(f"the cluster does not say whether there is {path}: {error}") from None
        return found

    async def _remove(self, path: str, there: Mapping[str, Any]) -> None:
        """This one, and no other of its name."""
        await self._asked(self._server.delete(path, preconditions={"uid": there["metadata"]["uid"]}))

    async def _asked(self, request: Any) -> Any:
        try:
            return await request
        except ApiError as error:
            raise told(error) from None


def told(error: ApiError) -> BackendError:
    """The API server's refusal in the contract's words, with the way out where there is one."""
    text = str(error)
    if error.status == 403 and "exceeded quota" in text:
        return Busy(f"the namespace has no room left: {text}", delay_s=QUOTA_RETRY_S)
    if error.status == 403:
        return Fatal(f"the cluster does not allow it: {text}; deploy/kubernetes has the rights that Zoe needs")
    if error.status == 401:
        return Busy(f"the cluster does not know Zoe any more: {text}; look at the kubeconfig or the token")
    if error.status == 409 or error.is_passing:
        return Busy(f"the cluster asks to try again: {text}")
    return Fatal(f"the cluster refuses it: {text}{way_out(text)}")


def refuse_stray(found: Mapping[str, Any] | None, site: Site) -> None:
    """Raises Fatal for an object that bears the name of one of the site's, and is elsewhere."""
    if found is not None and (there := found["metadata"]["namespace"]) != site.namespace:
        name = found["metadata"]["name"]
        raise Fatal(f"there is something in the namespace {there} that poses as {name} of {site.namespace}; remove it")


def _refuse_foreign(found: Mapping[str, Any], manifest: manifests.Manifest) -> None:
    there, wanted = found["metadata"].get("annotations", {}), manifest["metadata"].get("annotations", {})
    identity = (names.DEPLOYMENT, names.EXECUTION, names.SERVICE, names.ATTEMPT)
    if any(there.get(key) != wanted.get(key) for key in identity):
        raise _foreign(manifest)
    if "deletionTimestamp" in found["metadata"] and manifest["kind"] != "Pod":
        raise Busy(f"the {manifest['kind']} of an earlier life is still being removed", delay_s=1.0)


def _foreign(manifest: Mapping[str, Any]) -> Fatal:
    name = manifest["metadata"]["name"]
    return Fatal(f"there is a {manifest['kind']} {name} in this namespace that is not Zoe's; remove or rename it")


def _is_left_behind(found: Mapping[str, Any], manifest: manifests.Manifest) -> bool:
    """Whether it belongs to a former parent, and is removed with that; how a pod of one ends is seen."""
    return manifest["kind"] != "Pod" and not _owners(manifest) <= _owners(found)


def _owners(item: Mapping[str, Any]) -> set[str]:
    return {owner["uid"] for owner in item["metadata"].get("ownerReferences", ())}


async def gather_patiently(requests: Iterable[Any]) -> None:
    """Do all, also when some fail; then raise the first failure."""
    done = await asyncio.gather(*requests, return_exceptions=True)
    for outcome in done:
        if isinstance(outcome, BackendError | Unreachable):
            raise outcome
