"""Spark: a join and an aggregation over Connect, files beside the notebook, Python functions."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.frameworks.cases import Case

ROWS = 1200


@contextmanager
def attach(values: Mapping[str, Any], secrets: Mapping[str, str]) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pyspark.sql import SparkSession

        session = SparkSession.builder.remote(f"{values['url']}/;token={secrets['token']}").create()
        try:
            _see_that_others_are_not_let_in(values["url"])
            yield session
        finally:
            session.stop()


def _see_that_others_are_not_let_in(url: str) -> None:
    """Neither without a token, nor with another one."""
    from pyspark.errors.exceptions.connect import SparkConnectException
    from pyspark.sql import SparkSession

    for address in (url, f"{url}/;token=another"):
        with pytest.raises(SparkConnectException, match=r"UNAUTHENTICATED|[Aa]uthentication"):
            SparkSession.builder.remote(address).create().range(1).collect()


def work(session: Any, folder: Path) -> None:
    from pyspark.sql import functions as f

    people = session.read.csv("people.csv", header=True, inferSchema=True)
    ages = session.createDataFrame([(1, 30), (2, 40)], "id int, age int")
    rows = people.join(ages, "id").groupBy("town").agg(f.sum("age").alias("age")).orderBy("town").collect()
    assert [(row.town, row.age) for row in rows] == [("Bern", 30), ("Oslo", 40)]
    people.write.saveAsTable("people", mode="overwrite")
    assert (folder / "spark-warehouse" / "people").is_dir()
    double = f.udf(lambda value: value * 2, "int")
    assert [row[0] for row in ages.select(double("age")).collect()] == [60, 80]
    assert session.conf.get("spark.sql.shuffle.partitions") == "7"


def long_job(session: Any) -> tuple[Any, Any]:
    from pyspark.sql import functions as f

    @f.udf("long")
    def slow(value: int) -> int:
        import time

        time.sleep(0.01)
        return value * 2

    numbers = session.range(0, ROWS, numPartitions=40).select(slow("id").alias("y"), (f.col("id") % 10).alias("k"))
    rows = numbers.groupBy("k").agg(f.sum("y").alias("s")).collect()
    return {row.k: row.s for row in rows}, {k: sum(2 * i for i in range(k, ROWS, 10)) for k in range(10)}


CASE = Case(
    parameters={"workers": 2, "conf": {"spark.sql.shuffle.partitions": "7"}},
    needs="spark",
    files={"people.csv": "id,town\n1,Bern\n2,Oslo\n"},
    attach=attach,
    work=work,
    long_job=long_job,
    scalable="worker",
)
