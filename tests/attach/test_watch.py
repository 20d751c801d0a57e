"""What a notebook is told of what it is attached to, when that is replaced in part or as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.attach.test_flow import kernel, until
from tests.client.running import RunningZoe
from zoe_jupyter.attach import registry
from zoe_jupyter.attach.base import Attach
from zoe_jupyter.attach.flow import Wish, attach, detach
from zoe_jupyter.attach.watch import watcher
from zoe_jupyter.client.verbs.session import Session
from zoe_jupyter.model.execution import Goal, Service, State, Target


@pytest.fixture
def session(fake_spark: object, zoe: RunningZoe, in_kernel: Callable[..., None]) -> Session:
    """Attached to what passes for Spark."""
    session = kernel(in_kernel)
    attach(session, Wish("spark"))
    return session


def anew(zoe: RunningZoe, *names: str) -> dict[str, Service]:
    """The services, of which these (or all) are in their next attempt."""
    services = zoe.only.services
    return {
        name: replace(one, attempt=one.attempt + 1) if name in names or not names else one
        for name, one in services.items()
    }


def until_seen(execution_id: str, state: str) -> None:
    until(lambda: watcher()._states.get(execution_id) == state)


@pytest.mark.usefixtures("session")
def test_a_service_that_is_replaced_is_no_loss(zoe: RunningZoe) -> None:
    execution = zoe.only
    zoe.change(execution.id, state=State.STARTING, services=anew(zoe, "spark.worker-0"))
    until_seen(execution.id, "starting")
    zoe.change(execution.id, state=State.RUNNING)
    until_seen(execution.id, "running")
    assert watcher().notices() == []
    assert watcher().loss(execution.id) == ""
    assert registry.held() == [(execution.id, execution.name)]
    assert registry.left() == []


@pytest.mark.usefixtures("session")
def test_a_restart_that_nobody_saw_is_noticed_by_its_services(zoe: RunningZoe) -> None:
    execution = zoe.only
    zoe.down()
    zoe.change(execution.id, services=anew(zoe))
    zoe.up()
    told: list[str] = []
    until(lambda: told.extend(watcher().notices()) or told)
    name = execution.name
    assert told == [f"{name} was started anew. What it held is lost; `%zoe attach {name}` connects to it"]
    assert (registry.held(), registry.left()) == ([], [(execution.id, name)])


@pytest.mark.usefixtures("session")
def test_what_was_suspended_and_forgotten_has_ended(zoe: RunningZoe) -> None:
    execution = zoe.only
    zoe.change(execution.id, state=State.SUSPENDED, target=Target(Goal.SUSPEND))
    until_seen(execution.id, "suspended")
    watcher().notices()
    zoe.down()
    del zoe.core.by_id[execution.id]
    zoe.up()
    told: list[str] = []
    until(lambda: told.extend(watcher().notices()) or told)
    assert told[0].startswith(f"{execution.id} has ended: forgotten")


def test_who_detaches_after_a_restart_lets_go_of_the_lease(zoe: RunningZoe, session: Session) -> None:
    execution = zoe.only
    zoe.change(execution.id, state=State.STOPPING, target=Target(Goal.RUN))
    until_seen(execution.id, "stopping")
    held = len(zoe.core.lease_by_id)
    detach(session)
    assert len(zoe.core.lease_by_id) == held - 1


def test_what_happened_while_the_notebook_waited_for_it_is_no_news(zoe: RunningZoe, session: Session) -> None:
    execution = zoe.only
    zoe.change(execution.id, state=State.SUSPENDED, target=Target(Goal.SUSPEND))
    until_seen(execution.id, "suspended")
    zoe.change(execution.id, state=State.RUNNING, target=Target(Goal.RUN), services=anew(zoe))
    until_seen(execution.id, "running")
    attach(session, Wish("spark"))
    assert watcher().notices() == []
    assert watcher().loss(execution.id) == ""


def restarted(zoe: RunningZoe) -> str:
    """Its id, once the notebook knows of it."""
    execution = zoe.only
    zoe.change(execution.id, state=State.STOPPING, target=Target(Goal.RUN))
    until_seen(execution.id, "stopping")
    zoe.change(execution.id, state=State.RUNNING, services=anew(zoe))
    until_seen(execution.id, "running")
    return execution.id


def test_what_is_attached_anew_is_not_taken_for_the_old(
    zoe: RunningZoe, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker becomes ready in the moment in which the kernel is attached again."""
    execution_id = restarted(zoe)
    lost: list[str] = []
    monkeypatch.setattr(registry, "lose", lost.append)
    say = session.screen.say

    def say_late(text: str) -> None:
        if text == "connected":
            zoe.change(execution_id, services=anew(zoe, "spark.worker-0"))
            watcher().look(timeout_s=5)
        say(text)

    monkeypatch.setattr(session.screen, "say", say_late)
    attach(session, Wish("spark"))
    assert lost == []
    assert [held for held, _ in registry.held()] == [execution_id]


def test_what_is_attached_anew_is_asked_as_patiently_as_the_first_time(
    zoe: RunningZoe, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    execution_id = restarted(zoe)
    seen: list[bool] = []
    kind = type(registry.attachments(execution_id)[0].kind)
    real = kind.attach

    def attach_seen(self: Attach, *args: Any, is_over: Callable[[], bool]) -> Any:
        seen.append(is_over())
        return real(self, *args, is_over=is_over)

    monkeypatch.setattr(kind, "attach", attach_seen)
    attach(session, Wish("spark"))
    assert seen == [False]


@pytest.mark.usefixtures("session")
def test_who_works_with_what_gives_up_after_its_tries_is_told(zoe: RunningZoe, monkeypatch: pytest.MonkeyPatch) -> None:
    execution, lost = zoe.only, list[str]()
    monkeypatch.setattr(registry, "lose", lost.append)
    zoe.change(execution.id, state=State.STARTING, services=anew(zoe, "spark.worker-0"))
    until_seen(execution.id, "starting")
    zoe.change(execution.id, state=State.STOPPING, target=Target(Goal.STOP))
    until_seen(execution.id, "stopping")
    assert lost == [execution.id]
