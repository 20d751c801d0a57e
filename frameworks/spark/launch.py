"""Becomes one of Spark's Java programs: a standalone master, a worker, or the Spark Connect server.

Runs in the environment that has pyspark and imports nothing of it. Everything that Java is told goes through a file that only this
user can read, so that no secret is ever seen in a list of processes. Class data is shared through an archive in the user's cache,
which halves the time that Java needs to start from the second time on.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

MAIN = {
    "master": "org.apache.spark.deploy.master.Master",
    "worker": "org.apache.spark.deploy.worker.Worker",
    "connect": "org.apache.spark.sql.connect.service.SparkConnectServer",
}
SUBMIT = "org.apache.spark.deploy.SparkSubmit"
HEAP_SHARE = {"master": 0.5, "connect": 0.7}
WORKER_HEAP = "128m"
KEPT_ARCHIVES = 3
MAX_FAILURES = 3
ARCHIVE_MARKS = (b"\xa8\xab\x0b\xf0", b"\xf0\x0b\xab\xa8")
"""How an archive that was written to the end begins: a number, in this machine's order of bytes."""
OPENED = (
    "java.base/java.lang", "java.base/java.lang.invoke", "java.base/java.lang.reflect", "java.base/java.io", "java.base/java.net",
    "java.base/java.nio", "java.base/java.util", "java.base/java.util.concurrent", "java.base/java.util.concurrent.atomic",
    "java.base/jdk.internal.ref", "java.base/sun.nio.ch", "java.base/sun.nio.cs", "java.base/sun.security.action",
    "java.base/sun.util.calendar", "java.security.jgss/sun.security.krb5",
)  # fmt: skip
"""What Spark opens for itself (org.apache.spark.launcher.JavaModuleOptions)."""
SMALL = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData")
"""For programs that start often and compute little: half the CPU time at start."""


def main() -> None:
    options = _options()
    spark = _spark_home()
    home = Path(options.secret).parent
    settings = _settings(options, home)
    arguments = _java_arguments(options, spark, settings) + _program(options, settings)
    file = home / "java.args"
    file.touch(mode=0o600)
    file.write_text("".join(f"{_quoted(argument)}\n" for argument in arguments), encoding="utf-8")
    (home / "pid").write_text(str(os.getpid()), encoding="ascii")
    os.environ.update(_environment(options, spark, home))
    sys.stdout.flush()
    os.execv(options.java, [options.java, f"@{file}"])  # noqa: S606 - becoming Java is the point


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=sorted(MAIN))
    parser.add_argument("--java", required=True)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True)
    parser.add_argument("--ui-port", required=True)
    parser.add_argument(
        "--secret", required=True, help="file with what the programs of this cluster prove themselves with"
    )
    parser.add_argument("--token", help="file with what notebooks prove themselves with")
    parser.add_argument("--settings", help="file with settings by name, as JSON")
    parser.add_argument("--memory", type=int, default=0, help="bytes that this service may use in all")
    parser.add_argument("--master", help="where the master is: spark://host:port")
    parser.add_argument("--cores", default="1", help="of a worker, for executors")
    parser.add_argument("--executor-memory", default="", help="of a worker, for executors, as Java writes it: 512m")
    parser.add_argument("--notebook", default="", help="folder of the notebook that asked")
    options = parser.parse_args()
    options.java = shutil.which(options.java) or sys.exit(f"there is no Java program {options.java}")
    return options


def _spark_home() -> Path:
    found = importlib.util.find_spec("pyspark")
    if found is None or not found.submodule_search_locations:
        sys.exit(f"there is no pyspark in the environment of {sys.executable}")
    home = Path(next(iter(found.submodule_search_locations)))
    if not (home / "jars").is_dir():
        sys.exit(f"the pyspark in {home} has no Java programs (pyspark-client?); install the full pyspark there")
    return home


def _versions(spark: Path) -> tuple[str, str]:
    """Scala's and Spark's version, as the name of the core jar has them."""
    for jar in (spark / "jars").glob("spark-core_*.jar"):
        match = re.fullmatch(r"spark-core_([0-9.]+)-(.+)\.jar", jar.name)
        if match:
            return match[1], match[2]
    sys.exit(f"{spark / 'jars'} has no spark-core")


