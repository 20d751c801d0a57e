"""What follows when a service ends that was not told to: a job's end, another try, one worker less, or the end of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from zoe_jupyter.lifecycle import counts, titles
from zoe_jupyter.lifecycle.advance import advance
from zoe_jupyter.lifecycle.draft import Draft
from zoe_jupyter.lifecycle.events import LaunchFailed, ServiceExited
from zoe_jupyter.lifecycle.stopping import stop, take_back
from zoe_jupyter.model.application import RestartWhen
from zoe_jupyter.model.errors import Busy
from zoe_jupyter.model.execution import Outcome, Reason, Service, ServiceState
from zoe_jupyter.model.units import format_duration

LONGEST_DELAY_S = 60.0
STEADY_S = 600.0
"""Ready for so long, a service's earlier failures are forgotten."""
SETTLED_S = 60.0
"""Ready for so long and then lost, a service is placed anew at once; sooner, it waits its delay, so that nothing spins."""
LEAST_LAUNCH_TRIES = 3
LONGEST_BUSY_S = 30.0
"""Between two tries where the backend is busy, or others have what is wanted."""
START_REFUSALS, ALL_REFUSALS = 5, 25
"""So often a start is tried again that way before it gives its room to others, as an elastic service does; and so often one that cannot begin anew."""
GROW_AGAIN_S = 300.0
"""So long others that wait may have the room that the backend would not fill."""
START_TRIES = 5
"""So often in a row a whole start may fail before the execution does."""
NEVER_THERE = ("command_not_found", "image_missing")
"""Codes of reasons why trying again would fail in the same way."""
START_DELAY_S, LONGEST_START_DELAY_S = 30.0, 600.0
"""Before the next whole start: doubled each time."""


def exited_unexpectedly(draft: Draft, service: Service, event: ServiceExited) -> None:
    """Apply the job's end or the restart policy."""
    application = draft.execution.application
    if event.exit_code == 0 and service.process == application.ends_with:
        _finished(draft, service)
    elif event.reason is not None and event.reason.code == "expired":
        _expired(draft, service, event.exit_code, event.reason)
    elif _is_displaced(draft, service, event):
        _displaced(draft, service, event)
    elif _is_start_too_slow(draft, service, event) and not _runs_only_once(draft):
        _start_failed(draft, service, event.exit_code, _why_exited(draft, service, event))
    elif _may_try_again(draft, service, event):
        _try_again_later(draft, service, event)
    else:
        _given_up(draft, service, event.exit_code, _why_exited(draft, service, event))


def launch_failed_unexpectedly(draft: Draft, service: Service, event: LaunchFailed) -> None:
    """Try again when that makes sense; a launch may fail a few times even where a program may not."""
    if event.retry_in_s is not None and event.reason.code == Busy.reason:
        _ask_again_later(draft, service, event.reason, event.retry_in_s)
        return
    tries = max(draft.process_of(service).restart.attempts, LEAST_LAUNCH_TRIES)
    if event.retry_in_s is not None and (event.is_blameless or service.failures < tries):
        if event.is_blameless:
            _wait_for_others(draft, service, event.reason, event.retry_in_s)
        else:
            reason = replace(event.reason, numbers={**event.reason.numbers, "retry_in_s": event.retry_in_s})
            _wait_for_next_try(draft, service, failures=service.failures + 1, delay_s=event.retry_in_s, reason=reason)
        return
    reason = _why_not_begun(draft, service, event.reason)
    if event.retry_in_s is not None and _is_of_start(draft, service) and not _runs_only_once(draft):
        _start_failed(draft, service, None, reason)
    else:
        _given_up(draft, service, None, reason)


def _wait_for_others(draft: Draft, service: Service, reason: Reason, delay_s: float) -> None:
    """After 1, 2, 4, ... times the delay while it is the same that is lacking, which is told once: what has it may have it for days."""
    before = _refusals(service, reason)
    delay_s = max(delay_s, min(LONGEST_BUSY_S, delay_s * 2.0 ** min(before, 30)))
    told = replace(reason, numbers={**reason.numbers, "refusals": before + 1, "retry_in_s": delay_s})
    if before:
        _try_next(draft, service, failures=service.failures, delay_s=delay_s, reason=told)
    else:
        _wait_for_next_try(draft, service, failures=service.failures, delay_s=delay_s, reason=told)


def _refusals(service: Service, reason: Reason) -> int:
    """How often in a row it could not be launched for that."""
    is_same = service.reason is not None and service.reason.code == reason.code
    return int(service.reason.numbers.get("refusals", 0)) if service.reason and is_same else 0


