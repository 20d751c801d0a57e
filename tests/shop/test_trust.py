"""Whose pages may share Jupyter's origin: those of sources that the admin trusts, never because a description says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from zoe_jupyter.shop.catalogue import open_catalogue
from zoe_jupyter.shop.compose import compose

PAGE = """
zoe: 1
kind: framework
name: {name}
version: "1"
title: {name}
{more}
processes:
  main:
    command: [sleep, "1"]
    ports: {{ui: {{protocol: http, title: Page}}}}
"""
ZAPP = """
zoe: 1
kind: zapp
name: both
frameworks: [{use: ours}, {use: THEIRS}]
"""


def put(source: Path, name: str, text: str = "", *, more: str = "", file: str = "framework.yaml") -> None:
    folder = source / name
    folder.mkdir(parents=True)
    (folder / file).write_text(text or PAGE.format(name=name, more=more))


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, Path]:
    """One that is trusted and one that is not."""
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    put(ours, "ours")
    put(ours, "modest", more="trusted: false")
    put(theirs, "theirs", more="trusted: true")
    put(theirs, "wrapped", ZAPP.replace("both", "wrapped").replace("THEIRS", "modest"), file="zapp.yaml")
    put(theirs, "lure", "zoe: 1\nkind: zapp\nname: lure\nframeworks: [{use: ours}]\n", file="zapp.yaml")
    return ours, theirs


@pytest.mark.parametrize(
    ("use", "is_trusted"),
    [("dask", True), ("ours", True), ("modest", False), ("theirs", False), ("wrapped", False), ("lure", False)],
)
def test_trust_comes_from_the_source(sources, use, is_trusted):
    catalogue = open_catalogue([str(source) for source in sources], trusted=[str(sources[0])])
    assert compose(catalogue=catalogue, use=use)[0].is_trusted is is_trusted


@pytest.mark.parametrize(("other", "is_trusted"), [("dask", True), ("theirs", False)])
def test_a_text_of_the_user_is_as_trusted_as_what_it_uses(sources, other, is_trusted):
    catalogue = open_catalogue([str(source) for source in sources], trusted=[str(sources[0])])
    assert compose(catalogue=catalogue, text=ZAPP.replace("THEIRS", other))[0].is_trusted is is_trusted


def test_of_two_with_one_name_the_trust_is_that_of_the_one_that_counts(tmp_path):
    put(tmp_path / "theirs", "dask")
    catalogue = open_catalogue([tmp_path / "theirs"])
    assert compose(catalogue=catalogue, use="dask")[0].is_trusted is False


def test_no_source_is_trusted_unless_the_admin_says_so(sources):
    catalogue = open_catalogue(sources)
    assert compose(catalogue=catalogue, use="ours")[0].is_trusted is False
