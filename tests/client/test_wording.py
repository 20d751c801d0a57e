"""What is wrong with a request is told in the words of the line that asked for it."""

from __future__ import annotations

import pytest

from zoe_jupyter.client.verbs.wording import told_as_options
from zoe_jupyter.model.errors import InvalidDescription, NotFound, Problem


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (Problem("is too much", path="parameters.worker_memory"), "--worker-memory: is too much"),
        (Problem("is no text", path="parameters.conf.spark.x"), "--conf.spark.x: is no text"),
        (Problem("is too much", path="frameworks.0.parameters.workers"), "--workers: is too much"),
        (Problem("give exactly one of a and b", path="parameters"), "give exactly one of a and b"),
        (Problem("spark.worker can have 1 to 64", path="counts.spark.worker"), "spark.worker can have 1 to 64"),
        (Problem("is no duration", path="lifetime.after"), "--for: is no duration"),
        (Problem("is not a name", path="name"), "--name: is not a name"),
        (Problem("is unknown", path="labels.x"), "labels.x: is unknown"),
        (Problem("is missing", path="name", line=3), "line 3: name: is missing"),
        (Problem("is missing", path="name", file="a.yaml"), "a.yaml: name: is missing"),
    ],
)
def test_fields_of_a_request_are_options_and_those_of_a_description_stay(problem: Problem, told: str) -> None:
    with pytest.raises(InvalidDescription) as error, told_as_options():
        raise InvalidDescription([problem, Problem("and more")])
    assert error.value.message == f"{told}\nand more"


def test_other_errors_pass() -> None:
    with pytest.raises(NotFound, match="nothing"), told_as_options():
        raise NotFound("nothing")
