"""Runs a job: code, a script or a module, with its arguments, connected to the engines that it was given."""

from __future__ import annotations

import contextlib
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any


def main() -> None:
    folder = Path(sys.argv[1]).parent
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    os.environ.update(job["environment"])
    _connect_spark(job.get("spark") or {}, folder)
    _connect_dask(job.get("dask") or {}, folder)
    sys.path[0] = os.getcwd()
    if job["code"]:
        _run_code(job, folder)
    elif job["module"]:
        sys.argv = [job["module"], *job["args"]]
        runpy.run_module(job["module"], run_name="__main__", alter_sys=True)
    else:
        if not Path(job["script"]).exists():
            sys.exit(_no_script(job["script"], is_in_notebooks_folder=bool(job.get("folder"))))
        sys.argv = [job["script"], *job["args"]]
        sys.path[0] = str(Path(job["script"]).resolve().parent)
        runpy.run_path(job["script"], run_name="__main__")


def _no_script(script: str, *, is_in_notebooks_folder: bool) -> str:
    if is_in_notebooks_folder:
        return f"there is no script {script} in {os.getcwd()}"
    return (
        f"there is no script {script}: this job does not see the notebook's folder. "
        "Give `code` instead, as %%zoe run does, or put the script into a folder that the site shares with services"
    )


def _run_code(job: dict[str, Any], folder: Path) -> None:
    """Run code as a notebook would: what is connected has its usual name."""
    file = folder / "code.py"
    file.touch(mode=0o600)
    file.write_text(job["code"], encoding="utf-8")
    sys.argv = [str(file), *job["args"]]
    with contextlib.ExitStack() as stack:
        runpy.run_path(str(file), init_globals=_names(job, stack), run_name="__main__")


def _names(job: dict[str, Any], stack: contextlib.ExitStack) -> dict[str, Any]:
    names: dict[str, Any] = {}
    if job.get("spark"):
        from pyspark.sql import SparkSession

        names["spark"] = SparkSession.builder.getOrCreate()
        stack.callback(names["spark"].stop)
    if job.get("dask"):
        from distributed import Client

        names["client"] = stack.enter_context(Client(job["dask"]["address"]))
    return names


def _connect_dask(dask: dict[str, Any], folder: Path) -> None:
    """Let ``distributed.Client()`` find this cluster, and be let in."""
    if not dask.get("address"):
        return
    os.environ["DASK_SCHEDULER_ADDRESS"] = dask["address"]
    if dask.get("tls"):
        file = folder / "dask.pem"
        file.touch(mode=0o600)
        file.write_text(dask["tls"], encoding="ascii")
        for name in ("CA_FILE", "CLIENT__CERT", "CLIENT__KEY"):
            os.environ[f"DASK_DISTRIBUTED__COMM__TLS__{name}"] = str(file)


def _connect_spark(spark: dict[str, Any], folder: Path) -> None:
    """Let ``SparkSession.builder.getOrCreate()`` find this Spark."""
    if spark.get("url"):
        os.environ["SPARK_REMOTE"] = spark["url"]
        os.environ["SPARK_CONNECT_AUTHENTICATE_TOKEN"] = spark["token"]
    elif spark.get("master"):
        _write_defaults(spark, folder / "spark-conf")
        os.environ.setdefault("JAVA_HOME", spark["java_home"])
        os.environ["PYSPARK_PYTHON"] = sys.executable


def _write_defaults(spark: dict[str, Any], folder: Path) -> None:
    """Settings of a classic driver; the secret among them stays in a file that only this user can read."""
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        **spark["conf"],
        "spark.master": spark["master"],
        "spark.authenticate": "true",
        "spark.authenticate.secret": spark["secret"],
    }
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "spark-defaults.conf"
    file.touch(mode=0o600)
    lines = (f"{name} {str(value).encode('unicode_escape').decode('ascii')}" for name, value in settings.items())
    file.write_text("\n".join(lines) + "\n", encoding="ascii")
    os.environ["SPARK_CONF_DIR"] = str(folder)


if __name__ == "__main__":
    main()
