"""Which image a service runs, and what images say about themselves."""

from __future__ import annotations

import json

import pytest

from zoe_jupyter.backends.containers.images import (
    CONTENT_LABEL,
    Content,
    environment_of,
    is_refusal,
    read_content,
    resolve,
)
from zoe_jupyter.model.application import Requirement
from zoe_jupyter.model.images import default_image

SPARK = Content("3.11.2", "17.0.15", {"pyspark": "4.0.1"})


def test_only_zoes_own_images_are_where_the_site_says() -> None:
    assert resolve("zoe/spark:4", "registry.site:5000/tools/zoe-") == "registry.site:5000/tools/zoe-spark:4"
    assert resolve("zoe/spark:4", "zoe/") == "zoe/spark:4"
    assert resolve("redis:7", "registry.site/") == "redis:7"


def test_a_framework_without_an_image_has_its_own() -> None:
    assert default_image("spark", "4") == "zoe/spark:4"
    assert default_image("spark", "") == "zoe/spark:latest"
    assert default_image("spark", "4.0 beta") == "zoe/spark:4.0-beta"


@pytest.mark.parametrize(
    ("said", "is_in_vain"),
    [
        ("docker.io/library/nothing:1: not found", True),
        ("pull access denied, repository does not exist or may require authorization", True),
        ("unexpected status code 401 Unauthorized", True),
        ('Head "https://registry.site/v2/": dial tcp 10.0.0.1:443: connect: connection refused', False),
        ("toomanyrequests: you have reached your pull rate limit", False),
    ],
)
def test_a_registry_that_refuses_is_told_from_one_that_does_not_answer(said: str, is_in_vain: bool) -> None:
    assert is_refusal(said) is is_in_vain


def test_labels_say_what_is_in_an_image() -> None:
    body = {"python_version": "3.11.2", "java_version": "17.0.15", "packages": {"PySpark": "4.0.1"}}
    assert read_content({CONTENT_LABEL: json.dumps(body)}) == SPARK
    for broken in (None, {}, {CONTENT_LABEL: "{"}, {CONTENT_LABEL: "[]"}, {CONTENT_LABEL: '{"packages": 3}'}):
        assert read_content(broken) == Content()


def test_what_images_lack_is_told_before_anything_starts() -> None:
    wanted = Requirement(python=("pyspark>=4,<5",), java=">=17")
    found = environment_of({"zoe/spark:4": SPARK}, wanted)
    assert (found.python, found.python_version, found.java_version) == ("python3", "3.11.2", "17.0.15")
    assert dict(found.packages) == {"pyspark": "4.0.1"}
    assert not found.problems

    (problem,) = environment_of({"zoe/spark:4": SPARK}, Requirement(python=("pyspark>=5",))).problems
    assert "zoe/spark:4 has pyspark 4.0.1, but pyspark>=5 is needed" in problem
    (problem,) = environment_of({"zoe/spark:4": SPARK}, Requirement(python=("dask",))).problems
    assert "has no dask" in problem
    (problem,) = environment_of({"zoe/spark:4": SPARK}, Requirement(java=">=21")).problems
    assert "Java 17.0.15" in problem


def test_of_an_image_that_says_nothing_nothing_is_held_against_it() -> None:
    found = environment_of({"redis:7": Content()}, Requirement(python=("redis",), java=">=17"))
    assert not found.problems
    assert found.python_version == ""