def _ask_again_later(draft: Draft, service: Service, reason: Reason, delay_s: float) -> None:
    """After 1, 2, 4, ... times the delay. What runs waits as long as that takes; a start gives its room back, and counts as failed."""
    before = _refusals(service, reason)
    is_of_start, may_begin_anew = _is_of_start(draft, service), not _runs_only_once(draft, besides=service)
    if before >= START_REFUSALS and is_of_start and may_begin_anew:
        _start_failed(draft, service, None, _why_not_begun(draft, service, reason))
        return
    if before >= ALL_REFUSALS and is_of_start:
        _given_up(draft, service, None, _why_not_begun(draft, service, reason))
        return
    if before >= START_REFUSALS and not service.is_core:
        draft.record_service("exited", service, reason=reason)
        draft.remove(service)
        draft.change(grow_after=draft.now + GROW_AGAIN_S)
        advance(draft)
        return
    delay_s = max(delay_s, min(LONGEST_BUSY_S, delay_s * 2.0 ** min(before, 30)))
    numbers = {**reason.numbers, "refusals": before + 1, "retry_in_s": delay_s}
    failures, reason = service.failures, replace(reason, numbers=numbers)
    _wait_for_next_try(draft, service, failures=failures, delay_s=delay_s, reason=reason)


def _finished(draft: Draft, service: Service) -> None:
    """A task of a job ended well. The job has succeeded when all of its core tasks have."""
    ended = _end(draft, service, 0, None)
    if not service.is_core:
        _less(draft, ended)
        advance(draft)
    elif counts.wanted_core(draft.execution, draft.process_of(service), draft.services) == 0:
        stop(draft, Outcome.SUCCEEDED, None)
    else:
        advance(draft)


def _expired(draft: Draft, service: Service, exit_code: int | None, reason: Reason) -> None:
    """Its backend kept the execution's bounds while no core was heard from: that is the end of all of it."""
    _end(draft, service, exit_code, reason)
    stop(draft, Outcome.EXPIRED, reason)


def _is_displaced(draft: Draft, service: Service, event: ServiceExited) -> bool:
    is_lost = event.is_blameless and event.reason is not None and event.reason.code == "lost"
    is_settled = service.ready_at is not None and draft.now - service.ready_at >= SETTLED_S
    is_machine_lost = event.reason is not None and "node" in event.reason.numbers
    may_run_again = _policy(draft, service) is not RestartWhen.NEVER or (is_machine_lost and service.ready_at is None)
    return is_lost and (is_settled or is_machine_lost) and may_run_again


def _displaced(draft: Draft, service: Service, event: ServiceExited) -> None:
    """Its machine may be gone: give the place back; the scheduler finds another for what is still wanted."""
    draft.record_service("exited", service, reason=event.reason, exit_code=event.exit_code)
    draft.remove(service)
    advance(draft)


def _is_of_start(draft: Draft, service: Service) -> bool:
    """Whether the execution's start waits for it: what was up in this try has work that a new start would lose."""
    return service.is_core and draft.execution.up_at is None


def _is_start_too_slow(draft: Draft, service: Service, event: ServiceExited) -> bool:
    return event.reason is not None and event.reason.code == "not_ready" and _is_of_start(draft, service)


def _runs_only_once(draft: Draft, *, besides: Service | None = None) -> bool:
    """Whether a program of this start was started that must not be started again; ``besides`` is known not to have been."""
    return any(
        _policy(draft, service) is RestartWhen.NEVER and service.state is not ServiceState.WAITING
        for service in draft.services
        if service.is_core and service is not besides
    )


def _start_failed(draft: Draft, service: Service, exit_code: int | None, reason: Reason) -> None:
    """Do not hold the machines with a start that comes to nothing: give all room back, and try it all again later."""
    failed = draft.execution.failed_starts + 1
    if failed >= START_TRIES:
        reason = replace(reason, text=f"{reason.text}; {failed} starts in a row have failed")
        _given_up(draft, service, exit_code, reason)
        return
    delay_s = min(LONGEST_START_DELAY_S, START_DELAY_S * 2.0 ** (failed - 1))
    _end(draft, service, exit_code, reason)
    draft.change(failed_starts=failed, not_before=draft.now + delay_s)
    text = f"start {failed} of {START_TRIES} failed: {reason.text}; the next is tried in {format_duration(delay_s)}"
    numbers = {**reason.numbers, "failed_starts": failed, "most": START_TRIES, "retry_in_s": delay_s}
    take_back(draft, Reason("start_failed", text, numbers))


def _may_try_again(draft: Draft, service: Service, event: ServiceExited) -> bool:
    """What was not the program's fault is always tried again, but a program that must run only once is not, once it was ready."""
    policy = _policy(draft, service)
    if event.reason is not None and event.reason.code in NEVER_THERE:
        return False
    if event.is_blameless:
        return service.ready_at is None or policy is not RestartWhen.NEVER
    if policy is RestartWhen.NEVER or (policy is RestartWhen.ON_FAILURE and event.exit_code == 0):
        return False
    return _failures(draft, service) < draft.process_of(service).restart.attempts


