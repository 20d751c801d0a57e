"""From nothing to the first result of Spark in a notebook: %zoe attach spark over the same cluster started by hand."""

from __future__ import annotations

from benchmarks.attaching import Case, measure_attach
from benchmarks.running import Effort, Report

QUESTION = 'print("sum", spark.range(1000).selectExpr("sum(id)").collect()[0][0])'
BY_HAND = f"""
services = by_hand.start(orders)
from pyspark.sql import SparkSession
connect = next(order for order in services.orders if order["service"] == "spark.connect-0")
by_hand.wait_until_ready(connect)
token = next(content for name, content in connect["files"].items() if name.endswith("token"))
address = f"sc://localhost:{{connect['port_numbers']['grpc']}}/;token={{token.strip()}}"
spark = SparkSession.builder.remote(address).create()
{QUESTION}
"""


def measure(effort: Effort) -> Report:
    line = "%zoe attach spark --workers 1" if effort.is_quick else "%zoe attach spark"
    return measure_attach(Case("spark", f"{line}\n{QUESTION}", BY_HAND, "sum 499500"), effort)
