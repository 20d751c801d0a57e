"""Attach kinds: what they find out about versions, and how they come into a kernel."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import pytest

from zoe_jupyter.attach import dask, spark, versions
from zoe_jupyter.attach.dask import DaskAttach
from zoe_jupyter.attach.kinds import find_kind, kind_names
from zoe_jupyter.attach.spark import SparkAttach
from zoe_jupyter.engine.certificates import new_certificate

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}.1"
CONNECT = {
    "grpcio": "1.7",
    "grpcio-status": "1.7",
    "googleapis-common-protos": "1.7",
    "pandas": "2.3.0",
    "pyarrow": "20",
}


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Decides what is installed beside this kernel."""

    def decide(**packages: str) -> None:
        found = {name.replace("_", "-"): version for name, version in packages.items()}
        monkeypatch.setattr(versions, "_version", lambda name: found.get(name, ""))
        monkeypatch.setattr(versions, "loaded", lambda module: "")

    return decide


def environment(python: str = PYTHON, **packages: str) -> dict[str, Any]:
    return {"python_version": python, "packages": packages}


def test_kinds_are_found_by_name_also_without_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoe_jupyter.plugins.entry_points", lambda group: [])
    assert kind_names() == ["dask", "spark"]
    assert isinstance(find_kind("spark"), SparkAttach)
    assert find_kind("fax") is None


def test_a_kernel_without_pyspark_is_told_what_to_install(installed: Any) -> None:
    installed()
    (problem,) = SparkAttach().check(None).problems
    assert sys.executable in problem
    assert '%pip install "pyspark[connect]>=4,<5"' in problem
    (problem,) = SparkAttach().check(environment(pyspark="4.1.2")).problems
    assert '`%pip install "pyspark[connect]==4.1.*" "pandas<3"`' in problem


