"""Attaching: what is found or started, what is refused, what is held."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any
from unittest.mock import AsyncMock

import pytest

from tests.attach.fake_kind import FakeSpark
from tests.client.running import RunningZoe
from zoe_jupyter.attach import registry
from zoe_jupyter.attach.base import Findings
from zoe_jupyter.attach.flow import Wish, attach, detach
from zoe_jupyter.attach.verbs import stop
from zoe_jupyter.attach.watch import watcher
from zoe_jupyter.client.follow import Step
from zoe_jupyter.client.verbs.session import Interrupted, Quiet, Session
from zoe_jupyter.model.errors import Conflict, NotFound, UserError
from zoe_jupyter.model.execution import Goal, Outcome, State, Target

pytestmark = pytest.mark.usefixtures("fake_spark")


class Recorder(Quiet):
    """A screen that keeps what it is told, and acts on it."""

    def __init__(self, on_step: Callable[[Step], None] | None = None) -> None:
        self.lines: list[str] = []
        self._on_step = on_step

    def step(self, step: Step) -> None:
        self.lines.append(step.text)
        if self._on_step:
            self._on_step(step)

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(f"warning: {text}")


def kernel(in_kernel: Callable[..., None], name: str = "k1", notebook: str = "/n/one.ipynb") -> Session:
    in_kernel(kernel=name, notebook=notebook)
    session = Session(screen=Recorder(), command="%zoe")
    session.facts  # noqa: B018 - gathered while this process plays that kernel
    return session


def until(condition: Callable[[], Any], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def test_what_is_not_there_is_started_with_the_kernel_and_set(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    session = kernel(in_kernel)
    attached = attach(session, Wish("spark", parameters={"workers": 3}))
    (submission,) = zoe.core.submissions
    assert submission.parameters == {"workers": 3}
    assert (submission.lifetime, submission.lease) == ({"with": "kernel", "grace": "10m"}, "kernel")
    assert submission.labels == {"zoe/kernel": "k1", "zoe/notebook": "/n/one.ipynb"}
    assert session.namespace["spark"].connection["secrets"] == {"token": "t0"}
    assert attached.is_new
    assert registry.names() == [zoe.only.name]
    assert {lease.client.kernel_id for lease in zoe.core.lease_by_id.values()} == {"k1"}


def test_again_from_the_same_kernel_is_the_same_one(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    session = kernel(in_kernel)
    attach(session, Wish("spark"))
    value = session.namespace["spark"]
    assert not attach(session, Wish("spark")).is_new
    assert session.namespace["spark"] is value
    assert len(zoe.core.by_id) == 1


def test_a_session_that_was_closed_is_made_anew(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    session = kernel(in_kernel)
    attach(session, Wish("spark"))
    value = session.namespace["spark"]
    value.is_open = False
    attach(session, Wish("spark"))
    assert session.namespace["spark"] is not value
    assert session.namespace["spark"].is_open


def test_the_same_notebook_in_a_new_kernel_finds_its_own_again(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    attach(kernel(in_kernel, "k1"), Wish("spark"))
    registry._attachments.clear()
    after = kernel(in_kernel, "k2")
    assert not attach(after, Wish("spark")).is_new
    assert after.namespace["spark"]
    assert {lease.client.kernel_id for lease in zoe.core.lease_by_id.values()} == {"k1", "k2"}


def test_another_notebook_gets_its_own_and_hears_of_the_other(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    first = attach(kernel(in_kernel, "k1", "/n/one.ipynb"), Wish("spark"))
    registry._attachments.clear()
    second = attach(kernel(in_kernel, "k2", "/n/two.ipynb"), Wish("spark"))
    assert second.is_new
    assert second.others == (first.execution["name"],)


def test_a_running_one_is_shared_by_name(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    first = attach(kernel(in_kernel, "k1", "/n/one.ipynb"), Wish("spark", name="big"))
    registry._attachments.clear()
    second = attach(kernel(in_kernel, "k2", "/n/two.ipynb"), Wish("big"))
    assert (second.is_new, second.execution["id"]) == (False, first.execution["id"])
    with pytest.raises(NotFound, match="neither an application nor a running execution"):
        attach(kernel(in_kernel), Wish("huge"))
    with pytest.raises(NotFound, match="'sprk'; did you mean spark"):
        attach(kernel(in_kernel), Wish("sprk"))


def test_without_a_target_the_notebooks_own_is_meant(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    session = kernel(in_kernel)
    with pytest.raises(NotFound, match="`%zoe attach spark`"):
        attach(session, Wish())
    attach(session, Wish("spark"))
    assert not attach(session, Wish()).is_new


def test_a_problem_stops_before_anything_starts(
    zoe: RunningZoe, in_kernel: Callable[..., None], fake_spark: type[FakeSpark]
) -> None:
    fake_spark.findings = Findings(('this kernel has no pyspark. Install it with `%pip install "pyspark"`',))
    with pytest.raises(Conflict, match="%pip install"):
        attach(kernel(in_kernel), Wish("spark"))
    assert not zoe.core.by_id
    assert fake_spark.checked == [None]


def test_what_is_lacking_is_told_with_the_version_of_the_one_that_runs(
    zoe: RunningZoe, in_kernel: Callable[..., None], fake_spark: type[FakeSpark]
) -> None:
    """So that toolbar and magic name one line, and the other notebook's can be shared after it."""
    attach(kernel(in_kernel, "k1", "/n/one.ipynb"), Wish("spark"))
    registry._attachments.clear()
    fake_spark.findings = Findings(("no pyspark. Install `pyspark>=4,<5`",))
    fake_spark.late = Findings(("no pyspark. Install `pyspark==4.3.*`",))
    with pytest.raises(Conflict, match=r"pyspark==4\.3"):
        attach(kernel(in_kernel, "k2", "/n/two.ipynb"), Wish("spark"))
    fake_spark.late = Findings()
    with pytest.raises(Conflict, match=r"pyspark>=4,<5"):
        attach(kernel(in_kernel, "k2", "/n/two.ipynb"), Wish("spark"))
    assert len(zoe.core.by_id) == 1


