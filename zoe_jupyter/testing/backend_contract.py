"""What every backend must do, as tests: a backend's own test module subclasses ``BackendContract`` and gives it the ``world`` fixture."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from zoe_jupyter.backends.base import Backend, Bounds, Seen, SeenState, ServiceOrder
from zoe_jupyter.model.application import Health, Port, Probe
from zoe_jupyter.model.errors import Fatal, NotFound, Retryable
from zoe_jupyter.model.resources import Resources

MIB = 1024**2
DEADLINE_S = 30.0
ONCE_S = 4.0
OWNER = "ada"
FOREVER = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
SERVER = "import http.server, sys; http.server.HTTPServer(('0.0.0.0', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()"
GREEDY = """
import time
kept = []
while True:
    kept.append(b"x" * 2**23)
    time.sleep(0.02)
"""


class World(ABC):
    """What a backend's tests run in; it survives the backend object, as services do."""

    deployment = "test"
    python = "python3"
    """The interpreter as services name it."""
    image = ""
    keeps_reservations = True
    """Whether something is left of what was reserved only; where addresses follow from names, nothing is."""

    @abstractmethod
    async def open(self) -> Backend:
        """A started backend; each call plays another core."""

    async def close(self, backend: Backend) -> None:
        await backend.close()


class Runner:
    """Says in one line what most tests want of a backend."""

    def __init__(self, world: World, backend: Backend) -> None:
        self.world = world
        self.backend = backend

    def order(
        self, execution_id: str, service: str = "app.main-0", *, attempt: int = 1, code: str = FOREVER, **fields: Any
    ) -> ServiceOrder:
        """An order that runs Python code; ``fields`` are those of ``ServiceOrder``."""
        return ServiceOrder(
            deployment=self.world.deployment,
            execution_id=execution_id,
            owner=OWNER,
            service=service,
            attempt=attempt,
            **{"command": (self.world.python, "-u", "-c", code), "image": self.world.image, **fields},
        )

    async def node(self) -> str:
        """One that takes something."""
        return next(node.name for node in await self.backend.nodes() if node.is_enabled)

    async def launch(self, order: ServiceOrder) -> Mapping[str, Any]:
        node = await self.node()
        await self.backend.prepare(order.execution_id, order.service, order.attempt, image=order.image, node=node)
        return await self.backend.launch(order, node)

    async def start(self, execution_id: str, service: str = "app.main-0", **fields: Any) -> Seen:
        """Launch it and wait until it is ready."""
        order = self.order(execution_id, service, **fields)
        await self.launch(order)
        return await self.until(execution_id, service, SeenState.READY, attempt=order.attempt)

    async def reserve(
        self, execution_id: str, service: str = "app.main-0", *, attempt: int = 1, ports: tuple[str, ...] = ("web",)
    ) -> Any:
        node = await self.node()
        wanted = {name: Port() for name in ports}
        return await self.backend.reserve(
            execution_id=execution_id,
            owner=OWNER,
            service=service,
            attempt=attempt,
            node=node,
            ports=wanted,
            framework_folder="/framework",
        )

    async def seen(self, execution_id: str, service: str = "app.main-0") -> Seen | None:
        for seen in (await self.backend.observe()).services:
            if (seen.execution_id, seen.service) == (execution_id, service):
                return seen
        return None

    async def until(
        self, execution_id: str, service: str, state: SeenState, *, attempt: int = 1, deadline_s: float = DEADLINE_S
    ) -> Seen:
        """Wait until the attempt is seen in that state; fails when it ends before."""
        found: list[Seen] = []

        async def is_there() -> bool:
            seen = await self.seen(execution_id, service)
            if seen is None or seen.attempt != attempt:
                return False
            found[:] = [seen]
            assert seen.state is state or seen.state is not SeenState.EXITED, f"it has ended: {seen}"
            return seen.state is state

        await eventually(is_there, deadline_s=deadline_s)
        return found[0]

    async def ended(
        self, execution_id: str, service: str = "app.main-0", *, attempt: int = 1, deadline_s: float = DEADLINE_S
    ) -> Seen:
        return await self.until(execution_id, service, SeenState.EXITED, attempt=attempt, deadline_s=deadline_s)

    async def output(
        self, execution_id: str, service: str = "app.main-0", *, tail: int | None = None, follow: bool = False
    ) -> bytes:
        return b"".join([chunk async for chunk in self.backend.logs(execution_id, service, tail=tail, follow=follow)])

    async def said(self, execution_id: str, service: str, text: bytes) -> None:
        """Wait until the service's log has that text."""

        async def is_there() -> bool:
            return text in await self.output(execution_id, service)

        await eventually(is_there)