def _java_arguments(options: argparse.Namespace, spark: Path, settings: dict[str, str]) -> list[str]:
    heap = WORKER_HEAP
    if options.role in HEAP_SHARE and options.memory:
        heap = f"{int(options.memory * HEAP_SHARE[options.role]) >> 20}m"
    return [
        f"-Xmx{heap}",
        *SMALL,
        "-XX:+IgnoreUnrecognizedVMOptions",
        *_archive_flags(options, spark),
        *(f"--add-opens={package}=ALL-UNNAMED" for package in OPENED),
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
        "-Dio.netty.tryReflectionSetAccessible=true",
        "-Dio.netty.allocator.type=pooled",
        "-Dio.netty.handler.ssl.defaultEndpointVerificationAlgorithm=NONE",
        *_log_flags(options),
        *(f"-D{name}={value}" for name, value in settings.items()),
        *shlex.split(settings.get("spark.driver.extraJavaOptions", "")),
        "-cp",
        os.pathsep.join(filter(None, [settings.get("spark.driver.extraClassPath"), f"{spark}/jars/*"])),
    ]


def _log_flags(options: argparse.Namespace) -> list[str]:
    """Before the user's own options, so that a ``log4j2.configurationFile`` of theirs counts."""
    if options.role != "connect":
        return []
    return [f"-Dlog4j2.configurationFile={Path(__file__).resolve().with_name('log4j2.properties').as_uri()}"]


def _program(options: argparse.Namespace, settings: dict[str, str]) -> list[str]:
    address = ["--host", options.host, "--port", options.port, "--webui-port", options.ui_port]
    if options.role == "master":
        return [MAIN["master"], *address]
    if options.role == "worker":
        amount = [
            "--cores",
            options.cores,
            "--memory",
            options.executor_memory,
            "--work-dir",
            str(Path(options.secret).parent / "work"),
        ]
        return [MAIN["worker"], *address, *amount, options.master]
    if "spark.jars.packages" in settings:
        # Only this one downloads packages; it looks for settings among its arguments, not at those of Java.
        given = (part for name, value in settings.items() for part in ("--conf", f"{name}={value}"))
        return [SUBMIT, "--class", MAIN["connect"], *given, "spark-internal"]
    return [MAIN["connect"]]


def _settings(options: argparse.Namespace, home: Path) -> dict[str, str]:
    """Spark's settings of this program: its own defaults, the user's, and those that cannot be otherwise."""
    fixed = {
        "spark.authenticate": "true",
        "spark.authenticate.secret": Path(options.secret).read_text(encoding="ascii").strip(),
        "spark.port.maxRetries": "0",
        "spark.master.rest.enabled": "false",
        "spark.ui.killEnabled": "false",
        "spark.decommission.enabled": "true",
        "spark.worker.decommission.signal": decommission_signal(),
    }
    if options.role != "connect":
        return fixed
    fixed.update({
        "spark.master": options.master,
        "spark.driver.host": options.host,
        "spark.driver.bindAddress": options.host,
        "spark.ui.port": options.ui_port,
        "spark.connect.grpc.binding.address": options.host,
        "spark.connect.grpc.binding.port": options.port,
    })  # fmt: skip
    return {**_connect_defaults(options), **_user_settings(options), **fixed}


def _connect_defaults(options: argparse.Namespace) -> dict[str, str]:
    defaults = {"spark.app.name": "Zoe"}
    if options.notebook:
        defaults["spark.sql.warehouse.dir"] = str(Path(options.notebook) / "spark-warehouse")
    return defaults


def _user_settings(options: argparse.Namespace) -> dict[str, str]:
    if not options.settings:
        return {}
    return {
        str(name): str(value) for name, value in json.loads(Path(options.settings).read_text(encoding="utf-8")).items()
    }


def decommission_signal() -> str:
    """By which a worker is told to hand over its work; what the JVM leaves free on this system."""
    return "PWR" if hasattr(signal, "SIGPWR") else "WINCH"


def _environment(options: argparse.Namespace, spark: Path, home: Path) -> dict[str, str]:
    scratch = home / "scratch"
    scratch.mkdir(exist_ok=True)
    libraries = sorted(map(str, (spark / "python" / "lib").glob("*.zip")))
    found = {
        "SPARK_HOME": str(spark),
        "SPARK_SCALA_VERSION": _versions(spark)[0],
        "SPARK_LOCAL_IP": options.host,
        "SPARK_LOCAL_DIRS": str(scratch),
        "SPARK_NO_DAEMONIZE": "1",
        "PYSPARK_PYTHON": options.python,
        "JAVA_HOME": str(Path(__file__).resolve().parent / "java-home"),
        "ZOE_SPARK_JAVA": os.path.realpath(options.java),
    }
    archives = _cache_folder(options, spark)
    if archives is not None:
        found["ZOE_SPARK_ARCHIVES"] = str(archives)
    if options.token:
        found["SPARK_CONNECT_AUTHENTICATE_TOKEN"] = Path(options.token).read_text(encoding="ascii").strip()
    if options.role == "connect":
        found["PYTHONPATH"] = os.pathsep.join(filter(None, [*libraries, os.environ.get("PYTHONPATH", "")]))
    return found


