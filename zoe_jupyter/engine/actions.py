"""Carries out effects on the backend, in order for each service, and brings the outcome back as events."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, NamedTuple

from zoe_jupyter.backends.base import Backend, Bounds, Unreachable
from zoe_jupyter.engine.rendering import Renderer
from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.lifecycle.counts import ALIVE
from zoe_jupyter.lifecycle.effects import Clean, Drain, Effect, Force, Launch, Stop
from zoe_jupyter.lifecycle.events import Event, LaunchFailed, ServiceDrained, ServiceLaunched, ServiceTroubled
from zoe_jupyter.model.errors import BackendError, Retryable, UserError
from zoe_jupyter.model.execution import UNTOLD, Execution, Reason, Service, ServiceState, State
from zoe_jupyter.model.units import format_duration
from zoe_jupyter.store.errors import StoreError
from zoe_jupyter.turns import Turns

logger = logging.getLogger(__name__)

LAUNCHES_AT_ONCE, LAUNCHES_OF_OWNER, LAUNCHES_ON_NODE = 32, 12, 24
"""A launch may take minutes, or hang: those of one owner, and those on one machine, leave turns to others."""
ORPHAN_GRACE_S = 5.0
AGAIN_S = 5.0
IN_VAIN_S = 1.0
"""After an action that could not be carried out, until a look brings it up again."""
CLEANED_S = 600.0
"""How long it is remembered that an execution was cleaned; longer than any look takes."""
LONG_S, FORGOTTEN_S = 30.0, 600.0
"""A launch that nobody answers for so long is told of; and is forgotten when it is not tried any more."""
Apply = Callable[..., Awaitable[Execution | None]]
Find = Callable[[str], Execution | None]
Key = tuple[str, str]


class Wait(NamedTuple):
    """Of a launch that nobody answers; in loop time."""

    since: float
    tried_at: float
    tell_after_s: float


class Actions:
    """What is being done now. An effect of a service waits for the earlier ones of the same service."""

    def __init__(
        self,
        backend: Backend,
        renderer: Renderer,
        *,
        find: Find,
        apply: Apply,
        bounds: Callable[[Execution], Bounds],
        prove: Callable[[], Awaitable[None]],
        look: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._renderer = renderer
        self._find = find
        self._apply = apply
        self._bounds = bounds
        self._prove = prove
        self._look = look
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        """The newest of each key, which waits for those before it."""
        self._under_way: set[asyncio.Task[None]] = set()
        self._preparing: dict[Key, asyncio.Task[Any]] = {}
        """Launches that still wait for what they need: nothing is lost with them."""
        self._in_vain: set[Key] = set()
        """What could not be carried out this time."""
        self._unlaunched: dict[tuple[str, str, int], Wait] = {}
        """Launches that the backend did not answer so far."""
        self._launches = Turns(LAUNCHES_AT_ONCE, LAUNCHES_OF_OWNER, LAUNCHES_ON_NODE)
        self._confirmed: dict[str, dict[tuple[str, int], float]] = {}
        self._cleaned: dict[str, float] = {}
        self._asked: dict[Key, float] = {}
        """Orphans that were asked to end, and when."""

    def carry_out(self, execution: Execution, effects: Sequence[Effect]) -> None:
        """Begin each effect; returns at once."""
        for effect in effects:
            if isinstance(effect, Launch):
                self._begin((execution.id, effect.service), partial(self._launch, execution.id, effect))
            elif isinstance(effect, Stop):
                key = (execution.id, effect.service)
                self._begin(key, partial(self._stop, key, effect))
            elif isinstance(effect, Drain):
                self._begin((execution.id, effect.service), partial(self._drain, execution.id, effect))
            elif isinstance(effect, Force):
                self._begin((execution.id, ""), partial(self._force, execution.id, effect))
            elif isinstance(effect, Clean):
                self._begin((execution.id, ""), partial(self._clean, execution.id))

    def stop_orphan(self, execution_id: str, service: str, attempt: int) -> None:
        """Begin to end what nobody wants any more, unless it was just asked to. Its successor waits for an image, perhaps: neither waits for the other."""
        key, now = (execution_id, f"{service}#{attempt}"), asyncio.get_running_loop().time()
        self._asked = {asked: at for asked, at in self._asked.items() if now - at < AGAIN_S}
        if key not in self._tasks and key not in self._asked:
            logger.warning("execution %s: stopping orphan %s#%s", execution_id, service, attempt)
            self._begin(key, partial(self._stop_orphan, key, Stop(service, attempt, ORPHAN_GRACE_S)))

    def clean_remnant(self, execution_id: str) -> None:
        """Begin to remove what is left of an execution that does not live."""
        self._begin((execution_id, ""), partial(self._clean, execution_id))

    async def settle(self, execution_id: str) -> None:
        """Return when nothing is being done to this execution any more."""
        while under_way := [task for key, task in self._tasks.items() if key[0] == execution_id]:
            await asyncio.wait(under_way)

    def is_busy(self, execution_id: str, service: str) -> bool:
        """Whether something is being done to this service now."""
        return (execution_id, service) in self._tasks

    def was_confirmed_after(self, execution_id: str, service: str, attempt: int, moment: float) -> bool:
        """Whether its launch was confirmed after ``moment`` (loop time), so that an older look cannot have seen it."""
        return self._confirmed.get(execution_id, {}).get((service, attempt), -1.0) >= moment

    def was_cleaned_after(self, execution_id: str, moment: float) -> bool:
        """Whether it was cleaned after ``moment`` (loop time), so that an older look may have seen what is gone now.

        Also for a while after a cleaning that failed, so that what cannot be cleaned does not keep us busy.
        """
        return self._cleaned.get(execution_id, -1.0) >= moment

    async def close(self) -> None:
        tasks = list(self._under_way)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, key: Key, work: Callable[[], Awaitable[None]]) -> None:
        before = self._tasks.get(key)
        if (preparing := self._preparing.get(key)) is not None:
            preparing.cancel()
        task = asyncio.get_running_loop().create_task(self._after(before, work), name=f"zoe {key[0]} {key[1]}")
        self._tasks[key] = task
        self._under_way.add(task)
        task.add_done_callback(lambda done: self._done(key, done))

    async def _after(self, before: asyncio.Task[None] | None, work: Callable[[], Awaitable[None]]) -> None:
        if before is not None:
            await asyncio.wait([before])
        await work()

    def _done(self, key: Key, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if self._tasks.get(key) is task:
            del self._tasks[key]
        if not task.cancelled() and task.exception() is not None:
            logger.error("action on %s %s failed", *key, exc_info=task.exception())
        if key in self._in_vain:
            self._in_vain.discard(key)
            asyncio.get_running_loop().call_later(IN_VAIN_S, self._look)
        else:
            self._look()

    def _wanted(
        self, execution_id: str, service: str, attempt: int, state: ServiceState
    ) -> tuple[Execution, Service] | None:
        execution = self._find(execution_id)
        found = execution.services.get(service) if execution else None
        if execution is None or found is None or found.attempt != attempt or found.state is not state:
            return None
        return execution, found

    async def _launch(self, execution_id: str, effect: Launch) -> None:
        if of_the_whole := self._tasks.get((execution_id, "")):  # such as ending it by force, which knows no attempts
            await asyncio.wait([of_the_whole])
        event = await self._try_launch(execution_id, effect)
        if event is not None:
            await self._apply(execution_id, event)

    async def _try_launch(self, execution_id: str, effect: Launch) -> Event | None:
        service, attempt = effect.service, effect.attempt
        try:
            async with AsyncExitStack() as stack:
                await self._prepare(execution_id, effect, stack)
                return await self._start(execution_id, effect)
        except Unreachable as error:
            logger.warning("execution %s: launch of %s waits: backend unreachable: %s", execution_id, service, error)
            self._in_vain.add((execution_id, service))
            return self._told_in_vain(execution_id, effect, error)
        except Retryable as error:
            reason = _reason(error)
            return LaunchFailed(service, attempt, reason, retry_in_s=error.delay_s, is_blameless=error.is_blameless)
        except (BackendError, UserError) as error:
            return LaunchFailed(service, attempt, _reason(error))
        except Exception as error:
            logger.exception("execution %s: launch of %s failed; a defect", execution_id, service)
            return LaunchFailed(service, attempt, _defect(error))

    def _told_in_vain(self, execution_id: str, effect: Launch, error: Unreachable) -> Event | None:
        """That it could not be launched for long, and why; told less and less often, since it is tried each second."""
        key, now = (execution_id, effect.service, effect.attempt), asyncio.get_running_loop().time()
        self._unlaunched = {each: wait for each, wait in self._unlaunched.items() if now - wait.tried_at < FORGOTTEN_S}
        wait = self._unlaunched.get(key, Wait(now, now, LONG_S))
        waited_s = now - wait.since
        is_told = waited_s >= wait.tell_after_s
        self._unlaunched[key] = Wait(wait.since, now, 2 * waited_s if is_told else wait.tell_after_s)
        if not is_told:
            return None
        text = f"it could not be launched for {format_duration(round(waited_s))}, and is tried again: {error}"
        return ServiceTroubled(effect.service, effect.attempt, Reason(UNTOLD, text, {"service": effect.service}))

    async def _prepare(self, execution_id: str, effect: Launch, stack: AsyncExitStack) -> None:
        """Wait for what may take long, at nobody else's cost, and then for a turn, which the stack holds; the next effect of the service ends that."""
        wanted = self._wanted(execution_id, effect.service, effect.attempt, ServiceState.STARTING)
        if wanted is None or (task := asyncio.current_task()) is None:
            return
        execution, service = wanted
        image = execution.application.process(service.process).image
        self._preparing[execution_id, service.name] = task
        try:
            await self._backend.prepare(execution_id, service.name, service.attempt, image=image, node=service.node)
            await stack.enter_async_context(self._launches.of(execution.owner, service.node))
        finally:
            self._preparing.pop((execution_id, service.name), None)

    async def _start(self, execution_id: str, effect: Launch) -> Event | None:
        wanted = self._wanted(execution_id, effect.service, effect.attempt, ServiceState.STARTING)
        if wanted is None or not await self._may_act():
            return None
        execution, service = wanted
        failpoint("launch.before")
        order = await self._renderer.order(execution, service, self._bounds(execution))
        failpoint("launch.reserved")
        handle = await self._backend.launch(order, service.node)
        failpoint("launch.after")
        confirmed = self._confirmed.setdefault(execution.id, {})
        confirmed[service.name, service.attempt] = asyncio.get_running_loop().time()
        return ServiceLaunched(
            service.name, service.attempt, handle, host=str(handle.get("host", "127.0.0.1")), ports=order.port_numbers
        )

    async def _may_act(self) -> bool:
        """Whether this core is still the one that acts; when that cannot be seen now, the next look brings it up again."""
        try:
            await self._prove()
        except StoreError as error:
            logger.warning("nothing is done before it is clear that this core may: %s", error)
            return False
        return True

    async def _stop_orphan(self, key: Key, effect: Stop) -> None:
        await self._stop(key, effect)
        if key not in self._in_vain:
            self._asked[key] = asyncio.get_running_loop().time()

    async def _stop(self, key: Key, effect: Stop) -> None:
        """``key`` is that of the task."""
        if not await self._may_act():
            return
        execution_id = key[0]
        failpoint("stop.before")
        try:
            await self._backend.stop(execution_id, effect.service, effect.attempt, grace_s=effect.grace_s)
        except (Unreachable, BackendError) as error:
            logger.warning("execution %s: stop of %s will be tried again: %s", execution_id, effect.service, error)
            self._in_vain.add(key)
        except Exception:
            logger.exception("execution %s: stop of %s failed; a defect", execution_id, effect.service)
            await asyncio.sleep(AGAIN_S)
        failpoint("stop.after")

    async def _force(self, execution_id: str, effect: Force) -> None:
        if not await self._may_act() or not self._is_still_meant(execution_id, effect):
            return
        failpoint("force.before")
        try:
            await self._backend.force(execution_id)
        except (Unreachable, BackendError) as error:
            logger.warning("execution %s: it will be tried again to end it: %s", execution_id, error)
            self._in_vain.add((execution_id, ""))
        failpoint("force.after")

    def _is_still_meant(self, execution_id: str, effect: Force) -> bool:
        """Whether nothing else lives of it by now than what was to be ended."""
        execution = self._find(execution_id)
        if execution is None or execution.state is not State.STOPPING:
            return False
        alive = (service for service in execution.services.values() if service.state in ALIVE)
        return all(effect.attempts.get(service.name) == service.attempt for service in alive)

    async def _drain(self, execution_id: str, effect: Drain) -> None:
        wanted = self._wanted(execution_id, effect.service, effect.attempt, ServiceState.DRAINING)
        if wanted is None or not await self._may_act():
            return
        try:
            failpoint("drain.before")
            command, environment = await self._renderer.drain(*wanted)
            code = await self._backend.run(
                execution_id,
                effect.service,
                effect.attempt,
                command,
                environment=environment,
                timeout_s=effect.timeout_s,
            )
            if code != 0:
                logger.warning("execution %s: drain of %s exited with %s", execution_id, effect.service, code)
        except (Unreachable, BackendError, UserError) as error:
            logger.warning("execution %s: drain of %s failed: %s", execution_id, effect.service, error)
        failpoint("drain.after")
        await self._apply(execution_id, ServiceDrained(effect.service, effect.attempt))

    async def _clean(self, execution_id: str) -> None:
        if not await self._may_act():
            return
        failpoint("clean.before")
        try:
            await self._backend.clean(execution_id, keep_logs=True)
            self._leave_alone(execution_id, 0.0)
        except (Unreachable, BackendError) as error:
            logger.warning("execution %s: cleaning will be tried again: %s", execution_id, error)
            self._leave_alone(execution_id, AGAIN_S)
        except Exception:
            logger.exception("execution %s: cleaning failed; a defect", execution_id)
            self._leave_alone(execution_id, AGAIN_S)
        failpoint("clean.after")
        self._confirmed.pop(execution_id, None)

    def _leave_alone(self, execution_id: str, for_s: float) -> None:
        now = asyncio.get_running_loop().time()
        self._cleaned.pop(execution_id, None)
        while self._cleaned and now - self._cleaned[oldest := next(iter(self._cleaned))] >= CLEANED_S:
            del self._cleaned[oldest]
        self._cleaned[execution_id] = now + for_s


def _defect(error: Exception) -> Reason:
    """Told once, as a failure: an execution that stayed in starting would be launched again without end."""
    return Reason(
        "defect", f"a defect of Zoe or of its backend ({type(error).__name__}); the log of its server tells more"
    )


def _reason(error: BackendError | UserError) -> Reason:
    return Reason(error.reason, error.message, error.details)