def _try_again_later(draft: Draft, service: Service, event: ServiceExited) -> None:
    """After 1, 2, 4, ... times the policy's delay; what was not the program's fault costs no try."""
    delay_s = draft.process_of(service).restart.delay_s
    failures = _failures(draft, service)
    if not event.is_blameless:
        delay_s *= 2.0 ** min(failures, 30)
        failures += 1
    reason = event.reason or _why_exited(draft, service, event)
    _wait_for_next_try(
        draft,
        service,
        failures=failures,
        delay_s=min(LONGEST_DELAY_S, delay_s),
        reason=reason,
        exit_code=event.exit_code,
    )


def _wait_for_next_try(
    draft: Draft, service: Service, *, failures: int, delay_s: float, reason: Reason, exit_code: int | None = None
) -> None:
    draft.record_service("exited", service, reason=reason, exit_code=exit_code, retry_in_s=delay_s)
    _try_next(draft, service, failures=failures, delay_s=delay_s, reason=reason, exit_code=exit_code)


def _try_next(
    draft: Draft, service: Service, *, failures: int, delay_s: float, reason: Reason, exit_code: int | None = None
) -> None:
    fresh = Service(service.name, service.process, service.node, service.is_core, attempt=service.attempt + 1)
    waiting = replace(fresh, failures=failures, exit_code=exit_code, reason=reason, due_at=draft.now + delay_s)
    draft.put(waiting)
    advance(draft)


def _given_up(draft: Draft, service: Service, exit_code: int | None, reason: Reason) -> None:
    """No further try: without a core service the execution fails; of elastic ones it goes on with one less."""
    ended = _end(draft, service, exit_code, reason)
    if service.is_core:
        stop(draft, Outcome.LOST if reason.code == "lost" else Outcome.FAILED, reason)
    else:
        _less(draft, ended, reason)
        advance(draft)


def _end(draft: Draft, service: Service, exit_code: int | None, reason: Reason | None) -> Service:
    draft.record_service("exited", service, reason=reason, exit_code=exit_code)
    return draft.put(service, state=ServiceState.ENDED, exit_code=exit_code, reason=reason, due_at=0.0)


def _less(draft: Draft, ended: Service, reason: Reason | None = None) -> None:
    """One elastic service less is wanted from now on, else the scheduler would start it anew; scaling brings it back."""
    process = draft.process_of(ended)
    target = draft.execution.target
    wanted = max(0, counts.wanted_elastic(draft.execution, process) - 1)
    draft.change(target=replace(target, elastic={**target.elastic, process.name: wanted}))
    draft.remove(ended)
    draft.record_service("removed", ended, reason=reason, exit_code=ended.exit_code, wanted=wanted)


def _failures(draft: Draft, service: Service) -> int:
    """In a row: after ten minutes of good work, counting starts again."""
    is_steady = service.ready_at is not None and draft.now - service.ready_at >= STEADY_S
    return 0 if is_steady else service.failures


def _policy(draft: Draft, service: Service) -> RestartWhen:
    return draft.process_of(service).restart.when


def _why_not_begun(draft: Draft, service: Service, reason: Reason) -> Reason:
    title = titles.of_service(draft.execution.application, service)
    return Reason(reason.code, f"{title} could not be started: {reason.text}", _facts(service, None, reason))


def _why_exited(draft: Draft, service: Service, event: ServiceExited) -> Reason:
    """Why that exit was the end: which service, its code, what the backend saw, and how often it was tried."""
    if event.reason is not None and event.reason.code == "image_missing":
        return _why_not_begun(draft, service, event.reason)
    title, facts = (
        titles.of_service(draft.execution.application, service),
        _facts(service, event.exit_code, event.reason),
    )
    said = "ended" if event.exit_code is None else f"ended with exit code {event.exit_code}"
    because = f" ({event.reason.text})" if event.reason else ""
    if event.exit_code == 0 and service.is_core:
        return Reason("core_exited", f"{title} {said}{because}, although the others need it", facts)
    tried = f" after {service.failures + 1} tries in a row" if service.failures else ""
    return Reason(
        event.reason.code if event.reason else "exited", f"{title} {said}{because}{tried}; its log tells more", facts
    )


def _facts(service: Service, exit_code: int | None, reason: Reason | None) -> Mapping[str, Any]:
    seen = dict(reason.numbers) if reason else {}
    return {
        **seen,
        "service": service.name,
        "attempt": service.attempt,
        "failures": service.failures + 1,
        "exit_code": exit_code,
    }
