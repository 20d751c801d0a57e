"""What is left, and what is known, when the core, the supervisor or the machine goes away."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.backends.local.conftest import LocalWorld, environ, exists
from zoe_jupyter.backends.base import SeenState, Unreachable
from zoe_jupyter.backends.local import LocalBackend
from zoe_jupyter.backends.local.looks import Look
from zoe_jupyter.backends.local.supervisor import cages
from zoe_jupyter.model.errors import Fatal, Retryable
from zoe_jupyter.testing.backend_contract import DEAF, FOREVER, Runner, eventually

CORE = Path(__file__).with_name("core_process.py")
DAEMON = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
os.wait()
print("deaf", flush=True)
time.sleep(600)
"""


@contextmanager
def core(world: LocalWorld, action: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Another core, as a process; killed at the end in any case."""
    command = [sys.executable, str(CORE), str(world.data_dir), world.deployment, action, *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


async def finished(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stdout is not None
    return await asyncio.to_thread(process.stdout.readline)


async def daemon(runner: Runner, tmp_path: Path, **fields: object) -> int:
    """Start a service that ignores SIGTERM and has a grandchild that went its own way; returns the grandchild's pid."""
    path = tmp_path / "pid"
    await runner.start("one", command=(sys.executable, "-u", "-c", DAEMON, str(path)), **fields)
    await runner.said("one", "app.main-0", b"deaf")

    async def has_written() -> bool:
        return path.exists() and bool(path.read_text())

    await eventually(has_written)
    return int(path.read_text())


async def supervisor_of(runner: Runner, execution_id: str = "one") -> int:
    seen = await runner.seen(execution_id)
    assert seen is not None
    return int(seen.handle["supervisor"]["pid"])


async def test_a_killed_core_leaves_its_services_and_their_true_exit_codes(runner: Runner, world: LocalWorld) -> None:
    with core(
        world, "launch", "import time; print('on', flush=True); time.sleep(1); print('off'); raise SystemExit(42)"
    ) as process:
        assert await finished(process) == b"done\n"
        process.kill()
        process.wait()
    assert (await runner.until("one", "app.main-0", SeenState.READY)).exit_code is None
    assert (await runner.ended("one")).exit_code == 42
    assert await runner.output("one") == b"on\noff\n"


async def test_an_exit_while_no_core_lived_is_known_to_the_next(runner: Runner, world: LocalWorld) -> None:
    with core(world, "launch", "raise SystemExit(42)") as process:
        assert await finished(process) == b"done\n"
    assert (await runner.ended("one")).exit_code == 42


async def test_a_core_killed_before_it_heard_from_the_supervisor_does_not_cause_a_second(
    runner: Runner, world: LocalWorld
) -> None:
    code = "print('started', flush=True); " + FOREVER
    with core(world, "die_after_spawn", code) as process:
        assert await asyncio.to_thread(process.wait) == -signal.SIGKILL
    (first,) = world.marked("one")
    await runner.start("one", code=code)
    assert await supervisor_of(runner) == first
    await runner.said("one", "app.main-0", b"started")
    assert (await runner.output("one")).count(b"started") == 1


async def test_cores_that_start_at_the_same_time_share_one_supervisor(runner: Runner, world: LocalWorld) -> None:
    others = [await world.open() for _ in range(3)]
    order = runner.order("one", code="print('started', flush=True); " + FOREVER)
    handles = await asyncio.gather(*(backend.launch(order, "local") for backend in [runner.backend, *others]))
    assert len({handle["pid"] for handle in handles}) == 1
    assert len({handle["supervisor"]["pid"] for handle in handles}) == 1
    await runner.said("one", "app.main-0", b"started")
    assert len(world.marked("one")) == 2


async def test_a_deaf_service_and_its_daemon_are_gone_when_it_has_ended(
    runner: Runner, world: LocalWorld, tmp_path: Path
) -> None:
    grandchild = await daemon(runner, tmp_path)
    await runner.backend.stop("one", "app.main-0", 1, grace_s=0.5)
    assert (await runner.ended("one")).exit_code == 137
    assert not exists(grandchild)
    assert not world.marked("one/app.main-0")


async def test_children_of_a_service_that_exits_are_ended_with_it(runner: Runner, world: LocalWorld) -> None:
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); raise SystemExit(5)"
    await runner.launch(runner.order("one", code=code))
    assert (await runner.ended("one")).exit_code == 5
    assert not world.marked("one/app.main-0")