def test_a_kernel_without_pip_is_told_of_what_it_has(installed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in an environment that uv made, where `%pip` would only say that there is no module pip."""
    installed()
    monkeypatch.setattr(versions, "find_spec", lambda name: None)
    monkeypatch.setattr(versions, "which", lambda name: "/usr/bin/uv")
    (problem,) = DaskAttach().check(None).problems
    assert f'`!uv pip install --python {sys.executable} "dask[distributed]>=2024.1"' in problem
    monkeypatch.setattr(versions, "which", lambda name: None)
    (problem,) = SparkAttach().check(None).problems
    assert f'`!{sys.executable} -m ensurepip` and then `%pip install "pyspark[connect]>=4,<5"' in problem


def test_a_kernel_with_half_of_it_is_told_what_is_missing(installed: Any) -> None:
    installed(pyspark="4.3.0", pandas="2.2")
    (problem,) = SparkAttach().check(None).problems
    assert "without grpcio, grpcio-status, googleapis-common-protos, pyarrow" in problem


@pytest.mark.parametrize(
    ("here", "there", "breaks", "warns"),
    [
        ("4.3.0", "4.3.0", False, False),
        ("4.3.1", "4.3.0", False, False),
        ("4.2.0", "4.3.0", False, True),
        ("4.3.0", "4.2.0", True, False),
        ("3.5.9", "4.3.0", True, False),
        ("4.3.0", "", False, False),
    ],
)
def test_older_clients_are_served_newer_ones_and_other_majors_are_not(
    installed: Any, here: str, there: str, breaks: bool, warns: bool
) -> None:
    installed(pyspark=here, **{name.replace("-", "_"): version for name, version in CONNECT.items()})
    found = SparkAttach().check(environment(pyspark=there))
    assert bool(found.problems) is breaks
    assert bool(found.warnings) is warns
    if breaks:
        assert f'%pip install "pyspark[connect]=={versions.series(there)}.*"' in found.problems[0]


def test_another_python_and_pandas_3_are_warned_of(installed: Any) -> None:
    installed(
        pyspark="4.3.0", **{**{name.replace("-", "_"): version for name, version in CONNECT.items()}, "pandas": "3.0.1"}
    )
    found = SparkAttach().check(environment("3.9.2", pyspark="4.3.0"))
    assert not found.problems
    assert "the cluster Python 3.9: Python functions (UDFs) in Spark may fail" in found.warnings[0]
    assert '%pip install "pandas<3"' in found.warnings[1]


def test_a_kernel_that_has_loaded_another_version_must_be_restarted(
    installed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(pyspark="4.3.0", **{name.replace("-", "_"): version for name, version in CONNECT.items()})
    monkeypatch.setattr(versions, "loaded", lambda module: "4.1.0")
    assert SparkAttach().check(None).problems == (
        "this kernel has loaded pyspark 4.1.0, but 4.3.0 is installed now: restart the kernel",
    )


@pytest.mark.parametrize(
    ("here", "there", "breaks", "warns"),
    [
        ("2026.8.0", "2026.8.0", False, False),
        ("2026.8.1", "2026.8.0", False, True),
        ("2026.7.0", "2026.8.0", True, False),
        ("2026.8.0", "", False, False),
    ],
)
def test_dask_wants_the_same_release(installed: Any, here: str, there: str, breaks: bool, warns: bool) -> None:
    installed(distributed=here)
    found = DaskAttach().check(environment(distributed=there))
    assert (bool(found.problems), bool(found.warnings)) == (breaks, warns)
    installed()
    assert (
        '%pip install "dask[distributed]==2026.8.0"'
        in DaskAttach().check(environment(distributed="2026.8.0")).problems[0]
    )


def test_the_check_imports_no_driver() -> None:
    code = """
import sys
from zoe_jupyter.attach.kinds import find_kind
for name in ("spark", "dask"):
    find_kind(name).check({"python_version": "3.9", "packages": {"pyspark": "4.0.0", "distributed": "2025.1"}})
print(sorted(name for name in ("pyspark", "distributed", "pandas", "grpc") if name in sys.modules))
"""
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
        ).stdout.strip()
        == "[]"
    )


def test_a_token_without_tls_works_for_hosts_that_are_not_localhost() -> None:
    pytest.importorskip("pyspark")
    builder = spark.channel_builder("sc://10.0.0.7:15002", "t0")
    assert builder.endpoint == "10.0.0.7:15002"
    assert not builder.secure
    assert ("authorization", "Bearer t0") in list(builder.metadata())
    builder.toChannel().close()


def test_the_stock_builder_is_used_for_localhost_and_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    assert spark._with_token("sc://localhost:1", "a b/c") == "sc://localhost:1/;token=a%20b%2Fc"
    assert spark._with_token("sc://h:1/;use_ssl=true", "t") == "sc://h:1/;use_ssl=true;token=t"
    assert spark._with_token("sc://h:1", "") == "sc://h:1"


def test_classic_settings_carry_the_shared_secret_and_the_users_own() -> None:
    connection = {
        "name": "mine",
        "values": {"conf": {"spark.a": 1, "spark.driver.host": "10.0.0.2"}},
        "secrets": {"spark.secret": "s"},
    }
    found = spark._classic_configuration(connection)
    assert found["spark.authenticate.secret"] == "s"
    assert (found["spark.a"], found["spark.driver.host"], found["spark.app.name"]) == ("1", "10.0.0.2", "mine")


def test_a_dask_client_that_is_closed_in_the_middle_of_it_logs_no_traceback(caplog: pytest.LogCaptureFixture) -> None:
    DaskAttach().prepare()
    logger = logging.getLogger("distributed.client")
    for error in (asyncio.CancelledError(), ValueError("news")):
        logger.error("", exc_info=error)
    assert [record.exc_info[1] for record in caplog.records if record.exc_info] == [error]


def test_detaching_from_a_dead_spark_does_not_ask_it() -> None:
    asked: list[str] = []
    session = SimpleNamespace(
        release_session_on_close=True,
        stop=lambda: asked.append("release" if session.release_session_on_close else "close"),
    )
    SparkAttach().detach(session, is_over=True)
    session.release_session_on_close = True
    SparkAttach().detach(session, is_over=False)
    assert asked == ["close", "release"]


def test_the_key_of_a_cluster_stays_in_memory() -> None:
    pytest.importorskip("distributed")
    text = new_certificate()
    security = dask._security({"values": {}, "secrets": {"dask.tls": text}})["security"]
    assert (security.tls_ca_file, security.tls_client_cert, security.tls_client_key) == (text, text, text)
    assert security.require_encryption
    assert dask._security({"values": {}, "secrets": {}}) == {}


@pytest.mark.dask
@pytest.mark.parametrize(("package", "is_told"), [("python", False), ("numpy", True)])
def test_dasks_own_warning_is_told_unless_it_is_of_python_alone(package: str, is_told: bool) -> None:
    """Zoe says itself what matters of Python's version."""
    from distributed.versions import VersionMismatchWarning, error_message

    here, there = (
        {"packages": {"numpy": "2", "python": "3.11.2", package: version}} for version in ("3.11.7", "3.11.2")
    )
    text = error_message(there, {"w": there}, here)["warning"]
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        DaskAttach().prepare()
        warnings.warn(VersionMismatchWarning(text), stacklevel=1)
    assert bool(told) is is_told, text


@pytest.mark.dask
def test_dask_attaches_to_a_real_scheduler() -> None:
    from distributed import LocalCluster, get_client

    with LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None) as cluster:
        namespace: dict[str, Any] = {}
        kind = DaskAttach()
        assert kind.attach(
            {"values": {"address": cluster.scheduler_address}, "secrets": {}},
            namespace,
            "client",
            is_over=lambda: False,
        ) == ("client",)
        client = namespace["client"]
        assert client.submit(sum, [1, 2]).result(timeout=20) == 3
        assert get_client() is client
        assert kind.works(client)
        assert kind.describe(client) == "Dask with 1 worker"
        kind.detach(client, is_over=False)
        assert not kind.works(client)


@pytest.mark.dask
def test_a_dask_client_whose_scheduler_has_gone_does_not_look_for_it(caplog: pytest.LogCaptureFixture) -> None:
    from distributed import LocalCluster

    kind = DaskAttach()
    namespace: dict[str, Any] = {}
    kind.prepare()
    with LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster:
        where = {"values": {"address": cluster.scheduler_address}, "secrets": {}}
        kind.attach(where, namespace, "client", is_over=lambda: False)
    client = namespace["client"]
    kind.lose(client)
    assert client.status == "closed"
    assert client._handle_report_task.done()
    assert "Failed to reconnect" not in caplog.text
    kind.detach(client, is_over=True)
