"""Services run as the same user as Zoe: what one writes, removes or listens on in Zoe's own places harms nobody but itself."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.backends.local.conftest import LocalWorld, exists
from tests.backends.local.test_survival import daemon, supervisor_of
from zoe_jupyter.backends.base import SeenState
from zoe_jupyter.backends.local import nursery
from zoe_jupyter.backends.local.link import Link, Silent
from zoe_jupyter.backends.local.supervisor.files import SOCKET_FILE, read_state
from zoe_jupyter.backends.local.supervisor.processes import is_alive, start_of
from zoe_jupyter.backends.local.supervisor.shape import _is_reason, is_sound
from zoe_jupyter.backends.local.supervisor.verdict import (
    EXPIRED,
    NOT_READY,
    OUT_OF_MEMORY,
    PROCESS_LIMIT,
    REMOVED,
    SHUTDOWN,
    STOP,
    UNHEALTHY,
    End,
    judge,
)
from zoe_jupyter.model.application import Requirement
from zoe_jupyter.model.errors import Retryable
from zoe_jupyter.model.execution import Client
from zoe_jupyter.testing.backend_contract import Runner, eventually

RECORD = "app.main-0"
SPOILT: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no state": lambda _: [],
    "of another": lambda state: {**state, "execution": "two"},
    "a deep one": lambda _: "[" * 200_000,
    "supervisor": lambda state: {**state, "supervisor": "none"},
    "pid": lambda state: {**state, "supervisor": {"pid": "x", "start": 1}},
    "large pid": lambda state: {**state, "supervisor": {"pid": 10**30, "start": 1}},
    "services": lambda state: {**state, "services": [1]},
    "record": lambda state: {**state, "services": {RECORD: "x"}},
    "members": lambda state: spoilt(state, members="abc"),
    "groups": lambda state: spoilt(state, cages=None),
    "no attempt": lambda state: {**state, "services": {RECORD: {"state": "exited"}}},
    "attempt": lambda state: spoilt(state, attempt="one"),
    "ports": lambda state: spoilt(state, ports=[1]),
    "kind of state": lambda state: spoilt(state, state="dancing"),
    "exit code": lambda state: spoilt(state, state="exited", exit_code="x"),
    "reason": lambda state: spoilt(state, state="exited", reason="x"),
    "numbers": lambda state: spoilt(state, reason={"code": "out_of_memory", "text": "", "numbers": {}}),
    "infinite numbers": lambda state: spoilt(state, reason={"code": "x", "text": "", "numbers": {"n": float("inf")}}),
    "half a character": lambda state: spoilt(state, reason={"code": "x", "text": "\ud800", "numbers": {}}),
    "long text": lambda state: spoilt(state, reason={"code": "x", "text": "x" * 10**6, "numbers": {}}),
}


def spoilt(state: dict[str, Any], /, **fields: Any) -> dict[str, Any]:
    return {**state, "services": {RECORD: {**state["services"][RECORD], **fields}}}


def spoil(world: LocalWorld, how: str) -> None:
    path = world.run_dir("one") / "state.json"
    new = SPOILT[how](json.loads(path.read_text()))
    path.write_text(new if isinstance(new, str) else json.dumps(new))


async def is_looked_after(runner: Runner, execution_id: str) -> None:
    """Its end is noticed, with the true reason."""
    seen = await runner.until(execution_id, RECORD, SeenState.READY)
    os.kill(seen.handle["pid"], signal.SIGKILL)
    assert (await runner.ended(execution_id)).exit_code == 137


@pytest.mark.parametrize("how", SPOILT)
async def test_a_spoilt_state_of_a_dead_supervisor_blinds_nobody_and_is_cleaned(
    runner: Runner, world: LocalWorld, how: str
) -> None:
    await runner.start("one")
    await runner.start("two")
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    await runner.ended("one")
    spoil(world, how)
    assert not is_sound(read_state(str(world.run_dir("one"))))

    runner.backend = await world.open()
    await is_looked_after(runner, "two")
    await runner.backend.stop("one", RECORD, 1, grace_s=0)
    await runner.backend.clean("one", keep_logs=True)
    assert not world.run_dir("one").exists()


@pytest.mark.parametrize("how", ["no state", "supervisor", "numbers"])
async def test_a_living_supervisor_writes_a_spoilt_state_anew(runner: Runner, world: LocalWorld, how: str) -> None:
    before = await runner.start("one")
    await runner.backend.close()
    spoil(world, how)

    async def is_whole() -> bool:
        return is_sound(read_state(str(world.run_dir("one"))))

    await eventually(is_whole, deadline_s=10)
    runner.backend = await world.open()
    assert (await runner.until("one", RECORD, SeenState.READY)).handle["pid"] == before.handle["pid"]


@pytest.mark.parametrize("field", ["supervisor", "boot_id", "deployment"])
async def test_who_kills_its_supervisor_and_writes_in_its_place_what_should_save_it_is_ended(
    runner: Runner, world: LocalWorld, tmp_path: Path, field: str
) -> None:
    grandchild = await daemon(runner, tmp_path)
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    await runner.backend.close()
    path = world.run_dir("one") / "state.json"
    itself = {"pid": grandchild, "start": start_of(grandchild)}
    spoilt_fields = {field: itself if field == "supervisor" else "x"}
    path.write_text(json.dumps({**json.loads(path.read_text()), **spoilt_fields}))

    runner.backend = await world.open()
    await runner.backend.clean("one", keep_logs=True)
    assert not is_alive(grandchild, itself["start"])


async def test_of_two_supervisors_that_were_started_the_first_is_in_charge_and_the_second_says_so(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the first took so long to end what was left that a second one was started."""
    await daemon(runner, tmp_path)
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    await runner.ended("one")
    monkeypatch.setattr(nursery, "SILENT_S", 0.2)
    assert (await runner.start("one", attempt=2)).state is SeenState.READY


