"""From an order to what Docker is asked for, and from what it answers to what was seen; whole bodies are compared."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from itertools import combinations, islice, product
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError

from tests.effort import is_linear
from zoe_jupyter.backends.base import SeenState, ServiceOrder
from zoe_jupyter.backends.containers.names import Attempt
from zoe_jupyter.backends.docker import calls, entering, logs, meter, probing, translate
from zoe_jupyter.backends.docker.calls import pull_progress, translated
from zoe_jupyter.backends.docker.images import digest_of
from zoe_jupyter.backends.docker.networks import Networks, free_subnets, ipaddress, prefix_for
from zoe_jupyter.backends.docker.settings import ContainerSettings, EngineSettings
from zoe_jupyter.backends.docker.translate import Restart
from zoe_jupyter.model.application import Health, Port, Probe
from zoe_jupyter.model.errors import BackendError, Busy, Fatal, ZoeError
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.model.resources import Resources

ATTEMPT = Attempt("zoe", "e1", "redis.server-0", 2)
NETWORK = translate.network_name("zoe", "e1")
ORDER = ServiceOrder(
    deployment="zoe",
    execution_id="e1",
    owner="ada",
    service="redis.server-0",
    attempt=2,
    command=("redis-server", "--port", "20000"),
    environment={"A": "1"},
    files={"password": "hush"},
    ports={"tcp": Port(), "bus": Port(is_published=False)},
    port_numbers={"tcp": 20001, "bus": 20000},
    resources=Resources(500_000, 64 * 1024**2, 1),
    ready=Probe(tcp="tcp"),
    health=Health(Probe(command=("redis-cli", "ping"), timeout_s=5), every_s=10, failures=2),
    image="zoe/redis:7",
)
SHELL = ["sh", "-c", '. /run/zoe/environment && exec "$@"', "zoe"]
LABELS = {
    "jupyter.zoe.profile": "",
    "jupyter.zoe.gpus": "1",
    "jupyter.zoe.name": "zoe/e1/redis.server-0#2",
    "jupyter.zoe.deployment": "zoe",
    "jupyter.zoe.execution": "e1",
    "jupyter.zoe.service": "redis.server-0",
    "jupyter.zoe.attempt": "2",
    "jupyter.zoe.owner": "ada",
    "jupyter.zoe.ports": '{"bus": 20000, "tcp": 20001}',
    "jupyter.zoe.probe": '{"tcp": "tcp", "http": "", "log": "", "command": [], "timeout_s": 60.0}',
    "jupyter.zoe.health": '{"probe": {"tcp": "", "http": "", "log": "", "command": ["redis-cli", "ping"], "timeout_s": 5}, '
    '"every_s": 10, "failures": 2}',
}


def config(settings: ContainerSettings | None = None) -> dict[str, Any]:
    return translate.container_config(ORDER, settings or ContainerSettings(), EngineSettings(), cores=4, gpus=["1"])


def test_an_order_becomes_a_container_that_may_do_nothing_more_than_it_must() -> None:
    assert config(ContainerSettings(image_prefix="registry.site/zoe-")) == {
        "Image": "registry.site/zoe-redis:7",
        "Cmd": [*SHELL, "redis-server", "--port", "20000"],
        "Hostname": ATTEMPT.host,
        "User": "1000:1000",
        "WorkingDir": "/zoe",
        "Env": ["HOME=/zoe", "ZOE_EXECUTION=e1", "ZOE_SERVICE=redis.server-0"],
        "Labels": LABELS,
        "ExposedPorts": {"20001/tcp": {}},
        "HostConfig": {
            "NetworkMode": NETWORK,
            "PortBindings": {"20001/tcp": [{"HostIp": "127.0.0.1", "HostPort": ""}]},
            "RestartPolicy": {"Name": "no"},
            "Init": True,
            "Memory": 67108864,
            "MemorySwap": 67108864,
            "CpuShares": 512,
            "CpuPeriod": 100_000,
            "CpuQuota": 400_000,
            "PidsLimit": 4096,
            "ShmSize": 268435456,
            "LogConfig": {"Type": "json-file", "Config": {"max-size": "10000000", "max-file": "3"}},
            "DeviceRequests": [{"Driver": "", "Count": 0, "DeviceIDs": ["1"], "Capabilities": [["gpu"]]}],
            "Privileged": False,
            "CgroupnsMode": "private",
            "IpcMode": "private",
            "CapDrop": ["ALL"],
            "CapAdd": [],
            "SecurityOpt": ["no-new-privileges:true"],
        },
        "NetworkingConfig": {"EndpointsConfig": {NETWORK: {"Aliases": [ATTEMPT.host]}}},
    }


def begins(**image: Any) -> tuple[Any, Any]:
    made = translate.container_config(ORDER, ContainerSettings(), EngineSettings(), cores=4, image=image)
    return made["Entrypoint"], made["Cmd"]


def test_the_shell_stands_before_the_entrypoint_of_an_image_that_tells_it() -> None:
    assert begins(Entrypoint=["serve"], Cmd=["--help"]) == ([*SHELL, "serve"], list(ORDER.command))
    assert begins(Entrypoint=None, Cmd=["sh"]) == (SHELL, list(ORDER.command))
    assert begins(Entrypoint=[""]) == (SHELL, list(ORDER.command))
    assert entering.begun((), {"Entrypoint": ["serve"], "Cmd": ["--all"]})["Cmd"] == ["--all"]


@pytest.mark.parametrize("config", [{"Entrypoint": [*SHELL, "serve"], "Cmd": ["x"]}, {"Cmd": [*SHELL, "x"]}])
def test_who_has_variables_is_known_also_of_an_earlier_zoe(config: dict[str, Any]) -> None:
    told = body()
    told["Config"] |= config
    found = translate.container(told)
    assert found.has_variables
    assert found.command == ("x",)


def test_a_site_may_hold_services_to_their_cores_and_give_them_a_capability() -> None:
    host = config(ContainerSettings(limits_cpu=True, capabilities=("NET_BIND_SERVICE",)))["HostConfig"]
    assert host["CpuQuota"] == 50_000
    assert host["CapAdd"] == ["NET_BIND_SERVICE"]


def body(**state: Any) -> dict[str, Any]:
    """What ``inspect`` says of that container."""
    return {
        "Id": "c0ffee",
        "Image": "sha256:1",
        "Config": {"Labels": LABELS, "Cmd": ["redis-server"], "Image": "zoe/redis:7", "StopSignal": "SIGINT"},
        "HostConfig": {"Memory": 64 * 1024**2},
        "State": {
            "Status": "running",
            "Running": True,
            "ExitCode": 0,
            "OOMKilled": False,
            "StartedAt": "2026-01-01T00:00:00.123456789Z",
            "FinishedAt": "0001-01-01T00:00:00Z",
            **state,
        },
        "NetworkSettings": {
            "Networks": {NETWORK: {"IPAddress": "10.213.0.2"}},
            "Ports": {"20001/tcp": [{"HostIp": "127.0.0.1", "HostPort": "32768"}]},
        },
    }


def ended(code: int, **state: Any) -> dict[str, Any]:
    times = {"StartedAt": "2026-01-01T00:00:00Z", "FinishedAt": "2026-01-01T00:01:00.5Z"}
    return body(**{"Status": "exited", "Running": False, "ExitCode": code, **times, **state})


def test_what_runs_is_read_back_whole() -> None:
    found = translate.container(body())
    assert found.attempt == ATTEMPT
    assert (found.host, found.address) == (ATTEMPT.host, "10.213.0.2")
    assert dict(found.ports) == {"tcp": 20001, "bus": 20000}
    assert dict(found.published) == {"tcp": 32768}
    assert found.probe == Probe(tcp="tcp")
    assert found.check == ORDER.health
    assert found.started_at == pytest.approx(1767225600.123456)
    seen = translate.seen(found, "docker", is_ready=True)
    assert (seen.state, seen.exit_code, seen.reason) == (SeenState.READY, None, None)
    assert seen.handle["container"] == ATTEMPT.name


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (ended(0), "exited", "exited with 0"),
        (ended(0, OOMKilled=True), "exited", "exited with 0"),
        (ended(137, OOMKilled=True), "out_of_memory", "out of memory: used 64 MiB of 64 MiB"),
        (ended(143), "killed", "killed by SIGTERM"),
        (ended(254), "killed", "killed by signal 126"),
        (ended(127), "exited", "exited with 127"),
        (ended(127, FinishedAt="2026-01-01T00:00:01Z"), "command_not_found", "the image zoe/redis:7 cannot run"),
    ],
)
def test_an_end_has_its_reason(answer: dict[str, Any], code: str, said: str) -> None:
    seen = translate.seen(translate.container(answer), "docker", is_ready=True)
    assert seen.state is SeenState.EXITED
    assert seen.reason is not None
    assert seen.reason.code == code
    assert seen.reason.text.startswith(said)


AT = translate.moment("2026-01-01T00:01:00.5Z")
"""When what has ended ended."""


@pytest.mark.parametrize(
    ("answer", "restart", "is_lost"),
    [
        (ended(143), Restart(AT + 2), True),
        (ended(0), Restart(AT + 2), True),  # it ended well when it was told to
        (ended(255), Restart(AT + 1), True),  # its machine lost its power
        (ended(255), Restart(AT + 500), True),
        (ended(255), Restart(AT + 700), False),
        (ended(137), Restart(AT + 30_000), True),  # and was off over night
        (ended(137), Restart(AT + 30_000, up_at=AT + 10), True),
        (ended(137), Restart(AT + 30_000, up_at=AT + 100), False),  # others went on
        (ended(0), Restart(AT + 70), False),  # before it, unseen
        (ended(3), Restart(AT + 70), False),
        (ended(0), Restart(AT + 200, silent_s=180), True),  # while Zoe saw its machine restart
        (ended(0), Restart(AT + 700, silent_s=7000), False),
        (ended(0), Restart(AT + 200, up_at=AT + 100, silent_s=180), False),
        (ended(0), Restart(AT - 1), False),
        (ended(143), Restart(), False),
        (ended(137, OOMKilled=True), Restart(AT + 2), False),
        (ended(127, FinishedAt="2026-01-01T00:00:01Z"), Restart(AT), False),
        (body(), Restart(AT), False),
    ],
)
def test_who_ended_with_the_engine_did_not_fail_and_has_not_succeeded(
    answer: dict[str, Any], restart: Restart, is_lost: bool
) -> None:
    seen = translate.seen(translate.container(answer), "docker", is_ready=True, restart=restart)
    assert (seen.is_blameless, seen.reason is not None and seen.reason.code == "lost") == (is_lost, is_lost)
    assert not is_lost or seen.exit_code is None


def test_whom_zoe_has_ended_is_told_so_whatever_became_of_the_engine() -> None:
    verdict = Reason("expired", "ended since no Zoe was heard from")
    seen = translate.seen(
        translate.container(ended(143)), "docker", is_ready=True, verdict=verdict, restart=Restart(AT + 2)
    )
    assert (seen.reason, seen.exit_code, seen.is_blameless) == (verdict, 143, False)


def test_an_engine_was_up_when_something_ended_there_by_itself() -> None:
    ends = {0: "00:01:00Z", 143: "00:02:00Z", 255: "00:03:00Z", 1: "00:09:00Z"}
    found = [translate.container(ended(code, FinishedAt=f"2026-01-01T{at}")) for code, at in ends.items()]
    began_at = translate.moment("2026-01-01T00:04:00Z")
    assert translate.last_start(began_at, [*found, translate.container(body())], silent_s=5.0) == Restart(
        began_at, translate.moment("2026-01-01T00:02:00Z"), 5.0
    )
    assert translate.last_start(began_at, [], silent_s=0.0) == Restart(began_at)


def test_who_may_still_run_has_its_gpus() -> None:
    def having(name: str, **state: Any) -> translate.Holder | None:
        answer = {**body(**state), "Created": "2026-01-01T00:00:00.1Z"}
        answer["HostConfig"] |= {"DeviceRequests": [{"DeviceIDs": [name]}]}
        return translate.holder(answer)

    runs, is_made = having("0"), having("2", Status="created", Running=False)
    assert runs is not None
    assert is_made is not None
    assert having("3", Status="exited", Running=False) is None
    assert translate.holder({**body(), "Created": "2026-01-01T00:00:00.1Z"}) is None
    assert translate.free_gpus([runs, is_made], 5) == ["1", "3", "4"]


def test_only_who_may_have_gpus_or_the_ports_of_the_machine_is_asked_for_them() -> None:
    assert translate.may_hold({"Labels": LABELS, "HostConfig": {"NetworkMode": "bridge"}})
    assert translate.may_hold({"Labels": {}, "HostConfig": {}})  # of an earlier Zoe
    assert translate.may_hold({"Labels": {"jupyter.zoe.gpus": ""}, "HostConfig": {"NetworkMode": "host"}})
    assert not translate.may_hold({"Labels": {**LABELS, "jupyter.zoe.gpus": ""}, "HostConfig": {}})


def test_of_two_with_one_gpu_who_runs_keeps_it_and_else_who_was_made_first() -> None:
    first, second = (translate.Holder(False, at, "c", frozenset("0")) for at in (1.0, 2.0))
    assert (first.comes_before(second), second.comes_before(first)) == (True, False)
    assert replace(second, is_running=True).comes_before(first)
    assert first.comes_before(replace(second, is_running=True))
    assert not first.comes_before(first)
    assert not first.comes_before(replace(second, gpus=frozenset("1")))


def keeping(turns: Collection[int]) -> list[str]:
    """Of two that chose one GPU who keep it; the first has these turns of ten, and each is made, is listed later, looks, starts, looks again."""
    made: dict[str, translate.Holder] = {}
    listed: dict[str, translate.Holder] = {}
    steps = Counter[str]()
    for turn in range(10):
        who = "first" if turn in turns else "second"
        steps[who] += 1
        if steps[who] == 1:
            made[who] = translate.Holder(False, turn, who, frozenset("0"))
        elif steps[who] == 2:
            listed[who] = made[who]
        elif who in listed and steps[who] == 4:
            listed[who] = replace(listed[who], is_running=True)
        elif who in listed and any(each.comes_before(listed[who]) for each in listed.values()):
            del listed[who]
    return list(listed)


def test_of_two_that_chose_one_gpu_never_both_keep_it_in_whatever_order_they_come_on() -> None:
    kept = [keeping(turns) for turns in combinations(range(10), 5)]
    assert max(map(len, kept)) == 1
    assert sum(map(len, kept)) > len(kept) / 2
    assert [keeping(range(5)), keeping(range(5, 10))] == [["first"], ["second"]]


def test_trouble_of_what_goes_on_is_told() -> None:
    for state, code in (({"OOMKilled": True}, "out_of_memory"), ({"Health": {"Status": "unhealthy"}}, "unhealthy")):
        reason = translate.seen(translate.container(body(**state)), "docker", is_ready=True).reason
        assert reason is not None
        assert reason.code == code


def test_another_deployments_containers_are_not_ours() -> None:
    assert translate.is_own(LABELS, "zoe")
    assert not translate.is_own(LABELS, "zoe2")
    assert not translate.is_own({"jupyter.zoe.deployment": "zoe"}, "zoe")
    assert not translate.is_own(None, "zoe")


def test_secrets_are_in_no_label_and_not_in_the_environment() -> None:
    assert "hush" not in json.dumps(config())


def test_the_kernels_list_of_sockets_is_read() -> None:
    table = "  sl  local_address rem_address   st\n   0: 00000000:4E21 00000000:0000 0A 0\n   1: 0100007F:4E22 0100007F:4E21 01 0\n"
    assert probing.is_listening(table, 20001)
    assert not probing.is_listening(table, 20002)


def test_a_subnet_has_an_address_for_every_service_and_is_nobody_elses() -> None:
    assert [prefix_for(count) for count in (1, 13, 14, 66, 10**6)] == [28, 28, 27, 25, 16]
    pool = ipaddress.ip_network("10.213.0.0/26")
    taken = [ipaddress.ip_network(each) for each in ("10.213.0.0/28", "10.213.0.32/30", "172.17.0.0/16")]
    assert [str(each) for each in free_subnets(pool, 28, taken)] == ["10.213.0.16/28", "10.213.0.48/28"]
    assert not list(free_subnets(pool, 24, taken))
    around = [ipaddress.ip_network(each) for each in ("10.0.0.0/8", "192.168.0.0/16")]
    assert not list(free_subnets(pool, 28, around))


def test_a_subnet_is_found_soon_however_many_are_taken() -> None:
    pool = ipaddress.ip_network("10.0.0.0/8")

    def work(count: int) -> Callable[[], object]:
        taken = list(islice(pool.subnets(new_prefix=28), count))
        return lambda: next(free_subnets(pool, 28, taken))

    assert is_linear(work, 3000)


def test_a_pool_that_is_no_network_is_told_by_the_name_of_its_setting() -> None:
    with pytest.raises(ZoeError, match=r"`network_pool` cannot be used: 10.213.0.1/16 has host bits set"):
        Networks(SimpleNamespace(), deployment="zoe", pool="10.213.0.1/16", mtu=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(("status", "kind"), [(500, Busy), (503, Busy), (400, Fatal), (409, Fatal)])
def test_trouble_of_an_engine_is_no_failure_of_the_service(status: int, kind: type[BackendError]) -> None:
    response = SimpleNamespace(status_code=status, reason="no", url="http://engine/")
    for error in (translated(APIError("no", response=response)), calls._refusal(status, b'{"message": "no"}')):
        assert type(error) is kind


def test_a_pull_is_as_far_as_its_layers_are() -> None:
    layers: dict[str, tuple[int, int]] = {}
    lines = [
        {"status": "Pulling from zoe/spark"},
        {"status": "Downloading", "id": "a", "progressDetail": {"current": 30, "total": 100}},
        {"status": "Downloading", "id": "b", "progressDetail": {"current": 0, "total": 100}},
        {"status": "Download complete", "id": "a"},
        {"status": "Pull complete", "id": "b"},
    ]
    assert [pull_progress(line, layers) for line in lines] == [0.0, 0.3, 0.15, 0.5, 1.0]


@pytest.mark.parametrize("said", [b"", b"\n", b"one\ntwo\n\nthree\nfour", b"one\ntwo\nthree\nfour\n\n"])
def test_the_last_lines_are_found_wherever_chunks_end(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for size, count in product(range(1, len(said) + 2), range(7)):
        monkeypatch.setattr(logs, "CHUNK", size)
        wanted = b"".join(said.splitlines(keepends=True)[-count:] if count else [])
        assert said[logs.start_of_last(io.BytesIO(said), count) :] == wanted


def test_use_is_the_difference_of_two_looks() -> None:
    def look(second: int, cpu_s: float) -> dict[str, Any]:
        return {
            "read": f"2026-01-01T00:00:{second:02}.000000000Z",
            "cpu_stats": {"cpu_usage": {"total_usage": cpu_s * 1e9}},
            "memory_stats": {"usage": 100, "stats": {"total_inactive_file": 30}},
            "pids_stats": {"current": 3},
        }

    measured = meter.Meter()
    (first,) = measured.measure({ATTEMPT: look(0, 1.0)})
    assert (first.cpu_cores, first.memory_bytes, first.processes) == (0.0, 70, 3)
    (second,) = measured.measure({ATTEMPT: look(2, 2.0)})
    assert second.cpu_cores == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("image", "named", "told"),
    [
        (
            "registry.site:5000/zoe/redis:7",
            ["other/redis@sha256:1", "registry.site:5000/zoe/redis@sha256:2"],
            "registry.site:5000/zoe/redis@sha256:2",
        ),
        (
            "registry.site:5000/zoe/redis",
            ["registry.site:5000/zoe/redis@sha256:2"],
            "registry.site:5000/zoe/redis@sha256:2",
        ),
        ("redis:7", ["redis-stack@sha256:1", "redis@sha256:2"], "redis@sha256:2"),
        ("redis@sha256:2", ["redis@sha256:2"], "redis@sha256:2"),
        ("renamed:1", ["redis@sha256:2"], "redis@sha256:2"),
        ("zoe/redis:7", [], "sha256:12ab"),
        ("zoe/redis:7", None, "sha256:12ab"),
    ],
)
def test_an_image_is_told_as_its_registry_knows_it(image: str, named: list[str] | None, told: str) -> None:
    assert digest_of({"Id": "sha256:12ab", "RepoDigests": named}, image) == told