async def test_a_killed_supervisor_takes_its_services_along_and_they_are_told_lost(
    runner: Runner, world: LocalWorld
) -> None:
    await runner.start("one", code=DEAF)
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    seen = await runner.ended("one")
    assert seen.exit_code is None
    assert seen.is_blameless
    assert seen.reason is not None
    assert seen.reason.code == "lost"

    async def is_gone() -> bool:
        return not world.marked("one/")

    await eventually(is_gone)


async def test_a_new_launch_after_a_killed_supervisor_starts_over_and_sweeps(
    runner: Runner, world: LocalWorld, tmp_path: Path
) -> None:
    grandchild = await daemon(runner, tmp_path)
    first = await supervisor_of(runner)
    os.kill(first, signal.SIGKILL)
    await runner.ended("one")
    assert exists(grandchild)
    seen = await runner.start("one", attempt=2)
    assert await supervisor_of(runner) != first
    assert seen.attempt == 2
    assert not exists(grandchild)


@pytest.mark.parametrize("way", ["stop", "clean"])
async def test_what_a_killed_supervisor_left_is_ended_when_asked(runner: Runner, tmp_path: Path, way: str) -> None:
    grandchild = await daemon(runner, tmp_path)
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    await runner.ended("one")
    if way == "stop":
        await runner.backend.stop("one", "app.main-0", 1, grace_s=0.1)
    else:
        await runner.backend.clean("one", keep_logs=True)
    assert not exists(grandchild)


@pytest.mark.skipif(not cages.places(), reason="no control groups")
@pytest.mark.parametrize("way", ["launch", "clean"])
async def test_a_control_group_that_its_supervisor_had_no_time_to_write_down_is_removed(
    runner: Runner, world: LocalWorld, way: str
) -> None:
    """It makes the group, is killed, and nobody knows of it but by its name."""
    await runner.start("one", code=FOREVER)
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    await runner.ended("one")
    group = Path(cages.places()[0].parent) / f"zoe.{world.deployment}.one.app.main-0.7"
    group.mkdir()
    if way == "launch":
        await runner.start("one", code=FOREVER, attempt=2)
    else:
        await runner.backend.clean("one", keep_logs=False)
    assert not group.exists()


async def test_starting_a_core_kills_nothing(runner: Runner, world: LocalWorld, tmp_path: Path) -> None:
    grandchild = await daemon(runner, tmp_path)
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    await runner.ended("one")
    await world.open()
    assert exists(grandchild)


async def test_a_daemon_with_an_overwritten_environment_is_found_too(
    runner: Runner, world: LocalWorld, tmp_path: Path
) -> None:
    bare = (
        'os.chdir(sys.argv[2]); os.execve(sys.executable, [sys.executable, "-c", "import time; time.sleep(600)"], {})'
    )
    hidden = DAEMON.replace("        time.sleep(600)\n    os._exit", f"        {bare}\n    os._exit")
    path = tmp_path / "pid"
    reserved = await runner.reserve("one", ports=())
    await runner.start("one", command=(sys.executable, "-u", "-c", hidden, str(path), reserved.cwd))
    await runner.said("one", "app.main-0", b"deaf")

    async def is_hidden() -> bool:
        return path.exists() and bool(path.read_text()) and not environ(int(path.read_text()))

    await eventually(is_hidden)
    grandchild = int(path.read_text())
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    await runner.ended("one")
    await runner.backend.clean("one", keep_logs=False)
    assert not exists(grandchild)


async def test_a_stopped_supervisor_is_unreachable_and_never_dead(runner: Runner) -> None:
    await runner.start("one")
    await runner.start("two")
    supervisor, service = (
        await supervisor_of(runner),
        (await runner.until("one", "app.main-0", SeenState.READY)).handle["pid"],
    )
    os.kill(supervisor, signal.SIGSTOP)
    try:
        observation = await runner.backend.observe()
        assert [seen.execution_id for seen in observation.services] == ["two"]
        assert list(observation.unreachable) == ["one"]
        assert exists(service)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    seen = await runner.until("one", "app.main-0", SeenState.READY)
    assert exists(seen.handle["pid"])


