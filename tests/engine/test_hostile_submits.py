"""What comes beside a description is held to limits too, by a check as by a submit."""

from __future__ import annotations

from typing import Any

import pytest

from zoe_jupyter.engine.door import Submission
from zoe_jupyter.model.errors import InvalidDescription
from zoe_jupyter.model.execution import Client
from zoe_jupyter.testing.house import ALICE, House

HOSTILE: dict[str, tuple[dict[str, Any], str]] = {
    "a long label": ({"labels": {"a": "x" * 100_000}}, "labels.a"),
    "a long key": ({"labels": {"x" * 100_000: "a"}}, "labels.x"),
    "many labels": ({"labels": {str(n): "a" for n in range(1000)}}, "labels"),
    "a long folder": ({"client": Client(cwd="x" * 100_000)}, "client.cwd"),
    "an interpreter with NUL": ({"client": Client(python="/bin/\0sh")}, "client.python"),
    "a life without end": ({"lifetime": {"after": 1e308}}, "lifetime.after"),
    "more than a life": ({"lifetime": {"idle": "9" * 12 + "d"}}, "lifetime.idle"),
    "infinity": ({"lifetime": {"grace": float("inf")}}, "lifetime.grace"),
    "a negative life": ({"lifetime": {"after": -1}}, "lifetime.after"),
    "a look-alike": ({"name": "sp\u0430rk"}, "name"),
    "right to left": ({"name": "\u202ekraps"}, "name"),
    "a path": ({"name": "../x"}, "name"),
    "a long name": ({"name": "x" * 100_000}, "name"),
}


@pytest.mark.parametrize(("fields", "place"), HOSTILE.values(), ids=HOSTILE)
async def test_what_breaks_the_limits_is_refused_with_its_place(
    house: House, fields: dict[str, Any], place: str
) -> None:
    submission = Submission(use="job", **fields)
    for ask in (house.core.check(submission, ALICE), house.core.submit(submission, ALICE, key=None)):
        with pytest.raises(InvalidDescription) as refused:
            await ask
        assert refused.value.problems[0].path.startswith(place)
        assert len(refused.value.message) < 1000
    assert not house.core.has_live()
