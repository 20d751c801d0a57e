"""Reasons name what people filled in."""

from __future__ import annotations

import pytest

from zoe_jupyter.engine.door import Submission
from zoe_jupyter.engine.wording import in_own_words
from zoe_jupyter.model.application import Application, Process
from zoe_jupyter.model.errors import Unfit
from zoe_jupyter.model.execution import Reason
from zoe_jupyter.testing.house import ALICE, House

WORKER = Process("spark.worker", "spark", ("run",), decided_by={"memory": "worker_memory"})
SPARK = Application("spark", "Spark", (WORKER, Process("spark.master", "spark", ("run",))), {})
ZAPP = """
zoe: 1
kind: zapp
name: big
parameters: {type: object, properties: {room: {type: string, format: memory, default: 64GiB}}}
frameworks: [{use: cluster, parameters: {memory: "{{ parameters.room }}"}}]
"""


def lack(process: str, resource: str, *also: Reason) -> Reason:
    numbers = {"process": process, "resource": resource}
    return Reason("waits_for_resources", f"{process} needs more; lower `{resource}` or wait", numbers, also)


@pytest.mark.parametrize(
    ("process", "resource", "named"),
    [
        ("spark.worker", "memory", "worker_memory"),
        ("spark.worker", "cores", "cores"),
        ("spark.master", "memory", "memory"),
        ("", "memory", "worker_memory"),
    ],
)
def test_what_is_to_be_lowered_is_named_as_in_the_form(process: str, resource: str, named: str) -> None:
    assert in_own_words(lack(process, resource), SPARK).text == f"{process} needs more; lower `{named}` or wait"


def test_of_what_is_too_much_together_each_is_named() -> None:
    master = Process("spark.master", "spark", ("run",), decided_by={"memory": "master_memory"})
    reason = in_own_words(lack("", "memory"), Application("spark", "Spark", (WORKER, master), {}))
    assert "lower `master_memory`, `worker_memory` or wait" in reason.text
    assert "parameter" not in reason.numbers


def test_programs_and_further_reasons_have_it_too() -> None:
    reason = in_own_words(Reason("quota", "enough", {}, (lack("spark.worker", "memory"),)), SPARK)
    assert reason.text == "enough"
    assert reason.also[0].numbers["parameter"] == "worker_memory"


async def test_of_a_zapp_its_own_parameter_is_named(house: House) -> None:
    """Not that of the framework inside it, which nobody can set."""
    with pytest.raises(Unfit, match="lower `room`"):
        await house.core.submit(Submission(text=ZAPP), ALICE, key=None)
    check = await house.core.check(Submission(text=ZAPP), ALICE)
    assert check.reason is not None
    assert "lower `room`" in check.reason.text