async def test_a_launch_that_is_not_answered_is_no_failure_and_may_be_repeated(runner: Runner) -> None:
    """Nobody knows whether it happened: the same attempt is asked for again, and starts once."""
    await runner.start("one")
    supervisor = await supervisor_of(runner)
    os.kill(supervisor, signal.SIGSTOP)
    try:
        with pytest.raises(Unreachable):
            await runner.reserve("one", "app.second-0")
    finally:
        os.kill(supervisor, signal.SIGCONT)

    first = await runner.launch(runner.order("one", "app.second-0"))
    again = await runner.launch(runner.order("one", "app.second-0"))

    assert first["pid"] == again["pid"]


async def test_a_stop_of_what_does_not_answer_is_retryable_and_not_lost(runner: Runner) -> None:
    await runner.start("one")
    supervisor = await supervisor_of(runner)
    os.kill(supervisor, signal.SIGSTOP)
    try:
        with pytest.raises(Retryable):
            await runner.backend.stop("one", "app.main-0", 1, grace_s=1)
    finally:
        os.kill(supervisor, signal.SIGCONT)
    assert (await runner.ended("one")).exit_code == 143


async def test_a_newer_attempt_takes_the_place_of_one_that_still_lives(runner: Runner) -> None:
    await runner.start("one")
    order = runner.order("one", attempt=2)
    with pytest.raises(Retryable):
        await runner.launch(order)
    assert (await runner.ended("one")).exit_code == 143
    await runner.launch(order)
    with pytest.raises(Fatal):
        await runner.launch(runner.order("one", attempt=1))


async def test_a_core_that_starts_beside_a_stopped_supervisor_says_unreachable(
    runner: Runner, world: LocalWorld
) -> None:
    await runner.start("one")
    supervisor = await supervisor_of(runner)
    os.kill(supervisor, signal.SIGSTOP)
    try:
        other = await world.open()
        assert list((await other.observe()).unreachable) == ["one"]
    finally:
        os.kill(supervisor, signal.SIGCONT)