def _archive_flags(options: argparse.Namespace, spark: Path) -> list[str]:
    """Flags with which Java uses archives of its loaded classes, or writes them when it ends, the first time."""
    folder = _cache_folder(options, spark)
    if folder is None:
        return []
    for role in (*MAIN, "executor"):
        _tidy(folder, role)
    base = _base_archive(options.java, folder)
    if base is None:
        return []
    top, quiet = folder / f"{options.role}.jsa", ["-Xlog:disable", "-Xlog:all=error:stderr"]
    if top.exists():
        return [f"-XX:SharedArchiveFile={os.pathsep.join(filter(None, (base, str(top))))}", *quiet]
    flags = [f"-XX:SharedArchiveFile={base}"] if base else []
    if _claim(folder, options.role):
        flags.append(f"-XX:ArchiveClassesAtExit={folder / f'{options.role}-{os.getpid()}.draft'}")
    return [*flags, *quiet]


def _cache_folder(options: argparse.Namespace, spark: Path) -> Path | None:
    """The archives of this Java with this Spark. None where there can be none."""
    java = Path(os.path.realpath(options.java))
    core = next((spark / "jars").glob("spark-core_*.jar"))
    mark = f"{spark}{os.pathsep}{java}{os.pathsep}{core.stat().st_mtime_ns}"
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "zoe-jupyter" / "spark"
    try:
        release = re.search(
            r'^JAVA_VERSION="([^"]+)"', (java.parent.parent / "release").read_text(encoding="utf-8"), re.MULTILINE
        )
        if release is None:
            return None
        folder = root / f"{_versions(spark)[1]}-java-{release[1]}-{zlib.crc32(mark.encode()):08x}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.utime(folder)
        for old in sorted(root.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_ARCHIVES:]:
            shutil.rmtree(old, ignore_errors=True)
    except OSError:
        return None
    return folder


def _tidy(folder: Path, role: str) -> None:
    """Take an archive into use that a Java, which has ended, wrote to the end; one that failed may be tried again, a few times a day."""
    claim = folder / f"{role}.claim"
    with contextlib.suppress(OSError):
        for draft in folder.glob(f"{role}-*.draft"):
            if _lives(draft.stem.rpartition("-")[2]):
                continue
            with draft.open("rb") as stream:
                is_whole = stream.read(4) in ARCHIVE_MARKS
            draft.replace(folder / f"{role}.jsa") if is_whole else draft.unlink()
        failures = [path for path in folder.glob(f"{role}.failed-*") if path.stat().st_mtime > time.time() - 86400]
        if not claim.exists() or _lives(claim.read_text(encoding="ascii").strip()) or len(failures) >= MAX_FAILURES:
            return
        if (folder / f"{role}.jsa").exists():
            claim.unlink()
        else:
            claim.replace(folder / f"{role}.failed-{len(failures)}")


def _claim(folder: Path, role: str) -> bool:
    """Whether this program is the one that writes the archive of its role; of those that run at the same time, one does."""
    try:
        with (folder / f"{role}.claim").open("x", encoding="ascii") as stream:
            stream.write(str(os.getpid()))
    except OSError:
        return False
    return True


def _lives(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (OSError, ValueError):
        return False
    return True


def _base_archive(java: str, folder: Path) -> str | None:
    """An archive of Java's own classes, made once in about a second; empty where this Java has one, None where there is none."""
    if (Path(os.path.realpath(java)).parent.parent / "lib" / "server" / "classes.jsa").exists():
        return ""
    base = folder / "base.jsa"
    if not base.exists():
        draft = folder / f"base-{os.getpid()}.jsa"
        command = [java, "-Xshare:dump", "-XX:+UseSerialGC", f"-XX:SharedArchiveFile={draft}"]
        try:
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
            draft.replace(base)
        except (OSError, subprocess.SubprocessError):
            draft.unlink(missing_ok=True)
            return None
    return str(base)


def _quoted(argument: str) -> str:
    """One argument in Java's argument file."""
    escaped = argument.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


if __name__ == "__main__":
    main()
