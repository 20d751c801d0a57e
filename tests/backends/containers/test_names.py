"""Names of containers are readable, short, and never the same for two things."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from zoe_jupyter.backends.containers.names import NAME_LENGTH, Attempt, slug

LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")


@given(st.text(max_size=200), st.text(max_size=80))
def test_a_slug_is_a_dns_label_whatever_it_is_made_of(full: str, shown: str) -> None:
    made = slug(full, shown=shown)
    assert LABEL.fullmatch(made)
    assert len(made) <= NAME_LENGTH


def test_what_looks_alike_has_different_slugs() -> None:
    names = ["a.b-0", "a-b-0", "a_b-0", "A.b-0", "a.b-0 ", "a.b-00", "ä.b-0", "é.b-0", "x" * 60, "x" * 61]
    assert len({slug(name) for name in names}) == len(names)
    assert slug(slug("a")) != slug("a")


def test_a_container_shows_its_service_and_its_host_outlives_the_attempt() -> None:
    first, second = (Attempt("zoe", "e1", "spark.master-0", number) for number in (1, 2))
    assert str(first) == "zoe/e1/spark.master-0#1"
    assert first.name.startswith("zoe-e1-spark-master-0-1-")
    assert first.host.startswith("spark-master-0-")
    assert first.name != second.name
    assert first.host == second.host
    assert first.host != Attempt("zoe", "e2", "spark.master-0", 1).host