async def test_cleaning_ends_even_a_stopped_supervisor(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one", code=DEAF)
    os.kill(await supervisor_of(runner), signal.SIGSTOP)
    await runner.backend.clean("one", keep_logs=False)
    assert not world.marked("one")
    assert not world.run_dir("one").exists()


async def test_after_a_restart_of_the_machine_services_are_lost_and_nobody_is_signalled(
    runner: Runner, world: LocalWorld
) -> None:
    seen = await runner.start("one")
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    await runner.ended("one")
    bystander = await asyncio.create_subprocess_exec("sleep", "600", cwd=world.run_dir("one"))
    state_file = world.run_dir("one") / "state.json"
    state = json.loads(state_file.read_text())
    state["boot_id"] = "another"
    state["services"]["app.main-0"]["pid"] = bystander.pid
    state["supervisor"] = {"pid": bystander.pid, "start": 1}
    state_file.write_text(json.dumps(state))
    try:
        lost = await runner.ended("one")
        assert lost.reason is not None
        assert (lost.exit_code, lost.is_blameless, lost.reason.code) == (None, True, "lost")
        assert "restarted" in lost.reason.text
        await runner.backend.stop("one", "app.main-0", 1, grace_s=0)
        await runner.start("one", attempt=2)
        assert bystander.returncode is None
        assert exists(bystander.pid)
    finally:
        bystander.kill()
        await bystander.wait()
    assert seen.handle["boot_id"] != "another"


async def test_a_pid_that_another_process_got_is_not_signalled(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one")
    os.kill(await supervisor_of(runner), signal.SIGKILL)
    await runner.ended("one")
    bystander = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    state_file = world.run_dir("one") / "state.json"
    state = json.loads(state_file.read_text())
    state["services"]["app.main-0"].update(pid=bystander.pid, members=[[bystander.pid, 1]])
    state["supervisor"] = {"pid": bystander.pid, "start": 1}
    state_file.write_text(json.dumps(state))
    try:
        await runner.backend.clean("one", keep_logs=False)
        assert exists(bystander.pid)
    finally:
        bystander.kill()
        await bystander.wait()


async def test_a_change_is_hinted_within_50_milliseconds(runner: Runner) -> None:
    """The exit is timed by the service itself: it kills itself right after it wrote the time."""
    await runner.start(
        "one",
        code="import os, sys, time; sys.stdin.read(); time.sleep(0.3); print(time.time(), flush=True); os.kill(os.getpid(), 9)",
    )
    changes = runner.backend.changes()
    loop = asyncio.get_running_loop()
    offset = time.time() - loop.time()
    while True:
        await asyncio.wait_for(changes.__anext__(), 10)
        at = loop.time() + offset
        seen = await runner.seen("one")
        if seen is not None and seen.state is SeenState.EXITED:
            break
    exited_at = float((await runner.output("one")).split()[0])
    await changes.aclose()
    assert at - exited_at < 0.05 * (4 if os.getloadavg()[0] > os.cpu_count() else 1)


async def test_a_very_long_path_is_no_obstacle(world: LocalWorld, tmp_path: Path) -> None:
    world.data_dir = tmp_path / ("long-" * 30) / ("longer-" * 20)
    runner = Runner(world, await world.open())
    await runner.start("one")
    await runner.backend.close()
    runner.backend = await world.open()
    assert await runner.seen("one") is not None
    await runner.backend.clean("one", keep_logs=False)
    await runner.backend.close()


async def test_only_the_owner_may_look_into_a_run_folder(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one", files={"secret": "x"})
    folder = world.run_dir("one")
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "control.sock").stat().st_mode & 0o077 == 0
    assert (folder / "state.json").stat().st_mode & 0o077 == 0


async def test_secrets_are_not_written_down(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one", environment={"APP_TOKEN": "hunter2"}, files={"token": "hunter3"})
    for path in (
        world.run_dir("one") / "state.json",
        world.run_dir("one") / "supervisor.json",
        world.run_dir("one") / "supervisor.log",
    ):
        assert "hunter" not in path.read_text()


async def test_removing_zoes_folder_ends_what_runs_in_it(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one")
    world.run_dir("one").rename(world.data_dir / "elsewhere")
    shutil.rmtree(world.data_dir)

    async def is_gone() -> bool:
        return not world.marked("one")

    await eventually(is_gone)


async def test_executions_of_another_deployment_are_left_alone(runner: Runner, world: LocalWorld) -> None:
    other = LocalBackend(deployment=f"{world.deployment}-other", data_dir=world.data_dir)
    await other.start()
    await runner.start("one")
    observation = await other.observe()
    assert (list(observation.services), dict(observation.unreachable)) == ([], {})
    assert await other.usage() == []
    await other.close()


async def test_a_silent_supervisor_holds_up_a_look_only_once(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(runner.backend, LocalBackend)
    asked, look = list[str](), runner.backend._looks._look

    async def counted(name: str) -> Look:
        asked.append(name)
        return await look(name)

    monkeypatch.setattr(runner.backend._looks, "_look", counted)
    await runner.start("one")
    supervisor = await supervisor_of(runner)
    os.kill(supervisor, signal.SIGSTOP)
    try:
        await runner.backend.observe()
        asked.clear()
        for _ in range(2):
            assert "one" in (await runner.backend.observe()).unreachable
        assert len(asked) <= 1
    finally:
        os.kill(supervisor, signal.SIGCONT)

    async def is_back() -> bool:
        return await runner.seen("one") is not None

    await eventually(is_back)


async def test_a_supervisor_told_to_end_ends_its_services_without_blame(runner: Runner, world: LocalWorld) -> None:
    await runner.start("one", grace_s=0.5)
    os.kill(await supervisor_of(runner), signal.SIGTERM)
    seen = await runner.ended("one")
    assert seen.reason is not None
    assert seen.reason.code == "lost"
    assert seen.is_blameless
    assert not world.marked("one/")
