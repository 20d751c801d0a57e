"""The Kubernetes backend: every service is a pod, everything of an execution belongs to one parent object."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from zoe_jupyter.backends.base import (
    Address,
    Backend,
    Bounds,
    Capabilities,
    Environment,
    Observation,
    Reserved,
    ServiceOrder,
    Unreachable,
    Usage,
)
from zoe_jupyter.backends.containers import images, places, variables
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.containers.profiles import tell
from zoe_jupyter.backends.kubernetes import manifests, names, prelude, sockets, translate
from zoe_jupyter.backends.kubernetes.asking import Asking
from zoe_jupyter.backends.kubernetes.client import ApiError, ApiServer, default_namespace
from zoe_jupyter.backends.kubernetes.deadlines import Deadlines
from zoe_jupyter.backends.kubernetes.hints import Hints
from zoe_jupyter.backends.kubernetes.known import Known
from zoe_jupyter.backends.kubernetes.logs import Logs
from zoe_jupyter.backends.kubernetes.machines import Machines, sized
from zoe_jupyter.backends.kubernetes.objects import Objects, gather_patiently, refuse_stray, told
from zoe_jupyter.backends.kubernetes.parents import Heartbeat, Moments, parent_of
from zoe_jupyter.backends.kubernetes.paths import Paths, path_of
from zoe_jupyter.backends.kubernetes.probing import Prober
from zoe_jupyter.backends.kubernetes.site import (
    GPU,
    Caller,
    CpuLimit,
    Isolation,
    Placement,
    PodProfile,
    Reaching,
    Site,
    Volume,
    admitted,
    checked,
    named,
    tolerated,
    widened,
)
from zoe_jupyter.backends.kubernetes.translate import Pod
from zoe_jupyter.backends.kubernetes.upkeep import (
    TICK_S,
    Crowded,
    Hindered,
    Overdue,
    Readiness,
    SilentNodes,
    homeless,
    stranded,
)
from zoe_jupyter.backends.kubernetes.usage import Meter
from zoe_jupyter.backends.kubernetes.watched import Object, Watched
from zoe_jupyter.backends.options import Amount, Count, Name, Pull, Seconds, UserId
from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.model.application import Port, Requirement
from zoe_jupyter.model.errors import BackendError, Retryable
from zoe_jupyter.model.execution import Client, Reason
from zoe_jupyter.model.images import OWN_PREFIX
from zoe_jupyter.model.resources import Node

logger = logging.getLogger(__name__)

_THREADS = 4
_CLEAN_GRACE_S, _CLEAN_LIMIT_S = 2.0, 40.0
_LOST_GRACE_S = 10.0
_COPY_LIMIT_S = 10.0
MIB = 1024**2


class KubernetesBackend(Backend):
    """Options are those of ``docs/admins/kubernetes.md``; ``data_dir`` keeps the logs of pods that are gone."""

    def __init__(
        self,
        *,
        deployment: str,
        data_dir: Path,
        kubeconfig: str = "",
        context: str = "",
        namespace: str = "",
        cluster_domain: str = "cluster.local",
        image_prefix: str = OWN_PREFIX,
        user_id: UserId = places.USER,
        pull_policy: Pull = "IfNotPresent",
        pull_secrets: Sequence[str] = (),
        priority_class: str = "",
        runtime_class: str = "",
        placement: Placement = Placement.ZOE,
        cpu: CpuLimit = CpuLimit.SHARES,
        node_selector: Mapping[str, str] | None = None,
        tolerations: Sequence[Mapping[str, Any]] = (),
        labels: Mapping[str, str] | None = None,
        volumes: Sequence[Volume] = (),
        callers: Sequence[str | Caller] = (),
        profiles: Mapping[str, PodProfile] | None = None,
        capacity: Mapping[str, str] | None = None,
        shared_memory_bytes: Amount = 0,
        has_user_namespaces: bool = False,
        lost_after_s: Seconds = 60.0,
        reach: Reaching = Reaching.AUTO,
        isolation: Isolation = Isolation.AUTO,
        gpu_resource: Name = GPU,
        log_limit_bytes: Count = 16 * MIB,
    ) -> None:
        self._kubeconfig, self._context, self._reaching = kubeconfig, context, reach
        self._site = Site(
            deployment=deployment, namespace=named(namespace or default_namespace()), cluster_domain=cluster_domain,
            image_prefix=images.known_prefix(image_prefix), user_id=user_id, pull_policy=pull_policy, pull_secrets=tuple(pull_secrets),
            priority_class=priority_class, runtime_class=runtime_class, has_user_namespaces=has_user_namespaces,
            placement=placement, cpu=cpu, node_selector=dict(node_selector or {}), tolerations=tolerated(tolerations),
            shared_memory_bytes=shared_memory_bytes, lost_after_s=lost_after_s, labels=dict(labels or {}),
            callers=admitted(callers), gpu_resource=gpu_resource, volumes=checked(volumes), profiles=widened(profiles, volumes),
        )  # fmt: skip
        self._capacity, self._log_limit_bytes = sized(capacity or {}, gpu_resource), log_limit_bytes
        self._folder = data_dir / "kubernetes"
        self._prober = Prober(self._site, wanted=isolation, file=self._folder / "isolation.json")
        self._has_opened = self._has_judged = False
        self._hints, self._meter = Hints(), Meter(self._site)
        self._known = Known(self._site, self._hints, is_closed=self._is_closed)
        self._ending, self._letting = Asking("{}: that it is to end"), Asking("{}: that it is let go")
        self._paths: dict[str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def capabilities(self) -> Capabilities:
        limits = {
            "memory": "cgroup",
            "cpu": self._site.cpu.value,
            "processes": "none",
            "strays": "cgroup",
            "usage": self._meter.source,
        }
        isolation = self._prober.answer.value
        return Capabilities(
            "kubernetes", isolation=isolation, limits=limits, is_multi_node=True, has_gpus=True,
            shared=tuple(volume.at for volume in self._site.volumes),
        )  # fmt: skip

    async def start(self) -> None:
        tell(self._site.profiles)
        self._deadlines = Deadlines(self._folder / "deadlines.json")
        self._deadlines.read()
        self._server = server = await ApiServer.connect(self._kubeconfig, self._context)
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="zoe-kubernetes")
        selector = names.selector(self._site.deployment)
        paths = Paths(self._site.watched_namespace)
        self._pods = Watched(server, paths.pods, selector=selector, keep=self._slim, on_change=self._on_pod)
        self._jobs = Watched(
            server, paths.jobs, selector=selector, keep=partial(parent_of, self._site.deployment),
            on_change=self._on_parent,
        )  # fmt: skip
        self._events = [
            Watched(
                server, paths.events, fields=fields, keep=translate.slim_event,
                on_change=self._known.take_event, is_optional=True,
            )
            for fields in (translate.PULLS, translate.WARNINGS)
        ]  # fmt: skip
        self._moments = Moments()
        self._objects = Objects(server, self._site, jobs=self._jobs, moments=self._moments)
        self._machines = Machines(server, self._site, self._capacity)
        self._logs = Logs(
            server.aside, self._known, self._hints, folder=self._folder / "logs", executor=self._executor,
            limit_bytes=self._log_limit_bytes, is_silent=lambda node: node in self._nodes.silent,
        )  # fmt: skip
        self._readiness = Readiness(
            self._known, self._logs, look=self._look, confirm=self._confirm, end=self._condemn,
            is_silent=lambda node: node in self._nodes.silent,
        )  # fmt: skip
        self._hindered, self._overdue = Hindered(self._known), Overdue(self._known)
        self._crowded = Crowded(self._known, open_nodes=self._machines.open_nodes)
        self._heartbeat = Heartbeat(self._jobs.items, self._moments, self._objects.renew)
        self._forwarder, self._commands = sockets.Forwarder(server.aside), sockets.Commands(server.aside)
        self._nodes = SilentNodes(self._machines.all, lost_after_s=self._site.lost_after_s)
        self._has_opened = True
        await self._begin()

    async def _begin(self) -> None:
        """Look once, and go on looking. A cluster that cannot answer now is asked again later; one that refuses us is told at once."""
        try:
            await self._machines.begin()
            await self._jobs.list()
            await self._pods.list()
        except Unreachable as error:
            logger.warning("%s; it is tried again", error)
        except ApiError as error:
            if not error.is_passing:
                raise told(error) from None
            logger.warning("the Kubernetes API server cannot answer now, and is asked again: %s", error)
        found_out = self._meter.find(self._server, self._machines)
        watches = [self._jobs.follow(), self._pods.follow(), self._machines.follow()]
        works = [*watches, *(events.follow() for events in self._events), self._keep_up(), found_out]
        self._tasks = [asyncio.get_running_loop().create_task(work, name="zoe kubernetes") for work in works]

    async def close(self) -> None:
        if not self._has_opened:
            return
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._readiness.close()
        await asyncio.gather(self._heartbeat.close(), self._ending.close(), self._letting.close())
        await self._logs.close()
        await self._forwarder.close()
        await self._prober.close()
        await self._server.close()
        self._deadlines.write()
        self._executor.shutdown(wait=False, cancel_futures=True)

    async def nodes(self) -> Sequence[Node]:
        return self._machines.now(pods=self._known.by_node(), crowded=self._crowded.nodes(time.monotonic()))

    async def inspect(self, requires: Requirement, client: Client, *, images: Sequence[str] = ()) -> Environment:
        """Nobody but the nodes sees the images: what is in them is taken on trust."""
        return Environment(python=places.PYTHON, java=places.JAVA)

    async def reserve(
        self,
        *,
        execution_id: str,
        owner: str,
        service: str,
        attempt: int,
        node: str,
        ports: Mapping[str, Port],
        framework_folder: str,
    ) -> Reserved:
        await self._objects.ensure(execution_id, owner, Bounds())
        host = manifests.host(self._site.of(owner), self._known.attempt(execution_id, service, attempt))
        return places.reserved(host, ports, framework_folder)

    async def launch(self, order: ServiceOrder, node: str) -> Mapping[str, Any]:
        attempt = manifests.attempt_of(order)
        host = manifests.host(self._site.of(order.owner), attempt)
        known = self._known.pods.get(attempt)
        refuse_stray(known, self._site.of(order.owner))
        if known is not None:
            return translate.handle(known, host)
        if (made := await self._objects.made_before(order)) is not None:
            self._pods.put(translate.slim(made))
            return translate.handle(made, host)
        if order.attempt > 1:
            self._objects.doubt(order.execution_id)
        owners = await self._objects.ensure(order.execution_id, order.owner, order.bounds)
        await self._objects.rebind(order.execution_id, order.bounds)
        failpoint("launch.owned")
        self._prober.remember(attempt, order.owner, order.image)
        await self._withdraw_older(attempt)
        pod = translate.slim(await self._objects.launch(order, self._machines.real(node), owners))
        self._pods.put(pod)
        await self._remove_older(attempt)
        return translate.handle(pod, host)

    async def stop(self, execution_id: str, service: str, attempt: int, *, grace_s: float) -> None:
        who = self._known.attempt(execution_id, service, attempt)
        self._refuse_when_blind()
        if who in self._known.pods:
            self._known.asked.add(who)
            await self._end(who, grace_s=grace_s)

    async def run(
        self,
        execution_id: str,
        service: str,
        attempt: int,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        timeout_s: float,
    ) -> int:
        pod = self._known.pods.get(self._known.attempt(execution_id, service, attempt))
        if pod is None or not translate.is_running(pod):
            raise Retryable(f"{service} of {execution_id} does not run")
        given = variables.exports(environment)
        words = prelude.beside_with(command, given)
        try:
            return await self._commands.run(names.shares_of(pod), path_of(pod), words, given=given, timeout_s=timeout_s)
        except ApiError as error:
            raise Retryable(f"{service} of {execution_id}: the command could not be run: {error}") from None
        except asyncio.TimeoutError:
            raise Retryable(f"{service} of {execution_id}: not done within {timeout_s:g} s") from None

    async def observe(self) -> Observation:
        self._refuse_when_blind()
        seen, there = self._known.observed(), self._objects.kept()
        expired = self._deadlines.over(there, time.time())
        kept = there.union(expired)
        if self._machines.is_pool:
            return Observation(seen, kept=kept, expired=expired)
        return Observation(seen, unreachable=self._nodes.silent, kept=kept, lost=self._nodes.lost, expired=expired)

    def changes(self) -> AsyncIterator[None]:
        return self._hints.all()

    async def bound(self, execution_id: str, bounds: Bounds) -> None:
        await self._objects.rebind(execution_id, bounds)

    async def clean(self, execution_id: str, *, keep_logs: bool) -> None:
        self._refuse_when_blind()
        pods = list(self._known.of(execution_id))
        self._known.asked.update(attempt for attempt, _ in pods)
        if keep_logs:
            await asyncio.gather(*(self._logs.begun(attempt) for attempt, _ in pods))
        await gather_patiently(self._objects.remove_pod(pod, grace_s=_CLEAN_GRACE_S) for _, pod in pods)
        failpoint("clean.finished")
        await self._objects.remove(execution_id)
        await self._until_gone(execution_id)
        await self._logs.forget(execution_id, keep_logs=keep_logs)
        self._known.forget(execution_id)
        self._deadlines.forget(execution_id)

    async def usage(self) -> Sequence[Usage]:
        living = {
            pod["metadata"]["name"]: (attempt, pod["spec"]["nodeName"])
            for attempt, pod in self._known.pods.items()
            if translate.is_running(pod)
        }
        return await self._meter.measure(living)

    async def logs(self, execution_id: str, service: str, *, tail: int | None, follow: bool) -> AsyncIterator[bytes]:
        try:
            async with contextlib.aclosing(self._logs.read(execution_id, service, tail=tail, follow=follow)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except ApiError as error:
            raise told(error) from None

    async def reach(self, execution_id: str, service: str, attempt: int, inside: Address) -> Address:
        pod = self._known.pods.get(self._known.attempt(execution_id, service, attempt))
        if pod is None or not pod["status"]["podIP"]:
            raise Retryable(f"{service} of {execution_id} has no address now")
        if self._reaching is Reaching.POD or (self._reaching is Reaching.AUTO and self._server.is_inside):
            self._prober.warn_when_shut_out()
            return Address(pod["status"]["podIP"], inside.ports)
        wanted = [name for name in translate.facts_of(pod).get("published", ()) if name in inside.ports]
        numbers = [inside.ports[name] for name in wanted]
        if (node := pod["spec"]["nodeName"]) in self._nodes.silent:
            raise Retryable(f"{service} of {execution_id} has no address now: its node {node} does not answer")
        local = await self._forwarder.ports(names.shares_of(pod), path_of(pod), pod["status"]["podIP"], numbers)
        return Address("127.0.0.1", {name: local[inside.ports[name]] for name in wanted})

    def _refuse_when_blind(self) -> None:
        problem = self._pods.problem or self._jobs.problem or self._machines.problem
        if problem:
            raise Unreachable(problem)

    def _is_closed(self, node: str) -> bool:
        return self._machines.is_closed(node)

    def _slim(self, pod: Object) -> Object | None:
        return translate.slim(pod) if self._objects.is_at_home(pod) else None

    def _on_pod(self, name: str, pod: Object | None) -> None:
        attempt = self._known.take(name, pod)
        if attempt is None:
            return
        self._readiness.notice(attempt)
        if pod is None:
            self._forwarder.shut(self._paths.pop(name, ""))
            self._logs.let_go(attempt)
            return
        self._paths[name] = path_of(pod)
        self._prober.notice(self._server, attempt, pod)
        if translate.has_ended(pod):
            self._logs.keep(attempt)

    def _on_parent(self, name: str, parent: Object | None) -> None:
        self._deadlines.hear(name, parent, time.time())
        self._moments.hear(name, parent)
        self._hints.give()

    async def _end(self, attempt: Attempt, *, grace_s: float) -> None:
        """Have it end; one that has ended stays until its successor comes, for its exit code."""
        pod = self._known.pods.get(attempt)
        if pod is None or translate.has_ended(pod):
            return
        await self._logs.begun(attempt)
        await self._objects.remove_pod(pod, grace_s=grace_s)

    async def _condemn(self, attempt: Attempt, reason: Reason) -> None:
        self._known.condemn(attempt, reason)
        await self._carry_out(attempt)

    async def _carry_out(self, attempt: Attempt) -> None:
        """End one that is condemned; what the cluster does not take now is tried again."""
        with contextlib.suppress(BackendError, Unreachable):
            await self._end(attempt, grace_s=_CLEAN_GRACE_S)

    async def _look(self, attempt: Attempt) -> None:
        """Take in what it is now, whatever the watch has told."""
        self._pods.put(translate.slim(await self._server.get(path_of(self._known.pods[attempt]))))

    async def _confirm(self, attempt: Attempt) -> None:
        """It was ready."""
        pod = await self._objects.mark(self._known.pods[attempt], annotations={names.READY: "yes"})
        self._pods.put(translate.slim(pod))

    def _older(self, attempt: Attempt) -> list[tuple[Attempt, Pod]]:
        found = self._known.of(attempt.execution_id, attempt.service)
        return [(older, pod) for older, pod in found if older.attempt < attempt.attempt]

    async def _withdraw_older(self, attempt: Attempt) -> None:
        """The name belongs to the new attempt only; one that runs on, where nobody can reach it, ends as soon as its node is heard of."""
        for older, pod in self._older(attempt):
            if not translate.has_ended(pod):
                self._known.asked.add(older)
                await self._withdraw(pod)

    async def _withdraw(self, pod: Pod) -> None:
        await self._objects.mark(pod, labels={names.PUBLISHED: "no"})
        await self._objects.remove_pod(pod, grace_s=_LOST_GRACE_S)

    async def _remove_older(self, attempt: Attempt) -> None:
        """Take away what earlier attempts left; their logs stay."""
        for older, pod in self._older(attempt):
            if translate.has_ended(pod):
                await asyncio.wait([self._logs.keep(older)], timeout=_COPY_LIMIT_S)
                await self._objects.remove_pod(pod, grace_s=1.0)
                await self._objects.remove_secret(pod)

    async def _until_gone(self, execution_id: str) -> None:
        """Pods of lost nodes go when their node comes back, or is removed."""
        end = time.monotonic() + _CLEAN_LIMIT_S
        while self._objects.has_kept(execution_id) or [
            a for a, _ in self._known.of(execution_id) if not self._known.is_given_up(a)
        ]:
            if time.monotonic() > end:
                raise Retryable(f"something of {execution_id} is still there", delay_s=5.0)
            await self._hints.next(1.0)

    async def _keep_up(self) -> None:
        while True:
            try:
                if self._has_judged:
                    await self._heartbeat.beat()  # who sees nothing lives all the same
                self._refuse_when_blind()
                await self._tick()
            except (BackendError, Unreachable) as error:
                logger.info("upkeep will be tried again: %s", error)
            except Exception:
                logger.exception("upkeep failed; a defect")
            await asyncio.sleep(TICK_S)

    async def _tick(self) -> None:
        self._deadlines.write()
        if not self._has_judged:
            self._has_judged = True
            for execution_id in self._heartbeat.silent():
                for attempt, _ in list(self._known.of(execution_id)):
                    self._known.condemn(attempt, Reason("expired", "ended: no Zoe was heard for too long"))
        await self._heartbeat.beat()
        for attempt, reason in self._hindered.overdue(time.monotonic()):
            self._known.condemn(attempt, reason)
        for attempt in self._known.condemned():
            self._ending.begin(str(attempt), partial(self._end, attempt, grace_s=_CLEAN_GRACE_S))
        await self._ending.settle()
        if self._machines.are_current and self._nodes.look(self._known.nodes(), time.monotonic()):
            self._hints.give()
        for attempt, reason in self._overdue.look(time.monotonic()):
            self._known.give_up(attempt, reason)
        await self._give_up_lost()

    async def _give_up_lost(self) -> None:
        """Let those go elsewhere that cannot be where they are."""
        for attempt, reason in (
            *homeless(self._known, self._machines.is_closed),
            *self._crowded.look(time.monotonic()),
        ):
            self._known.give_up(attempt, reason)
        for gone in self._known.given_up():
            self._letting.begin(gone["metadata"]["name"], partial(self._let_go, gone))
        for attempt, reason in stranded(self._known, self._nodes.lost) if self._machines.is_pool else ():
            pod = self._known.pods[attempt]
            self._letting.begin(pod["metadata"]["name"], partial(self._strand, attempt, pod, reason))
        await self._letting.settle()

    async def _let_go(self, pod: Pod) -> None:
        await self._withdraw(pod)
        await self._objects.remove_secret(pod)

    async def _strand(self, attempt: Attempt, pod: Pod, reason: Reason) -> None:
        await self._withdraw(pod)
        self._known.give_up(attempt, reason)
