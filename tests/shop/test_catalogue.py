"""The shop's entries, and folders that are broken or hostile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.shop.conftest import ENGINE, write
from zoe_jupyter.model.errors import NotFound
from zoe_jupyter.shop.catalogue import Catalogue, open_catalogue
from zoe_jupyter.shop.logos import logo_problem
from zoe_jupyter.shop.sources import FolderSource, shipped_folder

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{}</svg>'


def test_an_entry_says_what_it_is(catalogue: Catalogue) -> None:
    entry = catalogue.entry("engine")
    assert (entry.kind, entry.title, entry.audience, entry.connections) == ("framework", "Engine", "user", ("engine",))
    assert entry.is_runnable
    assert entry.form["properties"]["workers"]["maximum"] == 8
    assert [e.name for e in catalogue.entries()] == ["engine", "job"]


def test_what_cannot_run_alone_says_what_it_lacks(catalogue: Catalogue) -> None:
    entry = catalogue.entry("job")
    assert not entry.is_runnable
    assert entry.lacks == ("a connection of kind engine (accepts.engine)",)


def test_an_unknown_name_is_told_with_close_ones(catalogue: Catalogue) -> None:
    with pytest.raises(NotFound, match="did you mean engine"):
        catalogue.entry("engin")


def test_a_broken_folder_harms_nothing_else_and_is_told(source: Path, catalogue: Catalogue) -> None:
    write(source, "zoe: 1\nkind: framework\nname: broken\nprocesses: {a: {comand: [x]}}\n")
    assert [entry.name for entry in catalogue.entries()] == ["engine", "job"]
    told = {(problem.path, problem.line) for problem in catalogue.problems}
    assert told == {("processes.a.command", 4), ("processes.a.comand", 4)}
    with pytest.raises(NotFound, match=r"its description is wrong: broken/framework\.yaml:4"):
        catalogue.entry("broken")


def test_a_changed_file_is_read_again(source: Path, catalogue: Catalogue) -> None:
    assert catalogue.entry("engine").title == "Engine"
    write(source, ENGINE.replace("title: Engine\n", "title: Motor of another make\n"))
    assert catalogue.entry("engine").title == "Motor of another make"


def test_a_later_source_wins(source: Path, tmp_path: Path) -> None:
    write(tmp_path / "site", ENGINE.replace("title: Engine\n", "title: Ours\n"))
    catalogue = Catalogue([FolderSource(source), FolderSource(tmp_path / "site")])
    assert catalogue.entry("engine").title == "Ours"
    assert catalogue.entry("engine").source == "site"


def test_a_zapp_lacks_frameworks_that_are_not_there(source: Path, catalogue: Catalogue) -> None:
    write(source, "zoe: 1\nkind: zapp\nname: both\nframeworks: [{use: engine}, {use: ghost}]\n")
    entry = catalogue.entry("both")
    assert entry.lacks == ("the framework ghost, which is not in the shop",)
    assert entry.connections == ("engine",)


@pytest.mark.parametrize("name", ["other", "Upper"])
def test_a_folder_must_have_the_name_of_its_entry(source: Path, catalogue: Catalogue, name: str) -> None:
    (source / name).mkdir()
    (source / name / "framework.yaml").write_text(ENGINE, encoding="utf-8")
    assert len(catalogue.entries()) == 2
    assert f"but its folder is {name}" in str(catalogue.problems[0])


def test_links_out_of_the_source_are_not_followed(source: Path, tmp_path: Path, catalogue: Catalogue) -> None:
    outside = tmp_path / "outside"
    write(outside, ENGINE.replace("name: engine", "name: stolen"))
    (outside / "README.md").write_text("secret", encoding="utf-8")
    os.symlink(outside / "stolen", source / "stolen")
    (source / "file").mkdir()
    os.symlink(outside / "stolen" / "framework.yaml", source / "file" / "framework.yaml")
    os.symlink(outside / "README.md", source / "engine" / "README.md")
    assert [entry.name for entry in catalogue.entries()] == ["engine", "job"]
    assert sum("links to elsewhere" in problem.message for problem in catalogue.problems) == 2
    assert catalogue.entry("engine").readme == ""


def test_a_source_that_is_not_there_is_a_problem_not_a_crash(tmp_path: Path) -> None:
    catalogue = Catalogue([FolderSource(tmp_path / "nowhere")])
    assert catalogue.entries() == []
    assert "cannot be read" in catalogue.problems[0].message


def test_readme_and_logo_come_along(source: Path, catalogue: Catalogue) -> None:
    (source / "engine" / "README.md").write_text("# Hello", encoding="utf-8")
    (source / "engine" / "logo.svg").write_text(SVG.format("<path d='M0 0'/>"), encoding="utf-8")
    entry = catalogue.entry("engine")
    assert entry.readme == "# Hello"
    assert entry.logo is not None


@pytest.mark.parametrize(
    "content",
    [
        SVG.format("<script>alert(1)</script>"),
        SVG.format("<path onclick='alert(1)'/>"),
        SVG.format("<a href='javascript:alert(1)'/>"),
        SVG.format("<use href='https://example.org/x.svg#a'/>"),
        SVG.format("<image href='data:image/png;base64,x'/>"),
        SVG.format("<foreignObject/>"),
        SVG.format("<style>@import 'https://example.org/x.css';</style>"),
        SVG.format("<path fill=\"url('https://example.org/x')\"/>"),
        SVG.format("<path style='background: url(//example.org)'/>"),
        SVG.format("<animate attributeName='href'/>"),
        '<!DOCTYPE svg [<!ENTITY a "x">]>' + SVG.format("&a;"),
        "<?xml-stylesheet href='x.css'?>" + SVG.format(""),
        "<html/>",
        "not xml",
        SVG.format("x" * 70_000),
    ],
)
def test_a_logo_that_does_anything_is_left_out(source: Path, catalogue: Catalogue, content: str) -> None:
    assert logo_problem(content.encode())
    (source / "engine" / "logo.svg").write_text(content, encoding="utf-8")
    assert catalogue.entry("engine").logo is None
    assert catalogue.problems


def test_the_shipped_shop_opens_without_a_problem() -> None:
    catalogue = open_catalogue()
    assert {"dask", "jupyter", "python-job", "spark"} <= {entry.name for entry in catalogue.entries()}
    assert catalogue.problems == ()
    assert shipped_folder().name == "frameworks"