@pytest.mark.parametrize("is_half_true", [True, False])
async def test_a_supervisor_that_was_stopped_and_written_over_is_ended(
    runner: Runner, world: LocalWorld, is_half_true: bool
) -> None:
    await runner.start("one")
    supervisor = await supervisor_of(runner)
    start = start_of(supervisor)
    os.kill(supervisor, signal.SIGSTOP)
    await runner.backend.close()
    path = world.run_dir("one") / "state.json"
    written = {"pid": supervisor, "start": start + 1} if is_half_true else {"pid": 1, "start": 1}
    path.write_text(json.dumps({**json.loads(path.read_text()), "supervisor": written}))

    runner.backend = await world.open()
    await runner.backend.clean("one", keep_logs=True)
    assert not is_alive(supervisor, start)


@pytest.mark.parametrize("takes", ["state.json", "the folder"])
async def test_who_kills_its_supervisor_and_removes_what_is_written_of_it_is_ended_all_the_same(
    runner: Runner, world: LocalWorld, tmp_path: Path, takes: str
) -> None:
    grandchild = await daemon(runner, tmp_path)
    await runner.start("two")
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    if takes == "state.json":
        (world.run_dir("one") / takes).unlink()
    else:
        shutil.rmtree(world.run_dir("one"))

    await is_looked_after(runner, "two")
    assert exists(grandchild)
    await runner.backend.clean("one", keep_logs=True)
    assert not exists(grandchild)


async def test_the_next_supervisor_ends_what_one_left_whose_state_is_gone(
    runner: Runner, world: LocalWorld, tmp_path: Path
) -> None:
    grandchild = await daemon(runner, tmp_path)
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    await runner.ended("one")
    (world.run_dir("one") / "state.json").unlink()
    await runner.start("one", attempt=2)
    assert not exists(grandchild)


async def without_its_socket(runner: Runner, world: LocalWorld) -> Path:
    """Its place, once the core has gone; the supervisor is stopped, so that it does not take it back."""
    await runner.start("one")
    supervisor = await supervisor_of(runner)
    await runner.backend.close()
    os.kill(supervisor, signal.SIGSTOP)
    path = world.run_dir("one") / SOCKET_FILE
    path.unlink()
    return path


ANSWERS = [{"ok": {}}, {"ok": {"services": 5}}, {"ok": None}, {"error": "no"}, {}, 5, []]


@pytest.mark.parametrize("answer", ANSWERS, ids=str)
async def test_who_listens_in_the_place_of_a_supervisor_blinds_nobody(
    runner: Runner, world: LocalWorld, answer: Any
) -> None:
    await runner.start("two")
    path = await without_its_socket(runner, world)
    server = await asyncio.start_unix_server(lambda *ends: says(answer, *ends), path)
    try:
        runner.backend = await world.open()
        assert list((await runner.backend.observe()).unreachable) == ["one"]
        await is_looked_after(runner, "two")
        assert {usage.execution_id for usage in await runner.backend.usage()} <= {"two"}
        with pytest.raises(Retryable):
            await runner.backend.stop("one", RECORD, 1, grace_s=0)
        await runner.backend.force("one")
        assert not world.marked("one")
        assert (await runner.ended("one")).reason is not None
    finally:
        server.close()


