"""Entries made to harm: what they link to, what they are, what they count to. Told in words and soon, with nothing read, fetched or filled up."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.effort import at_most
from zoe_jupyter.model.errors import InvalidDescription, NotFound
from zoe_jupyter.shop.catalogue import Catalogue
from zoe_jupyter.shop.compose import compose
from zoe_jupyter.shop.sources import FolderSource

LOOPS = 3000
FRAMEWORK = """
zoe: 1
kind: framework
name: trap
version: "1"
title: Trap
parameters:
  type: object
  properties:
    n: {type: integer, default: 1}
    text: {type: string, default: ""}
processes:
  main:
    command: ["true"]
    resources: {cores: 1, memory: 1MiB}
"""


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    folder = tmp_path / "shop" / "trap"
    folder.mkdir(parents=True)
    (folder / "framework.yaml").write_text(FRAMEWORK)
    return folder


def opened(trap: Path) -> Catalogue:
    return Catalogue([FolderSource(trap.parent)])


def fifo(path: Path, tmp_path: Path) -> None:
    os.mkfifo(path)


def outside(path: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("<svg xmlns='http://www.w3.org/2000/svg'><title>secret</title></svg>")
    path.symlink_to(tmp_path / "secret")


def device(path: Path, tmp_path: Path) -> None:
    path.symlink_to("/dev/zero")


def endless(path: Path, tmp_path: Path) -> None:
    path.symlink_to(path)


def huge(path: Path, tmp_path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 30)


def folder(path: Path, tmp_path: Path) -> None:
    path.mkdir()


def listening(path: Path, tmp_path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize("make", [fifo, outside, device, endless, huge, folder, listening])
@pytest.mark.parametrize("name", ["README.md", "logo.svg", "framework.yaml"])
def test_files_that_are_none_or_lead_elsewhere_are_not_read(
    trap: Path, tmp_path: Path, name: str, make: Callable[[Path, Path], None]
) -> None:
    (trap / name).unlink(missing_ok=True)
    make(trap / name, tmp_path)
    with at_most(LOOPS):
        catalogue = opened(trap)
        entries = catalogue.entries()
    for entry in entries:
        assert "secret" not in entry.readme
        assert len(entry.readme) < 1 << 20
        assert entry.logo is None or name != "logo.svg"
    assert entries or name == "framework.yaml"
    if name == "framework.yaml":
        assert not entries
        with pytest.raises(NotFound):
            catalogue.entry("trap")


def refused(tmp_path: Path, text: str, **parameters: Any) -> str:
    """What is wrong with a framework of that text, when it is read or when it is to be run."""
    place = tmp_path / "shop" / "trap"
    place.mkdir(parents=True, exist_ok=True)
    (place / "framework.yaml").write_text(text)
    catalogue = opened(place)
    with at_most(LOOPS), pytest.raises((InvalidDescription, NotFound)) as error:
        compose(catalogue=catalogue, use="trap", parameters=parameters)
    return str(error.value)


COUNTS = {
    "a count": "count: {core: 1000000000}",
    "a filled count": 'count: {core: "{{ parameters.n * 1000000000 }}"}',
    "a power": 'count: {core: "{{ 10 ** 9 }}"}',
    "a negative count": 'count: {core: "{{ 0 - parameters.n }}"}',
    "infinite cores": "resources: {cores: 1e308, memory: 1MiB}",
    "more than infinite": "resources: {cores: 1e999, memory: 1MiB}",
    "negative cores": "resources: {cores: -1, memory: 1MiB}",
    "negative memory": 'resources: {cores: 1, memory: "-5GB"}',
    "no memory at all": 'resources: {cores: 1, memory: "GB"}',
    "too much memory": 'resources: {cores: 1, memory: "99999999999999TiB"}',
    "many GPUs": "resources: {cores: 1, memory: 1MiB, gpu: 1000000000}",
    "a long life": "stop: {grace_s: 1e300}",
    "a text as long as it takes": "command: [\"{{ 'x' * 1000000000 }}\"]",
    "a format": "command: [\"{{ '%1000000000d' | format(1) }}\"]",
    "a range": 'command: ["{{ range(1000000000) | join }}"]',
    "an attribute": "command: [\"{{ parameters | attr('__class__') }}\"]",
    "a chain": 'command: ["{{ parameters.__class__.__mro__[1].__subclasses__() }}"]',
    "a chain in brackets": "command: [\"{{ ''['__class__'] }}\"]",
    "a statement": 'command: ["{% for x in [1] %}{{ x }}{% endfor %}"]',
    "an import": "command: [\"{% import 'os' as os %}{{ os }}\"]",
    "the loader": 'command: ["{{ self._TemplateReference__context }}"]',
    "a file elsewhere": 'files: {"../../x": "y"}',
    "an absolute file": 'files: {"/etc/x": "y"}',
}


@pytest.mark.parametrize("line", COUNTS.values(), ids=COUNTS)
def test_what_counts_reaches_or_writes_too_far_is_refused_with_its_place(tmp_path: Path, line: str) -> None:
    kept = [f"    {old}" for old in ('command: ["true"]', "resources: {cores: 1, memory: 1MiB}")]
    kept = [old for old in kept if old.split(":")[0].strip() != line.split(":", maxsplit=1)[0]]
    text = FRAMEWORK[: FRAMEWORK.index("    command")] + "\n".join([*kept, f"    {line}"])
    assert "processes.main" in refused(tmp_path, text), line


@pytest.mark.parametrize("suffix", ["", "#", "#/properties/a", "?a=1"])
def test_no_reference_is_fetched_although_somebody_would_answer(tmp_path: Path, suffix: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/schema.json{suffix}"
        text = FRAMEWORK.replace("n: {type: integer, default: 1}", f'n: {{$ref: "{url}"}}')
        assert "never fetched" in refused(tmp_path, text, n=1)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.mark.parametrize(
    "name",
    [
        "x" * 100_000,
        "tr\u0430p",
        "\u202eparT",
        "../trap",
        "trap/..",
        "tr ap",
        "TRAP",
        "",
        ".",
        "-trap",
        "trap\n",
        "tra\u0301p",
        "\uff54rap",
    ],
)
def test_names_are_plain_so_that_no_two_look_alike_or_meet_after_escaping(tmp_path: Path, name: str) -> None:
    assert "name" in refused(tmp_path, FRAMEWORK.replace("name: trap", f"name: {ascii_yaml(name)}"))


@pytest.mark.parametrize("name", ["m\u0430in", "\u202eniam", "../main", "x" * 100_000, "MAIN", "a b", "a.b", "a#b", ""])
def test_names_of_processes_are_plain_too(tmp_path: Path, name: str) -> None:
    assert "processes" in refused(tmp_path, FRAMEWORK.replace("  main:", f"  {ascii_yaml(name)}:"))


def ascii_yaml(text: str) -> str:
    """In quotes, so that it is only the name that can be wrong."""
    return '"' + "".join(c if c.isascii() and c.isprintable() else f"\\U{ord(c):08x}" for c in text) + '"'


VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["{{ 9 ** 9 }}", "{{ x }}", "{% x %}"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=2000)
@given(values=st.dictionaries(st.sampled_from(["n", "text", "other", "__class__"]), VALUE, max_size=3))
def test_any_parameters_are_taken_or_refused_with_problems(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    place = tmp_path_factory.getbasetemp() / "hypothesis-shop" / "trap"
    if not place.exists():
        place.mkdir(parents=True)
        (place / "framework.yaml").write_text(FRAMEWORK)
    try:
        compose(catalogue=opened(place), use="trap", parameters=values)
    except InvalidDescription as error:
        assert all(problem.message for problem in error.problems)  # noqa: PT017
