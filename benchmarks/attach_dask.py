"""From nothing to the first result of Dask in a notebook: %zoe attach dask over the same cluster started by hand."""

from __future__ import annotations

from benchmarks.attaching import Case, measure_attach
from benchmarks.running import Effort, Report

QUESTION = 'print("sum", client.submit(sum, range(1000)).result())'
BY_HAND = f"""
services = by_hand.start(orders)
from distributed import Client, Security
# One that knocks too early waits a second before it knocks again.
by_hand.wait_until_ready(next(order for order in services.orders if order["service"] == "dask.scheduler-0"))
tls = services.orders[0]["files"]["tls.pem"]
security = Security(tls_ca_file=tls, tls_client_cert=tls, tls_client_key=tls, require_encryption=True)
client = Client(f"tls://127.0.0.1:{{services.port('dask.scheduler-0', 'comm')}}", security=security)
{QUESTION}
"""


def measure(effort: Effort) -> Report:
    line = "%zoe attach dask --workers 1" if effort.is_quick else "%zoe attach dask"
    return measure_attach(Case("dask", f"{line}\n{QUESTION}", BY_HAND, "sum 499500"), effort)
