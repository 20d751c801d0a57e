"""What Spark's settings become, without starting it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.requirements import require
from zoe_jupyter.model.errors import InvalidDescription
from zoe_jupyter.shop.catalogue import open_catalogue
from zoe_jupyter.shop.compose import compose
from zoe_jupyter.shop.sources import shipped_folder


@pytest.mark.parametrize("name", ["spark.executor.memory", "spark.master", "spark.authenticate.secret"])
def test_settings_that_zoe_makes_itself_are_refused_by_name(name: str) -> None:
    parameters = {"conf": {name: "4g", "spark.sql.shuffle.partitions": "7"}}
    with pytest.raises(InvalidDescription, match=rf"'{name}': Zoe sets this itself"):
        compose(catalogue=open_catalogue(), use="spark", parameters=parameters)


@pytest.mark.spark
def test_options_for_java_and_its_classes_reach_it(tmp_path: Path) -> None:
    require("spark")
    conf = {
        "spark.driver.extraJavaOptions": "-Djavax.net.ssl.trustStore='/a b/store' -verbose:gc",
        "spark.driver.extraClassPath": "/opt/lib/*",
    }
    arguments = java_arguments(tmp_path, conf)
    assert arguments[arguments.index("-cp") + 1].startswith("/opt/lib/*:")
    assert arguments[arguments.index("-cp") - 2 :][:2] == ["-Djavax.net.ssl.trustStore=/a b/store", "-verbose:gc"]


@pytest.mark.spark
def test_a_users_own_configuration_of_the_log_counts_more_than_ours(tmp_path: Path) -> None:
    require("spark")
    given = "-Dlog4j2.configurationFile=/own.properties"
    arguments = java_arguments(tmp_path, {"spark.driver.extraJavaOptions": given})
    ours, theirs = (word for word in arguments if word.startswith("-Dlog4j2.configurationFile="))
    assert (Path(ours.partition("=file://")[2]).is_file(), theirs) == (True, given)


def java_arguments(folder: Path, conf: dict[str, str]) -> list[str]:
    """What the launcher of the Connect server writes for Java; ``true`` stands in its place."""
    (folder / "secret").write_text("s3cret")
    (folder / "settings.json").write_text(json.dumps(conf))
    options = {
        "java": "/bin/true", "host": "127.0.0.1", "port": "1", "ui-port": "2", "secret": folder / "secret",
        "settings": folder / "settings.json", "memory": "1000000000", "master": "spark://127.0.0.1:3",
    }  # fmt: skip
    command = [sys.executable, shipped_folder() / "spark" / "launch.py", "connect"]
    subprocess.run([*command, *(f"--{name}={value}" for name, value in options.items())], check=True)
    lines = (folder / "java.args").read_text().splitlines()
    return [json.loads(line) for line in lines]