def test_versions_are_compared_with_a_running_cluster(
    zoe: RunningZoe, in_kernel: Callable[..., None], fake_spark: type[FakeSpark]
) -> None:
    session = kernel(in_kernel)
    attach(session, Wish("spark"))
    zoe.change(zoe.only.id, environment={"python_version": "3.9.1", "packages": {"pyspark": "3.5.0"}})
    fake_spark.late = Findings(("that breaks",), ("that may break",))
    with pytest.raises(Conflict, match="that breaks"):
        attach(session, Wish("spark"))
    assert fake_spark.checked[-1] == {"python_version": "3.9.1", "packages": {"pyspark": "3.5.0"}}
    assert zoe.only.state is State.RUNNING
    fake_spark.late = Findings((), ("that may break",))
    attach(session, Wish("spark"))
    assert "warning: that may break" in session.screen.lines  # type: ignore[attr-defined]


def test_versions_that_are_known_before_the_start_stop_it(
    zoe: RunningZoe, in_kernel: Callable[..., None], fake_spark: type[FakeSpark]
) -> None:
    """Who waits in a queue, and then for a cluster, is not told after that."""
    session = kernel(in_kernel)
    zoe.core.environment = {"python_version": "3.9.1", "packages": {"pyspark": "3.5.0"}}
    fake_spark.late = Findings(("that breaks",), ("that may break",))
    with pytest.raises(Conflict, match="that breaks"):
        attach(session, Wish("spark"))
    assert fake_spark.checked == [None, zoe.core.environment]
    assert not zoe.core.by_id
    fake_spark.late = Findings((), ("that may break",))
    attach(session, Wish("spark"))
    assert session.screen.lines.count("warning: that may break") == 1  # type: ignore[attr-defined]


def test_what_cannot_be_looked_at_before_it_starts_is_told_when_it_is_submitted(
    zoe: RunningZoe, in_kernel: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoe.core, "check", AsyncMock(side_effect=Conflict("not now")))
    assert attach(kernel(in_kernel), Wish("spark")).is_new


def test_what_was_started_for_a_notebook_that_cannot_use_it_goes_away(
    zoe: RunningZoe, in_kernel: Callable[..., None], fake_spark: type[FakeSpark]
) -> None:
    fake_spark.late = Findings(("that breaks",))
    with pytest.raises(Conflict):
        attach(kernel(in_kernel), Wish("spark"))
    assert zoe.only.state is State.ENDED


