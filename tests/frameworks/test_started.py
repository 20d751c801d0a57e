"""Every framework that Zoe ships, really started as local processes, used, and scaled down while it works."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.frameworks.cases import Case, case_of
from tests.requirements import require
from zoe_jupyter.engine.core import Core, open_core
from zoe_jupyter.engine.door import Caller, Submission
from zoe_jupyter.engine.settings import Settings
from zoe_jupyter.model.execution import Client, Execution, Outcome, ServiceState, State
from zoe_jupyter.shop.sources import shipped_folder

NAMES = sorted(file.parent.name for file in shipped_folder().glob("*/framework.yaml"))
ADA = Caller("ada")
START_S = 240.0
STOP_S = 90.0
IVY = """<ivysettings>
  <settings defaultResolver="folder"/>
  <resolvers>
    <filesystem name="folder"><artifact pattern="{folder}/[artifact]-[revision].[ext]"/></filesystem>
  </resolvers>
</ivysettings>
"""
BUSY_S = 1.0
"""So far into a job it is scaled down."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
async def core(tmp_path: Path) -> AsyncIterator[Core]:
    core = await open_core(Settings(data_dir=tmp_path / "zoe", backend="local"))
    try:
        yield core
    finally:
        for execution in (await core.executions(ADA)).items:
            if not execution.is_ended:
                await core.stop(execution.id, ADA)
                await _until(core, execution, lambda now: now.is_ended, timeout_s=STOP_S)
        await core.close()


@pytest.fixture
def notebook(tmp_path: Path) -> Path:
    """The folder of the notebook that asks."""
    folder = tmp_path / "notebook"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("name", NAMES)
async def test_it_starts_works_shrinks_and_leaves_nothing(name: str, core: Core, notebook: Path) -> None:
    case = case_of(name)
    if case.needs:
        require(case.needs)
    for file, content in case.files.items():
        (notebook / file).write_text(content, encoding="utf-8")
    execution = await _submit(core, Submission(use=name, parameters=case.parameters), notebook)
    if case.log:
        await _end(core, execution, case)
        return
    execution = await _until(core, execution, _all_run, timeout_s=START_S)
    await _see_that_it_is_closed(core, execution)
    if case.page is not None:
        await _look(core, execution, case)
    if case.attach is not None:
        await _work(core, execution, case, notebook)
    await core.stop(execution.id, ADA)
    ended = await _until(core, execution, lambda now: now.is_ended, timeout_s=STOP_S)
    assert ended.outcome is Outcome.STOPPED


@pytest.mark.spark
async def test_a_job_finds_the_spark_that_it_is_connected_to(core: Core, notebook: Path) -> None:
    zapp = {
        "zoe": 1,
        "kind": "zapp",
        "name": "count",
        "parameters": {"type": "object", "properties": {"code": {"type": "string"}}},
        "frameworks": [
            {"use": "spark", "parameters": {"workers": 1}},
            {"use": "python-job", "connect": {"spark": "spark"}, "parameters": {"code": "{{ parameters.code }}"}},
        ],
        "ends_with": "python-job",
    }
    code = 'rows = spark.range(100).filter("id % 2 = 0").count()\nprint(f"rows: {rows} {{kept}}")\n'
    execution = await _submit(core, Submission(zapp=zapp, parameters={"code": code}), notebook)
    await _end(core, execution, Case(log="rows: 50 {kept}"))


@pytest.mark.spark
async def test_spark_takes_libraries_by_file_and_by_coordinates(core: Core, notebook: Path) -> None:
    """Coordinates are looked up in a folder, as they are in a repository: no test may need the network."""
    for name in ("beside.jar", "named-1.0.jar"):
        with zipfile.ZipFile(notebook / name, "w") as jar:
            jar.writestr("zoe.txt", name)
    (notebook / "ivy.xml").write_text(IVY.format(folder=notebook), encoding="utf-8")
    conf = {"spark.jars.ivySettings": str(notebook / "ivy.xml"), "spark.jars.ivy": str(notebook / "cache")}
    parameters = {"workers": 1, "jars": ["beside.jar"], "packages": ["org.example:named:1.0"], "conf": conf}
    execution = await _submit(core, Submission(use="spark", parameters=parameters), notebook)
    execution = await _until(core, execution, _all_run, timeout_s=START_S)
    await _work(core, execution, replace(case_of("spark"), work=_see_libraries, long_job=None), notebook)


def _see_libraries(session: Any, folder: Path) -> None:
    found = " ".join(row[0] for row in session.sql("LIST JARS").collect())
    assert "beside.jar" in found
    assert "org.example_named-1.0.jar" in found
    assert session.conf.get("spark.master").startswith("spark://")


@pytest.mark.dask
async def test_a_job_that_fails_tells_so_with_its_exit_code(core: Core, notebook: Path) -> None:
    zapp = {
        "zoe": 1,
        "kind": "zapp",
        "name": "fail",
        "frameworks": [
            {"use": "dask", "parameters": {"workers": 1, "worker_memory": "512MiB", "scheduler_memory": "512MiB"}},
            {
                "use": "python-job",
                "connect": {"dask": "dask"},
                "parameters": {"code": "print(client.submit(sum, [1, 2]).result()); raise SystemExit(3)"},
            },
        ],
        "ends_with": "python-job",
    }
    execution = await _submit(core, Submission(zapp=zapp), notebook)
    ended = await _until(core, execution, lambda now: now.is_ended, timeout_s=START_S)
    assert ended.outcome is Outcome.FAILED
    assert ended.services["python-job.job-0"].exit_code == 3
    assert "3\n" in await _log(core, ended, "python-job.job-0")