async def eventually(condition: Callable[[], Awaitable[bool]], *, deadline_s: float = DEADLINE_S) -> None:
    """Wait for a condition; fails when it is not met in time."""
    end = time.monotonic() + deadline_s
    while not await condition():
        assert time.monotonic() < end, f"not within {deadline_s} s"
        await asyncio.sleep(0.02)


class BackendContract:
    """Subclass it in a test module, with a fixture ``world`` that yields a ``World``."""

    @pytest.fixture
    async def runner(self, world: World) -> AsyncIterator[Runner]:
        runner = Runner(world, await world.open())
        yield runner
        executions = {seen.execution_id for seen in (await runner.backend.observe()).services}
        for execution_id in executions | {"one", "two"}:
            await runner.backend.clean(execution_id, keep_logs=False)
        await world.close(runner.backend)

    async def test_names_itself_and_at_least_one_node(self, runner: Runner) -> None:
        nodes = await runner.backend.nodes()
        assert runner.backend.capabilities().name
        assert nodes
        assert all(node.capacity.microcores > 0 and node.capacity.memory_bytes > 0 for node in nodes)

    async def test_sees_nothing_where_nothing_was_started(self, runner: Runner) -> None:
        observation = await runner.backend.observe()
        assert not observation.services
        assert not observation.unreachable

    async def test_a_service_without_a_probe_is_ready_once_it_runs(self, runner: Runner) -> None:
        seen = await runner.start("one")
        assert (seen.execution_id, seen.service, seen.attempt) == ("one", "app.main-0", 1)
        assert seen.handle
        assert seen.exit_code is None

    async def test_launching_an_attempt_again_starts_nothing(self, runner: Runner) -> None:
        order = runner.order("one", code="print('started', flush=True); " + FOREVER)
        handles = [await runner.launch(order) for _ in range(3)]
        await runner.said("one", "app.main-0", b"started")
        assert handles[0] == handles[1] == handles[2]
        assert (await runner.output("one")).count(b"started") == 1

    async def test_launching_at_the_same_time_starts_it_once(self, runner: Runner) -> None:
        order = runner.order("one", code="print('started', flush=True); " + FOREVER)
        await asyncio.gather(*(runner.launch(order) for _ in range(5)))
        await runner.said("one", "app.main-0", b"started")
        assert (await runner.output("one")).count(b"started") == 1

    async def test_a_command_that_does_not_exist_is_named(self, runner: Runner) -> None:
        """At once, or as the reason why it ended where an image's entrypoint stands between."""
        try:
            await runner.launch(runner.order("one", command=("/no-such-program",)))
        except Fatal as error:
            told = error.message
        else:
            seen = await runner.ended("one")
            assert seen.exit_code == 127
            assert seen.reason is not None
            told = seen.reason.text
        assert "no-such-program" in told

    @pytest.mark.parametrize(("code", "exit_code"), [("raise SystemExit(0)", 0), ("raise SystemExit(3)", 3)])
    async def test_tells_the_exit_code(self, runner: Runner, code: str, exit_code: int) -> None:
        await runner.launch(runner.order("one", code=code))
        seen = await runner.ended("one")
        assert seen.exit_code == exit_code
        assert seen.reason is not None
        assert seen.reason.code == "exited"
        assert not seen.is_blameless

    async def test_a_signal_is_told_as_shells_do(self, runner: Runner) -> None:
        await runner.launch(runner.order("one", code="import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"))
        seen = await runner.ended("one")
        assert seen.exit_code == 128 + 11
        assert seen.reason is not None
        assert seen.reason.code == "killed"

    async def test_the_next_attempt_takes_the_place_of_the_ended_one(self, runner: Runner) -> None:
        await runner.launch(runner.order("one", code="raise SystemExit(1)"))
        await runner.ended("one")
        seen = await runner.start("one", attempt=2)
        assert seen.attempt == 2

    async def test_stop_returns_at_once_and_the_service_ends(self, runner: Runner) -> None:
        await runner.start("one")
        began = time.monotonic()
        await runner.backend.stop("one", "app.main-0", 1, grace_s=10)
        assert time.monotonic() - began < 5
        assert (await runner.ended("one")).exit_code == 128 + 15

    async def test_who_does_not_end_is_killed_after_the_grace(self, runner: Runner) -> None:
        await runner.start("one", code=DEAF)
        await runner.said("one", "app.main-0", b"deaf")
        await runner.backend.stop("one", "app.main-0", 1, grace_s=0.5)
        assert (await runner.ended("one")).exit_code == 128 + 9

    async def test_stopping_what_is_unknown_is_no_error(self, runner: Runner) -> None:
        await runner.backend.stop("one", "app.main-0", 1, grace_s=1)
        await runner.start("one")
        await runner.backend.stop("one", "app.main-0", 7, grace_s=1)
        await runner.backend.stop("one", "app.other-0", 1, grace_s=1)
        assert (await runner.until("one", "app.main-0", SeenState.READY)).attempt == 1

    async def test_an_attempt_gets_the_same_ports_when_it_asks_again(self, runner: Runner) -> None:
        first = await runner.reserve("one", ports=("web", "rpc"))
        assert await runner.reserve("one", ports=("web", "rpc")) == first
        assert len(set(first.ports.values())) == 2

    async def test_no_two_services_get_the_same_address(self, runner: Runner) -> None:
        reserved = [
            await runner.reserve(execution, f"app.main-{n}", ports=("a", "b", "c"))
            for execution in ("one", "two")
            for n in range(5)
        ]
        addresses = [(each.host, number) for each in reserved for number in each.ports.values()]
        assert len(set(addresses)) == len(addresses)

    async def test_files_and_environment_reach_the_service(self, runner: Runner) -> None:
        reserved = await runner.reserve("one", ports=())
        code = "import os, sys; path = sys.argv[1]; print(os.environ['GREETING'], open(path).read(), oct(os.stat(path).st_mode & 0o777))"
        order = runner.order("one", files={"conf/app.txt": "content"}, environment={"GREETING": "hello"})
        await runner.launch(
            replace(order, command=(runner.world.python, "-c", code, f"{reserved.folder}/conf/app.txt"))
        )
        await runner.ended("one")
        assert b"hello content 0o600" in await runner.output("one")

    async def test_is_ready_when_its_port_answers(self, runner: Runner) -> None:
        for service, probe in {"app.tcp-0": Probe(tcp="web"), "app.http-0": Probe(http="web/")}.items():
            reserved = await runner.reserve("one", service)
            command = (runner.world.python, "-c", SERVER, str(reserved.ports["web"]))
            seen = await runner.start(
                "one", service, command=command, port_numbers=reserved.ports, ports={"web": Port()}, ready=probe
            )
            assert seen.ports == reserved.ports
            assert seen.host

    async def test_is_ready_when_a_line_of_its_log_matches(self, runner: Runner) -> None:
        code = "import time; print('warming up', flush=True); time.sleep(0.3); print('now: ready at port 7', flush=True); time.sleep(600)"
        await runner.start("one", code=code, ready=Probe(log=r"ready at port \d+$"))
        assert b"now: ready" in await runner.output("one")

    async def test_is_ready_when_a_command_succeeds(self, runner: Runner) -> None:
        reserved = await runner.reserve("one", ports=())
        path = f"{reserved.folder}/done"
        probe = Probe(command=(runner.world.python, "-c", f"import os, sys; sys.exit(not os.path.exists({path!r}))"))
        code = f"import time; time.sleep(0.3); open({path!r}, 'w'); time.sleep(600)"
        await runner.start("one", code=code, ready=probe)

    async def test_who_was_ready_once_stays_ready(self, runner: Runner) -> None:
        """Its page closes, or it is too busy to answer; what it was given to become ready is long over then."""
        reserved = await runner.reserve("one")
        code = f"""if True:
            import socket, time
            with socket.create_server(("0.0.0.0", {reserved.ports["web"]})) as door:
                door.accept()
                time.sleep(2)
            print("closed", flush=True)
            time.sleep(600)
        """
        ready = Probe(tcp="web", timeout_s=ONCE_S)
        await runner.start("one", code=code, ports={"web": Port()}, port_numbers=reserved.ports, ready=ready)
        await runner.said("one", "app.main-0", b"closed")
        end = time.monotonic() + ONCE_S + 2
        while time.monotonic() < end:
            assert (await runner.until("one", "app.main-0", SeenState.READY, deadline_s=0)).reason is None
            await asyncio.sleep(0.5)

    async def test_who_is_not_ready_in_time_is_ended_and_told_what_was_waited_for(self, runner: Runner) -> None:
        code = "print('thinking', flush=True); " + FOREVER
        await runner.launch(runner.order("one", code=code, ready=Probe(log="never said", timeout_s=0.7)))
        seen = await runner.ended("one")
        assert seen.reason is not None
        assert seen.reason.code == "not_ready"
        assert "never said" in seen.reason.text
        assert "thinking" in seen.reason.numbers["log"]

    async def test_who_works_no_more_is_ended_and_told_what_was_waited_for(self, runner: Runner) -> None:
        reserved = await runner.reserve("one", ports=())
        path = f"{reserved.folder}/ill"
        probe = Probe(
            command=(runner.world.python, "-c", f"import os, sys; sys.exit(os.path.exists({path!r}))"), timeout_s=5
        )
        code = f"import time; time.sleep(1); open({path!r}, 'w'); time.sleep(600)"
        await runner.start("one", code=code, health=Health(probe, every_s=0.2, failures=2), grace_s=1)
        seen = await runner.ended("one")
        assert seen.reason is not None
        assert seen.reason.code == "unhealthy"
        assert "waited for" in seen.reason.text
        assert not seen.is_blameless

    async def test_who_works_again_before_too_many_questions_goes_on(self, runner: Runner) -> None:
        """Every second question is in vain; it is never asked again from the beginning."""
        reserved = await runner.reserve("one", ports=())
        code = f"""if True:
            import os, sys
            asked = os.path.getsize({reserved.folder + "/asked"!r}) if os.path.exists({reserved.folder + "/asked"!r}) else 0
            open({reserved.folder + "/asked"!r}, "a").write("x")
            sys.exit(asked % 2)
        """
        probe = Probe(command=(runner.world.python, "-c", code), timeout_s=20)
        watching = f"""if True:
            import os, time
            while not os.path.exists({reserved.folder + "/asked"!r}) or os.path.getsize({reserved.folder + "/asked"!r}) < 6:
                time.sleep(0.05)
            print("asked six times", flush=True)
            time.sleep(600)
        """
        await runner.start("one", code=watching, health=Health(probe, every_s=0.1, failures=2))
        await runner.said("one", "app.main-0", b"asked six times")
        assert (await runner.until("one", "app.main-0", SeenState.READY)).reason is None

    async def test_runs_a_command_beside_a_service(self, runner: Runner) -> None:
        await runner.start("one", environment={"A": "1"})
        command = (runner.world.python, "-c", "import os; raise SystemExit(int(os.environ['A'] + os.environ['B']))")
        assert await runner.backend.run("one", "app.main-0", 1, command, environment={"B": "2"}, timeout_s=20) == 12

    async def test_running_beside_what_does_not_run_is_retryable(self, runner: Runner) -> None:
        with pytest.raises(Retryable):
            await runner.backend.run("one", "app.main-0", 1, ("true",), environment={}, timeout_s=5)

    async def test_a_change_is_hinted(self, runner: Runner) -> None:
        await runner.launch(runner.order("one", code="import time; time.sleep(0.5)"))
        changes = runner.backend.changes()
        try:
            while (seen := await runner.seen("one")) is None or seen.state is not SeenState.EXITED:
                await asyncio.wait_for(changes.__anext__(), DEADLINE_S)
        finally:
            await _aclose(changes)

    async def test_the_log_has_all_that_was_said_over_all_attempts(self, runner: Runner) -> None:
        for attempt in (1, 2):
            code = f"import sys; print('out {attempt}', flush=True); print('err {attempt}', file=sys.stderr)"
            await runner.launch(runner.order("one", attempt=attempt, code=code))
            await runner.ended("one", attempt=attempt)
        words = re.findall(rb"(?:out|err) \d", await runner.output("one"))
        assert [sorted(words[:2]), sorted(words[2:])] == [[b"err 1", b"out 1"], [b"err 2", b"out 2"]]

    async def test_the_tail_is_the_last_lines(self, runner: Runner) -> None:
        await runner.launch(runner.order("one", code="for n in range(100): print('line', n)"))
        await runner.ended("one")
        assert await runner.output("one", tail=2) == b"line 98\nline 99\n"
        assert await runner.output("one", tail=0) == b""
        assert (await runner.output("one", tail=1000)).startswith(b"line 0\n")

    async def test_following_goes_on_until_the_service_was_stopped(self, runner: Runner) -> None:
        await runner.start(
            "one", code="import time\nfor n in range(600): print('line', n, flush=True); time.sleep(0.05)"
        )
        following = asyncio.create_task(runner.output("one", follow=True))
        await runner.said("one", "app.main-0", b"line 5\n")
        assert not following.done()
        await runner.backend.stop("one", "app.main-0", 1, grace_s=5)
        assert await asyncio.wait_for(following, DEADLINE_S) == await runner.output("one")

    async def test_there_is_no_log_of_what_never_was(self, runner: Runner) -> None:
        with pytest.raises(NotFound):
            await runner.output("one")

    async def test_what_is_kept_is_seen_until_it_is_cleaned(self, runner: Runner) -> None:
        """Also of an execution that never had a service: its reserved ports, or its supervisor, are found by its name."""
        await runner.reserve("one")
        if not runner.world.keeps_reservations:
            await runner.start("one")
        assert (await runner.backend.observe()).kept == {"one"}

        await runner.backend.clean("one", keep_logs=True)

        assert (await runner.backend.observe()).kept == frozenset()

    async def test_cleaning_ends_everything_and_may_be_repeated(self, runner: Runner) -> None:
        await runner.start("one", code="print('kept', flush=True); " + FOREVER)
        await runner.start("two")
        await runner.said("one", "app.main-0", b"kept")
        for _ in range(2):
            await runner.backend.clean("one", keep_logs=True)
        assert await runner.seen("one") is None
        assert await runner.seen("two") is not None
        assert b"kept" in await runner.output("one")
        await runner.backend.clean("one", keep_logs=False)
        with pytest.raises(NotFound):
            await runner.output("one")

    async def test_use_is_measured(self, runner: Runner) -> None:
        await runner.start("one", code="while True: pass", resources=Resources(microcores=500_000))
        samples: list[Any] = []

        async def is_busy() -> bool:
            samples[:] = await runner.backend.usage()
            return bool(samples) and samples[0].cpu_cores > 0.1

        await eventually(is_busy)
        assert samples[0].memory_bytes > MIB
        assert samples[0].processes >= 1

    async def test_memory_over_the_limit_ends_the_service_with_that_reason(self, runner: Runner) -> None:
        await runner.launch(runner.order("one", code=GREEDY, resources=Resources(memory_bytes=64 * MIB)))
        seen = await runner.ended("one")
        assert seen.reason is not None
        assert seen.reason.code == "out_of_memory"
        assert seen.reason.text.startswith("out of memory: used ")
        assert seen.reason.text.endswith(" of 64 MiB")
        assert not seen.is_blameless

    async def test_services_outlive_the_core_and_are_found_again(self, runner: Runner, world: World) -> None:
        reserved = await runner.reserve("one")
        await runner.start("one", code="print('before', flush=True); " + FOREVER)
        await runner.launch(runner.order("one", "app.job-0", code="import time; time.sleep(1); raise SystemExit(7)"))
        await world.close(runner.backend)
        runner.backend = await world.open()
        assert (await runner.until("one", "app.main-0", SeenState.READY)).exit_code is None
        assert (await runner.ended("one", "app.job-0")).exit_code == 7
        assert (await runner.reserve("one")).ports == reserved.ports
        assert b"before" in await runner.output("one")

    async def test_an_execution_ends_by_itself_when_its_time_is_over_and_no_core_is_there(
        self, runner: Runner, world: World
    ) -> None:
        await runner.start("one", bounds=Bounds(silence_s=1.0))
        await world.close(runner.backend)
        await asyncio.sleep(1.5)
        runner.backend = await world.open()
        seen = await runner.ended("one")
        assert seen.reason is not None
        assert seen.reason.code == "expired"

    async def test_an_execution_goes_on_while_its_core_lives(self, runner: Runner) -> None:
        await runner.start("one", bounds=Bounds(silence_s=1.0))
        await asyncio.sleep(2.0)
        assert (await runner.until("one", "app.main-0", SeenState.READY)).exit_code is None
        await runner.backend.bound("one", Bounds(ends_at=None, silence_s=3600.0))


async def _aclose(changes: AsyncIterator[None]) -> None:
    with contextlib.suppress(AttributeError):
        await changes.aclose()  # type: ignore[attr-defined]
