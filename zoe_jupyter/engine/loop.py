"""The one loop: looks at the backend, lets time pass, asks the scheduler, and hands what follows to the ledger.

Five tasks, each with one duty and a wake-up of its own; nothing is polled for correctness, slow rounds only catch what hints missed.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable

from zoe_jupyter.backends.base import Backend, Bounds, Unreachable
from zoe_jupyter.engine import views
from zoe_jupyter.engine.actions import Actions
from zoe_jupyter.engine.clock import Clock
from zoe_jupyter.engine.cores import Cores
from zoe_jupyter.engine.draining import drained
from zoe_jupyter.engine.ledger import Happened, Kept, Ledger
from zoe_jupyter.engine.nodes import Nodes
from zoe_jupyter.engine.observing import Findings, compare
from zoe_jupyter.engine.outlook import Outlook
from zoe_jupyter.engine.quarantine import Quarantine
from zoe_jupyter.engine.telling import Teller
from zoe_jupyter.engine.timetable import Timetable
from zoe_jupyter.engine.waiting import wait_set
from zoe_jupyter.failpoints import failpoint
from zoe_jupyter.lifecycle.events import Accepted, TimePassed
from zoe_jupyter.model.errors import BackendError, ZoeError
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.scheduler.decide import Memo, decide
from zoe_jupyter.scheduler.moments import next_moment
from zoe_jupyter.scheduler.plan import Plan
from zoe_jupyter.scheduler.policies.base import Policy
from zoe_jupyter.store.errors import Fenced, StoreError

logger = logging.getLogger(__name__)

LOOK_S = 15.0
RETRY_S = 2.0
TOLD_AGAIN_S = 5.0
"""Whose bounds were refused is not asked for again before; decisions may come many in a second."""
TELL_S = 1.0
"""So long a decision waits until all are told their bounds; who takes longer is told beside what comes next."""
TOLD_AT_ONCE = 32
MISSED_S = 0.5
"""Until the next look when one did not see what should be there: several have to agree that it is gone."""
CALM_S = 30.0
"""A decision is made so often although nothing has happened."""
SUBSCRIBED_S = 0.2
"""After so long a new subscription to hints stands; what happened before it is looked for."""
LONGEST_SLEEP_S = 60.0
LONG_WORK_S = 0.01
WHY_SHOWN = 500
"""Characters at most of why the backend does not answer."""
REST, LONGEST_REST_S = 1.5, 2.0
"""After a decision about very many executions, or a look at them, the next one waits this many times as long, so that requests are served
meanwhile and what happens in a burst is dealt with at once."""
DEFECT = Reason(
    "decision_failed",
    "it could not be decided who starts: a defect of Zoe, which goes on trying; its log says more",
    {},
)


class Loop:
    """Keeps status walking toward target. ``on_fenced`` is called when another core has taken over."""

    def __init__(
        self,
        *,
        backend: Backend,
        nodes: Nodes,
        ledger: Ledger,
        actions: Actions,
        policy: Policy,
        outlook: Outlook,
        clock: Clock,
        notice_time: Callable[[], Awaitable[None]],
        bounds: Callable[..., Bounds],
        on_fenced: Callable[[], None],
    ) -> None:
        self._backend = backend
        self._nodes = nodes
        self._ledger = ledger
        self._actions = actions
        self._policy = policy
        self._outlook = outlook
        self._clock = clock
        self._notice_time = notice_time
        self._bounds = bounds
        self._on_fenced = on_fenced
        self._look_wanted = asyncio.Event()
        self._decision_wanted = asyncio.Event()
        self._timer_wanted = asyncio.Event()
        self._told_bounds: dict[str, Bounds] = {}
        self._telling: dict[str, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(TOLD_AT_ONCE)
        self._refused_at: dict[str, float] = {}
        self._cores = Cores(backend, ledger.executions)
        self._teller = Teller(ledger, self._decision_wanted.set)
        self._tasks: list[asyncio.Task[None]] = []
        self._has_silent = False
        self._before: Findings | None = None
        self._memo = Memo()
        self._next_at: float | None = None
        self._timetable = Timetable(ledger.executions)
        self._unbound = ledger.executions.changes()
        self._decision_s = 0.0
        self.quarantine = Quarantine(ledger)
        self.is_reachable = True
        self.silence = ""
        """Why the backend does not answer; empty while it does."""
        self.plan = Plan()
        self.trouble: Reason | None = None
        """Why nothing can be decided."""

    async def start(self) -> None:
        """See what runs, repair what an earlier core left half done, and go on."""
        await self._read_nodes()
        await self._try("first look", self._look)
        for name, work in (
            ("look", self._looking),
            ("hints", self._hinting),
            ("decide", self._deciding),
            ("cores", self._sharing),
            ("time", self._timing),
        ):
            self._tasks.append(asyncio.get_running_loop().create_task(work(), name=f"zoe {name}"))
        self._decision_wanted.set()

    async def close(self) -> None:
        tasks = [*self._tasks, *self._telling.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def on_change(self) -> None:
        """Something was stored: room, timers and bounds may have changed."""
        self._decision_wanted.set()
        self._timer_wanted.set()

    def look_soon(self) -> None:
        self._look_wanted.set()

    async def _looking(self) -> None:
        while True:
            is_calm = self.is_reachable and not self._has_silent
            is_missed = self._before is not None and bool(self._before.missing)
            await wait_set(self._look_wanted, MISSED_S if is_missed else LOOK_S if is_calm else RETRY_S)
            self._look_wanted.clear()
            began = self._clock.worked()
            await self._try("look", self._look)
            await self._rest_after(self._clock.worked() - began)

    async def _rest_after(self, work_s: float) -> None:
        """What comes meanwhile is one look, and one decision. Work is what keeps this thread busy; waiting for others is none."""
        if work_s > LONG_WORK_S:
            await asyncio.sleep(min(LONGEST_REST_S, REST * work_s))

    async def _look(self) -> None:
        looked_at = asyncio.get_running_loop().time()
        try:
            observation = await self._backend.observe()
        except Unreachable as error:
            self._set_reachable(False, str(error))
            return
        self._set_reachable(True, "")
        await self._read_nodes()
        self._has_silent = bool(observation.unreachable)
        findings = compare(
            self._ledger.executions,
            observation,
            self._actions,
            looked_at=looked_at,
            before=self._before,
        )
        self._before = findings
        if findings.events:
            await self._ledger.apply_all(findings.events)
        await self._repair(await self.quarantine.sift(findings))

    async def _repair(self, findings: Findings) -> None:
        for execution_id, effects in findings.again.items():
            execution = self._ledger.executions.get(execution_id)
            if execution is not None:
                self._actions.carry_out(execution, effects)
        if findings.orphans or findings.remnants:
            await self._ledger.prove()
        for execution_id, service, attempt in findings.orphans:
            self._actions.stop_orphan(execution_id, service, attempt)
        for execution_id in findings.remnants - set(self._ledger.executions):
            logger.warning("execution %s: cleaning what is left of it", execution_id)
            self._actions.clean_remnant(execution_id)

    def _set_reachable(self, is_reachable: bool, why: str) -> None:
        if is_reachable != self.is_reachable:
            logger.warning(
                "backend is reachable again" if is_reachable else "backend is unreachable: %s",
                *(() if is_reachable else (why,)),
            )
            self.is_reachable = is_reachable
            self._decision_wanted.set()
        self.silence = " ".join(why.split())[:WHY_SHOWN]

    async def _hinting(self) -> None:
        while True:
            asyncio.get_running_loop().call_later(SUBSCRIBED_S, self._look_wanted.set)
            try:
                async for _ in self._backend.changes():
                    self._look_wanted.set()
            except (Unreachable, BackendError, OSError) as error:
                logger.info("hints of the backend ended: %s", error)
            await asyncio.sleep(RETRY_S)

    async def _deciding(self) -> None:
        while True:
            await wait_set(self._decision_wanted, self._rest_s())
            self._decision_wanted.clear()
            await self._try("decide", self.decide_now)
            await self._rest_after(self._decision_s)

    def _rest_s(self) -> float:
        """Until something may start without anything having happened."""
        if self.trouble is not None:
            return RETRY_S
        now = self._clock()
        refused = (at for execution_id, at in self._refused_at.items() if execution_id not in self._telling)
        moments = [now + CALM_S, *(at + TOLD_AGAIN_S for at in refused)]
        if self._next_at is not None:
            moments.append(self._next_at)
        return max(0.0, min(moments) - now)

    async def decide_now(self) -> None:
        """Take in what was submitted, ask the scheduler, and let its plan happen; in one turn of the ledger."""
        await self._ledger.decide(self._plan_events)
        await self._teller.tell(self.plan)
        await self._tell_bounds()

    async def _plan_events(self) -> tuple[Happened, Kept]:
        began, now = asyncio.get_running_loop().time(), self._clock()
        snapshot = self._outlook.snapshot(
            self._nodes.at(now),
            quotas=self._ledger.settled.quotas,
            is_reachable=self.is_reachable,
            silence=self.silence,
            now=now,
        )
        taken_in = self._outlook.submitted
        self.trouble = DEFECT
        self.plan = decide(snapshot, self._policy, now, self._memo)
        self._cores.hear(snapshot)
        self._next_at = next_moment(snapshot, now)
        kept = self._outlook.carry(snapshot, self.plan, now)
        self._decision_s = asyncio.get_running_loop().time() - began
        happened = views.happened(self.plan, grow_after=now + self._outlook.rules.protection_s)
        happened |= drained(self._ledger.executions.values(), self._nodes.drained(now))
        self.trouble = None
        return {key: [Accepted()] for key in taken_in if key not in happened} | {
            key: [*([Accepted()] if key in taken_in else ()), *events] for key, events in happened.items()
        }, kept

    async def _sharing(self) -> None:
        while True:
            await self._cores.wanted.wait()
            self._cores.wanted.clear()
            await self._try("sharing cores", self._cores.share)

    async def _tell_bounds(self) -> None:
        """To those that have changed, side by side; who could not be told is told some seconds later, and holds up no others."""
        now, later, begun = self._clock(), list[str](), list[asyncio.Task[None]]()
        for execution_id in self._unbound.take():
            bounds = self._untold(execution_id)
            if bounds is None:
                self._refused_at.pop(execution_id, None)
            elif execution_id in self._telling or self._was_refused(execution_id, now):
                later.append(execution_id)
            else:
                work = self._tell_bound(execution_id, bounds)
                task = asyncio.get_running_loop().create_task(work, name=f"zoe bounds {execution_id}")
                self._telling[execution_id] = task
                begun.append(task)
        self._unbound.put_back(later)
        if begun:
            _, slow = await asyncio.wait(begun, timeout=TELL_S)
            for task in slow:
                task.add_done_callback(lambda _: self._decision_wanted.set())

    def _was_refused(self, execution_id: str, now: float) -> bool:
        return abs(now - self._refused_at.get(execution_id, -math.inf)) < TOLD_AGAIN_S

    def _untold(self, execution_id: str) -> Bounds | None:
        """What its backend does not know yet."""
        execution = self._ledger.executions.get(execution_id)
        if execution is None:
            self._told_bounds.pop(execution_id, None)
            return None
        if not any(service.handle for service in execution.services.values()):
            return None
        bounds = self._bounds(execution)
        return None if self._told_bounds.get(execution_id) == bounds else bounds

    async def _tell_bound(self, execution_id: str, bounds: Bounds) -> None:
        is_news = execution_id not in self._refused_at
        try:
            async with self._turns:
                failpoint("bound.before")
                await self._backend.bound(execution_id, bounds)
                failpoint("bound.after")
        except (BackendError, Unreachable) as error:
            if is_news and self.is_reachable:
                logger.warning("execution %s: its bounds will be told again: %s", execution_id, error)
            self._refuse(execution_id)
        except Exception:
            logger.exception("execution %s: its bounds cannot be told; a defect", execution_id)
            self._refuse(execution_id)
        else:
            if execution_id in self._ledger.executions:
                self._told_bounds[execution_id] = bounds
            self._refused_at.pop(execution_id, None)
        finally:
            del self._telling[execution_id]

    def _refuse(self, execution_id: str) -> None:
        self._refused_at[execution_id] = self._clock()
        self._unbound.put_back((execution_id,))

    async def _timing(self) -> None:
        while True:
            due = self._timetable.next()
            pause_s = LONGEST_SLEEP_S if due is None else max(0.0, min(LONGEST_SLEEP_S, due - self._clock()))
            if pause_s:
                await wait_set(self._timer_wanted, pause_s)
                self._timer_wanted.clear()
            await self._try("time", self.let_time_pass)

    async def let_time_pass(self) -> None:
        """Let happen what is due; a small pause when nothing came of it, so that a stuck deadline cannot spin."""
        await self._notice_time()
        if due := self._timetable.due(self._clock()):
            before = {key: self._ledger.executions[key] for key in due}
            await self._ledger.apply_all({key: [TimePassed()] for key in due})
            if all(self._ledger.executions.get(key) == execution for key, execution in before.items()):
                await asyncio.sleep(0.5)

    async def _read_nodes(self) -> None:
        try:
            if await self._nodes.read():
                self._decision_wanted.set()
        except (Unreachable, BackendError) as error:
            self._set_reachable(False, str(error))

    async def _try(self, what: str, work: Callable[[], Awaitable[None]]) -> None:
        """The border of the loop: log, and go on later; a core that another one has replaced stops acting."""
        try:
            await work()
        except Fenced:
            logger.error("another core has taken over this store; this one stops acting")
            self._on_fenced()
        except (StoreError, BackendError, Unreachable) as error:
            logger.warning("%s will be tried again: %s", what, error)
            await asyncio.sleep(RETRY_S)
            self._look_wanted.set()
        except ZoeError:
            logger.exception("%s failed", what)
            await asyncio.sleep(RETRY_S)
        except Exception:
            logger.exception("%s failed; a defect", what)
            await asyncio.sleep(RETRY_S)