async def test_who_imitates_its_supervisor_is_ended_all_the_same(runner: Runner, world: LocalWorld) -> None:
    """It says what the supervisor wrote down, in the way in which that speaks."""
    path = await without_its_socket(runner, world)
    state = read_state(str(world.run_dir("one")))
    server = await asyncio.start_unix_server(lambda *ends: says({"ok": state}, *ends), path)
    try:
        runner.backend = await world.open()
        assert list((await runner.backend.observe()).unreachable) == ["one"]
        await runner.backend.force("one")
        assert not world.marked("one")
    finally:
        server.close()


async def test_nobody_is_killed_in_the_place_of_a_supervisor(runner: Runner, world: LocalWorld) -> None:
    """A service writes whose process id it likes into what the supervisor has written."""
    await runner.start("one")
    supervisor = await supervisor_of(runner)
    os.kill(supervisor, signal.SIGSTOP)
    victim = await asyncio.create_subprocess_exec("sleep", "600")
    try:
        path = world.run_dir("one") / "state.json"
        written = {"pid": victim.pid, "start": start_of(victim.pid)}
        path.write_text(json.dumps({**json.loads(path.read_text()), "supervisor": written}))
        await runner.backend.close()
        runner.backend = await world.open()
        await runner.backend.force("one")
        await runner.backend.clean("one", keep_logs=False)
        assert victim.returncode is None
        assert exists(victim.pid)
    finally:
        victim.kill()
        await victim.wait()
        with suppress(ProcessLookupError):
            os.kill(supervisor, signal.SIGKILL)


async def test_who_closes_the_way_to_its_supervisor_blinds_nobody_and_can_be_ended(
    runner: Runner, world: LocalWorld
) -> None:
    """A link to itself, where even root comes to nothing."""
    await runner.start("two")
    path = await without_its_socket(runner, world)
    path.symlink_to(path)
    runner.backend = await world.open()
    assert list((await runner.backend.observe()).unreachable) == ["one"]
    await is_looked_after(runner, "two")
    await runner.backend.force("one")
    await runner.ended("one")


async def test_what_is_to_end_ends_also_when_its_supervisor_does_not_answer(
    runner: Runner, world: LocalWorld, tmp_path: Path
) -> None:
    """With all that it detached from itself; its folder and its log stay until it is cleaned."""
    grandchild = await daemon(runner, tmp_path)
    await runner.start("two")
    os.kill(await supervisor_of(runner), signal.SIGSTOP)

    await runner.backend.force("one")

    assert not exists(grandchild)
    assert not world.marked("one")
    assert (await runner.ended("one")).reason is not None
    assert world.run_dir("one").exists()
    await is_looked_after(runner, "two")


async def test_nothing_is_forced_on_a_supervisor_that_answers(runner: Runner) -> None:
    """It does itself what can be done."""
    before = await runner.start("one")
    for execution_id in ("one", "unknown"):
        await runner.backend.force(execution_id)
    assert (await runner.until("one", RECORD, SeenState.READY)).handle["pid"] == before.handle["pid"]