async def _submit(core: Core, submission: Submission, notebook: Path) -> Execution:
    client = Client(python=sys.executable, cwd=str(notebook))
    asked = Submission(use=submission.use, zapp=submission.zapp, parameters=submission.parameters, client=client)
    execution, _ = await core.submit(asked, ADA, key=None)
    return execution


async def _until(
    core: Core, execution: Execution, is_so: Callable[[Execution], bool], *, timeout_s: float
) -> Execution:
    deadline = time.monotonic() + timeout_s
    while True:
        now = await core.execution(execution.id, ADA)
        if is_so(now):
            return now
        services = [(s.name, s.state.value, s.exit_code, s.reason) for s in now.services.values()]
        if now.is_ended or time.monotonic() > deadline:
            logs = {s.name: (await _log(core, now, s.name))[-2000:] for s in now.services.values()}
            pytest.fail(f"{now.state.value} {now.reason} {services} {logs}")
        await asyncio.sleep(0.1)


def _all_run(execution: Execution) -> bool:
    wanted = sum(process.core + process.elastic for process in execution.application.processes)
    running = [service for service in execution.services.values() if service.state is ServiceState.RUNNING]
    return execution.state is State.RUNNING and len(running) == wanted


async def _end(core: Core, execution: Execution, case: Case) -> None:
    """A job ends by itself, well, and said what it should."""
    ended = await _until(core, execution, lambda now: now.is_ended, timeout_s=START_S)
    job = next(name for name in ended.services if ended.services[name].process == ended.application.ends_with)
    log = await _log(core, ended, job)
    assert ended.outcome is Outcome.SUCCEEDED, (ended.reason, log)
    assert case.log in log


async def _see_that_it_is_closed(core: Core, execution: Execution) -> None:
    """It listens where this machine alone can reach it, on no well-known port, and shows its secrets in no list of processes."""
    found = _processes_of(execution)
    assert found
    secrets = [
        secret
        for template in execution.application.connections
        for secret in (await core.connection(execution.id, template.name, ADA))["secrets"].values()
    ]
    for process in found:
        with contextlib.suppress(psutil.NoSuchProcess):
            arguments = " ".join(process.cmdline())
            assert not [secret for secret in secrets if secret in arguments]
            for open_port in process.net_connections(kind="tcp"):
                if open_port.status == psutil.CONN_LISTEN:
                    assert open_port.laddr.ip in ("127.0.0.1", "::1", "::ffff:127.0.0.1"), (arguments, open_port)
                    assert open_port.laddr.port > 10000, (arguments, open_port)


def _processes_of(execution: Execution) -> set[psutil.Process]:
    roots = [process for process in psutil.process_iter() if execution.id in " ".join(_arguments(process))]
    return {process for root in roots for process in (root, *root.children(recursive=True))}


def _arguments(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.Error:
        return []


async def _look(core: Core, execution: Execution, case: Case) -> None:
    assert case.page is not None
    (target,) = (await core.endpoints(execution.id, ADA)).values()
    await asyncio.to_thread(case.page, f"http://{target.host}:{target.port}", target.headers)


async def _work(core: Core, execution: Execution, case: Case, notebook: Path) -> None:
    assert case.attach is not None
    assert case.work is not None
    (template,) = execution.application.connections
    connection = await core.connection(execution.id, template.name, ADA)
    session = case.attach(connection["values"], connection["secrets"])
    found = await asyncio.to_thread(session.__enter__)
    try:
        await asyncio.to_thread(case.work, found, notebook)
        if case.long_job is not None:
            await _shrink(core, execution, case, found)
    finally:
        await asyncio.to_thread(session.__exit__, None, None, None)


async def _shrink(core: Core, execution: Execution, case: Case, session: object) -> None:
    """Scale down while a job runs; its result stays right, and the next job works too."""
    assert case.long_job is not None
    alias = execution.application.processes[0].framework
    job = asyncio.create_task(asyncio.to_thread(case.long_job, session), name="long job")
    done, _ = await asyncio.wait({job}, timeout=BUSY_S)
    assert not done
    await core.scale(execution.id, ADA, counts={case.scalable: 1})
    process = f"{alias}.{case.scalable}"
    await _until(core, execution, lambda now: len(_living(now, process)) == 1, timeout_s=STOP_S)
    given, expected = await job
    assert given == expected
    now = await core.execution(execution.id, ADA)
    assert now.state is State.RUNNING, now.reason
    given, expected = await asyncio.to_thread(case.long_job, session)
    assert given == expected


def _living(execution: Execution, process: str) -> list[str]:
    return [s.name for s in execution.services.values() if s.process == process and s.state is not ServiceState.ENDED]


async def _log(core: Core, execution: Execution, service: str) -> str:
    chunks = [chunk async for chunk in core.logs(execution.id, service, ADA, tail=200, follow=False)]
    return b"".join(chunks).decode(errors="replace")