def test_a_variable_of_the_users_own_stays(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    session = kernel(in_kernel)
    session.namespace["spark"] = "mine"
    with pytest.raises(Conflict, match="`spark` is yours"):
        attach(session, Wish("spark"))
    assert not zoe.core.by_id
    attach(session, Wish("spark", variable="cluster"))
    assert session.namespace["spark"] == "mine"
    attach(session, Wish("spark", variable="spark"))
    assert isinstance(session.namespace["spark"].connection, dict)
    for wrong in ("no name", "class", "1a"):
        with pytest.raises(UserError, match="no name of a variable"):
            attach(session, Wish("spark", variable=wrong))


def test_progress_goes_from_queued_to_connected(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    zoe.begin_in(State.QUEUED)
    session = kernel(in_kernel)
    follow_up = {"queued": State.STARTING, "starting": State.RUNNING}

    def move(step: Step) -> None:
        if step.execution["state"] in follow_up:
            zoe.change(str(step.execution["id"]), state=follow_up[step.execution["state"]])

    session.screen = recorder = Recorder(move)
    attach(session, Wish("spark"))
    assert recorder.lines[0] == "queued, number 1 in line: needs 8 GiB, 6 GiB are free"
    assert recorder.lines[-2:] == ["connecting", "connected"]
    assert len(recorder.lines) >= 4


def test_waiting_outlasts_a_restart_of_the_server(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    zoe.begin_in(State.STARTING)
    session = kernel(in_kernel)

    def restart(step: Step) -> None:
        if step.execution["state"] == "starting":
            zoe.restart()
            threading.Timer(0.3, lambda: zoe.change(str(step.execution["id"]), state=State.RUNNING)).start()

    session.screen = Recorder(restart)
    attach(session, Wish("spark"))
    assert session.namespace["spark"]


def test_an_interrupt_says_what_goes_on_and_how_to_stop_it(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    zoe.begin_in(State.STARTING)
    session = kernel(in_kernel)

    def interrupt(step: Step) -> None:
        raise KeyboardInterrupt

    session.screen = Recorder(interrupt)
    with pytest.raises(Interrupted, match=r"goes on by itself.*`%zoe stop"):
        attach(session, Wish("spark"))
    assert zoe.only.state is State.STARTING
    assert "spark" not in session.namespace


def test_a_failure_tells_reason_and_the_end_of_the_log(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    zoe.begin_in(State.STARTING)
    session = kernel(in_kernel)
    session.screen = Recorder(
        lambda step: zoe.end(str(step.execution["id"])) if step.execution["state"] == "starting" else None
    )
    with pytest.raises(UserError, match=r"out of memory: used 2.1 GiB of 2 GiB") as caught:
        attach(session, Wish("spark"))
    assert "  second line" in caught.value.message.splitlines()


def test_a_driver_that_cannot_connect_is_told_in_one_line(
    zoe: RunningZoe, in_kernel: Callable[..., None], fake_spark: type[FakeSpark]
) -> None:
    fake_spark.failure = OSError("\n  refused by the host\nwith a long story")
    with pytest.raises(UserError, match=r"runs, but could not be reached: OSError: refused by the host$"):
        attach(kernel(in_kernel), Wish("spark"))


def test_detach_lets_go_of_the_session_and_the_lease_but_not_of_the_cluster(
    zoe: RunningZoe, in_kernel: Callable[..., None]
) -> None:
    session = kernel(in_kernel)
    attach(session, Wish("spark"))
    value = session.namespace["spark"]
    held = len(zoe.core.lease_by_id)
    detach(session, "spark")
    assert "spark" not in session.namespace
    assert not value.is_open
    assert zoe.only.state is State.RUNNING
    assert len(zoe.core.lease_by_id) == held - 1
    with pytest.raises(NotFound, match="not attached to 'spark'"):
        detach(session, "spark")
    assert detach(session) == []


def test_a_kernel_of_nobodys_server_holds_its_lease_by_heartbeat(
    zoe: RunningZoe, in_kernel: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoe_jupyter.attach.flow.TTL_S", 1.5)
    session = Session(screen=Recorder())
    attach(session, Wish("spark"))
    (submission,) = zoe.core.submissions
    assert (submission.lease, submission.client.server) == ("", "outside")
    (lease,) = zoe.core.lease_by_id.values()
    assert lease.ttl_s == 1.5
    assert lease.client.kernel_id.startswith("process-")
    until(lambda: zoe.core.lease_by_id[lease.id].expires_at > lease.expires_at)
    zoe.restart()
    now = zoe.core.lease_by_id[lease.id].expires_at
    until(lambda: zoe.core.lease_by_id[lease.id].expires_at > now)
    zoe.core.lease_by_id.clear()
    until(lambda: zoe.core.lease_by_id)
    detach(session)


def test_the_end_of_a_cluster_is_news_once_with_the_reason(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    session = kernel(in_kernel)
    attach(session, Wish("spark"))
    name = zoe.only.name
    assert watcher().notices() == []
    zoe.end(zoe.only.id)
    found: list[str] = []
    until(lambda: found.extend(watcher().notices()) or found)
    assert found == [
        f"{name} has ended: failed: out of memory: used 2.1 GiB of 2 GiB. What it held is lost; `%zoe attach spark` starts a new one"
    ]
    assert watcher().notices() == []
    assert session.namespace["spark"].is_over()
    until(lambda: session.namespace["spark"].is_lost)


def test_a_stop_is_told_when_it_begins_and_not_again_when_it_is_done(
    zoe: RunningZoe, in_kernel: Callable[..., None]
) -> None:
    session = kernel(in_kernel)
    attach(session, Wish("spark"))
    execution = zoe.only
    zoe.change(execution.id, state=State.STOPPING, target=Target(Goal.STOP))
    found: list[str] = []
    until(lambda: found.extend(watcher().notices()) or found)
    assert found == [f"{execution.name} is being stopped. What it held is lost; `%zoe attach spark` starts a new one"]
    assert registry.names() == [execution.name], "the toolbar tells its end"
    assert session.namespace["spark"].is_over()
    zoe.change(execution.id, state=State.ENDED, outcome=Outcome.STOPPED)
    until(lambda: execution.id not in watcher()._states)
    assert watcher().notices() == []


def test_what_was_suspended_and_resumed_is_another_one_until_it_is_attached_again(
    zoe: RunningZoe, in_kernel: Callable[..., None]
) -> None:
    session = kernel(in_kernel)
    attach(session, Wish("spark"))
    execution = zoe.only
    told: list[str] = []
    zoe.change(execution.id, state=State.SUSPENDED, target=Target(Goal.SUSPEND))
    until(lambda: told.extend(watcher().notices()) or told)
    name = execution.name
    assert told == [
        f"{name} is suspended. What it held is lost; after `%zoe resume {name}`, `%zoe attach {name}` connects to it again"
    ]
    assert registry.names() == []
    zoe.change(execution.id, state=State.RUNNING, target=Target(Goal.RUN))
    anew = f"{name} was started anew. What it held is lost; `%zoe attach {name}` connects to it"
    until(lambda: told.extend(watcher().notices()) or anew in told)
    assert watcher().loss(execution.id) == anew
    attach(session, Wish("spark"))
    assert (watcher().loss(execution.id), registry.names()) == ("", [name])


def test_a_restart_is_no_stop(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    attach(kernel(in_kernel), Wish("spark"))
    zoe.change(zoe.only.id, state=State.STOPPING, target=Target(Goal.RUN))
    told: list[str] = []
    until(lambda: told.extend(watcher().notices()) or told)
    assert "is being restarted. What it held is lost" in told[0]


def test_a_failure_is_told_though_its_stop_was(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    attach(kernel(in_kernel), Wish("spark"))
    zoe.change(zoe.only.id, state=State.STOPPING, target=Target(Goal.STOP))
    until(lambda: watcher().notices())
    zoe.end(zoe.only.id)
    found: list[str] = []
    until(lambda: found.extend(watcher().notices()) or found)
    assert "has ended: failed: out of memory" in found[0]


def test_of_news_that_come_together_the_last_is_told(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    attach(kernel(in_kernel), Wish("spark"))
    zoe.change(zoe.only.id, state=State.STOPPING, target=Target(Goal.STOP))
    until(lambda: "stopped" in watcher()._notices.get(zoe.only.id, ""))
    zoe.end(zoe.only.id)
    until(lambda: "has ended" in watcher()._notices[zoe.only.id])
    assert len(watcher().notices()) == 1


def test_news_come_through_a_restart_of_the_server(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    attach(kernel(in_kernel), Wish("spark"))
    zoe.down()
    zoe.end(zoe.only.id)
    zoe.up()
    found: list[str] = []
    until(lambda: found.extend(watcher().notices()) or found)
    assert len(found) == 1
    assert found[0].startswith(f"{zoe.only.name} has ended: failed: out of memory")
    assert watcher().notices() == []


def test_what_the_user_stops_is_no_news(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    session = kernel(in_kernel)
    attach(session, Wish("spark"))
    value = session.namespace["spark"]
    stop(session, ["spark"])
    assert zoe.only.state is State.ENDED
    assert "spark" not in session.namespace
    until(lambda: not value.is_open)
    assert registry.names() == []
    watcher().look(timeout_s=5)
    assert watcher().notices() == []


def test_a_suspended_one_is_resumed(zoe: RunningZoe, in_kernel: Callable[..., None]) -> None:
    session = kernel(in_kernel)
    attach(session, Wish("spark"))
    session.api.suspend(zoe.only.id)
    attach(session, Wish("spark"))
    assert zoe.only.state is State.RUNNING