async def test_one_answer_that_is_missed_forces_nothing(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when it came while we stood still ourselves."""
    before = await runner.start("one")
    plain, missed = Link.ask, []

    async def ask(link: Link, do: str, **fields: Any) -> dict[str, Any]:
        if do == "ping" and not missed:
            missed.append(do)
            raise Silent("the supervisor did not answer within 3 s")
        return await plain(link, do, **fields)

    monkeypatch.setattr(Link, "ask", ask)
    await runner.backend.force("one")
    assert missed
    assert (await runner.until("one", RECORD, SeenState.READY)).handle["pid"] == before.handle["pid"]


async def says(answer: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while line := await reader.readline():
        number = json.loads(line)["id"]
        writer.write(json.dumps({"id": number, **answer} if isinstance(answer, dict) else answer).encode() + b"\n")
    writer.close()


SPOILT_BOUNDS = [
    5, {}, {"ends_at": None, "silence_s": []}, {"ends_at": "x", "silence_s": 9.0}, {"ends_at": None, "silence_s": "nan"},
]  # fmt: skip


@pytest.mark.parametrize("bounds", SPOILT_BOUNDS, ids=str)
async def test_spoilt_bounds_change_nothing(runner: Runner, world: LocalWorld, bounds: Any) -> None:
    """A service may speak to its supervisor as the core does."""
    await runner.start("one")
    reader, writer = await asyncio.open_unix_connection(world.run_dir("one") / SOCKET_FILE)
    writer.write(json.dumps({"id": 1, "do": "bound", "bounds": bounds}).encode() + b"\n")
    assert "error" in json.loads(await reader.readline())
    writer.close()
    await writer.wait_closed()
    await is_looked_after(runner, "one")


async def test_a_state_folder_that_is_gone_is_not_taken_for_a_full_disk(world: LocalWorld) -> None:
    backend = await world.open()
    shutil.rmtree(world.data_dir)
    assert not (await backend.inspect(Requirement(), Client())).problems
    await backend.close()


@pytest.mark.parametrize("name", ["lost+found", ".nfs0001", "a b", "x\n", "é"])
async def test_folders_that_are_no_executions_are_passed_over(runner: Runner, world: LocalWorld, name: str) -> None:
    await runner.start("two")
    other = world.data_dir / "run" / name
    other.mkdir()
    observation = await runner.backend.observe()
    assert [seen.execution_id for seen in observation.services] == ["two"]
    assert (dict(observation.unreachable), observation.kept) == ({}, {"two"})
    await is_looked_after(runner, "two")
    other.rmdir()


async def test_no_link_in_the_place_of_the_logs_is_followed(runner: Runner, world: LocalWorld, tmp_path: Path) -> None:
    """What it leads to is the user's."""
    thesis = tmp_path / "precious" / "thesis"
    thesis.parent.mkdir()
    thesis.write_text("mine")
    await runner.start("one")
    logs = world.run_dir("one") / "logs"
    logs.rename(world.run_dir("one") / "aside")
    logs.symlink_to(thesis.parent)

    await runner.backend.clean("one", keep_logs=True)

    assert thesis.read_text() == "mine"
    assert not world.run_dir("one").exists()
    await runner.backend.clean("one", keep_logs=False)
    assert thesis.read_text() == "mine"


async def test_only_logs_are_kept_of_the_folder_of_logs(runner: Runner, world: LocalWorld) -> None:
    for _ in range(2):
        await runner.start("one")
        logs = world.run_dir("one") / "logs"
        (logs / "nest" / "egg").mkdir(parents=True)
        (logs / "link").symlink_to("/etc/passwd")
        await runner.backend.clean("one", keep_logs=True)
        assert [path.name for path in (world.data_dir / "logs" / "one").iterdir()] == [f"{RECORD}.log"]


async def test_a_tree_of_any_depth_is_removed(runner: Runner, world: LocalWorld) -> None:
    """Deeper than Python recurses, and longer than a path may be; with folders that nobody may write to on the way."""
    dig = "for _ in range(1500): os.mkdir('d' * 20); os.chdir('d' * 20)"
    code = f"import os\n{dig}\nos.mkdir('closed', 0o500)\nprint('dug', flush=True)\nimport time; time.sleep(600)"
    await runner.start("one", code=code)
    await runner.said("one", RECORD, b"dug")

    await runner.backend.clean("one", keep_logs=True)

    assert not world.run_dir("one").exists()


async def test_what_cannot_be_removed_says_so_and_may_be_tried_again(
    runner: Runner, world: LocalWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    await runner.start("one")
    real = os.unlink

    def refuse(path: Any, **options: Any) -> None:
        if os.fspath(path).endswith("state.json"):
            raise PermissionError(1, "Operation not permitted", path)
        real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        with pytest.raises(Retryable, match="cannot be removed"):
            await runner.backend.clean("one", keep_logs=True)
    await runner.backend.clean("one", keep_logs=True)
    assert not world.run_dir("one").exists()


@pytest.mark.parametrize(
    "cause", ["", STOP, EXPIRED, SHUTDOWN, REMOVED, OUT_OF_MEMORY, PROCESS_LIMIT, NOT_READY, UNHEALTHY]
)
@pytest.mark.parametrize("exit_code", [None, 0, 1, 137])
@pytest.mark.parametrize("taken", [(), (8080, 8081)])
def test_every_reason_that_a_supervisor_gives_is_believed(
    cause: str, exit_code: int | None, taken: tuple[int, ...]
) -> None:
    log = ("\0\x1b]0;title\x07", "x" * 100_000, "�")
    end = End(exit_code=exit_code, cause=cause, taken=taken, log=log, timeout_s=1.5, oom_kills=1, limit_bytes=1)
    reason, _ = judge(end)
    assert _is_reason(json.loads(json.dumps(reason)))
