"""Every code block of the README and of docs/ does what it says.

A fence's first word is its language. What may follow it: ``dry-run`` (make only says what it would do) and
``title=NAME`` (a file of that name). ``python`` blocks of one page are cells of one notebook, in order, and a comment at
the end of the last line is what they show; ``console`` blocks are typed into a terminal beside it;
``yaml`` blocks are descriptions; ``text`` is no code.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from traitlets.config import Config

from tests.requirements import require
from zoe_jupyter.server.config import Zoe
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer, jupyter_home
from zoe_jupyter.testing.kernels import ServerKernel, server_kernel

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\S+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RESULT = re.compile(r"  # (\S.*)\s*\Z")
LANGUAGES = {"python", "console", "yaml", "text"}


@dataclass(frozen=True)
class Block:
    language: str
    about: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    content = page.read_text()
    return [
        Block(found[1], found[2].strip(), found[3], content[: found.start()].count("\n") + 1)
        for found in FENCE.finditer(content)
    ]


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def home() -> Iterator[JupyterHome]:
    with jupyter_home() as found:
        yield found


@pytest.fixture(scope="module")
def server(home: JupyterHome) -> JupyterServer:
    (home.folder / "shop").mkdir()
    return home.start(f"--Zoe.shop_sources={home.folder / 'shop'}", app="server")


@pytest.fixture
def kernel(home: JupyterHome, server: JupyterServer) -> Iterator[ServerKernel]:
    with server_kernel(home, server, "page.ipynb") as found:
        yield found
    home.zoe("stop", "--all", "--wait")


@pytest.mark.slow
@pytest.mark.usefixtures("server")
@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_code_of_a_page_runs(page: Path, home: JupyterHome, request: pytest.FixtureRequest) -> None:
    text = page.read_text()
    for part in ("spark", "dask"):
        if f"%zoe attach {part}" in text:
            require(part)
    found = blocks(page)
    runners = {"console": terminal_runner(home), "yaml": description_runner(home)}
    if any(is_cell(block) for block in found):
        runners["python"] = cell_runner(request.getfixturevalue("kernel"))
    for block in found:
        if block.language == "text":
            continue
        run = configure if is_configuration(block) else runners[block.language]
        try:
            run(block)
        except Exception as error:
            raise AssertionError(f"{name_of(page)}, line {block.line}: {error}") from error


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_what_it_is(page: Path) -> None:
    assert page.read_text().count("\n```") == 2 * len(blocks(page))
    for block in blocks(page):
        assert block.language in LANGUAGES, block
        assert re.fullmatch(r"(dry-run|title=\S+)?", block.about), block


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text())
    targets = [target for target in re.findall(r"\]\(([^)]+)\)", text) if "://" not in target]
    missing = [target for target in targets if not (page.parent / target.partition("#")[0]).exists()]
    assert missing == []


def is_configuration(block: Block) -> bool:
    return block.language == "python" and block.about.startswith("title=")


def is_cell(block: Block) -> bool:
    return block.language == "python" and not is_configuration(block)


def cell_runner(kernel: ServerKernel) -> Callable[[Block], None]:
    def run(block: Block) -> None:
        cells = [block.text] if block.text.startswith("%%") else block.text.split("\n\n%%")
        for cell in cells:
            shown = kernel.run(cell)
            expected = RESULT.search(cell)
            assert expected is None or expected[1] in shown, f"{expected[1]!r} is not in {shown!r}"

    return run


def configure(block: Block) -> None:
    """A configuration file: it is read, and Zoe knows every option in it."""
    config = Config()
    exec(compile(block.text, block.about, "exec"), {"c": config, "get_config": lambda: config})
    for name in config.Zoe:
        assert name in Zoe.class_trait_names(config=True), name
    Zoe(config=config)


def terminal_runner(home: JupyterHome) -> Callable[[Block], None]:
    def run(block: Block) -> None:
        is_dry = block.about == "dry-run"
        for line in block.text.splitlines():
            command = line.replace("make ", "make --dry-run ", 1) if is_dry else line
            done = subprocess.run(
                ["bash", "-euc", command],
                cwd=ROOT if is_dry else home.work,
                env=home.environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"

    return run


def description_runner(home: JupyterHome) -> Callable[[Block], None]:
    def run(block: Block) -> None:
        kind, name = (re.search(rf"^{word}: (\S+)$", block.text, re.MULTILINE)[1] for word in ("kind", "name"))  # type: ignore[index]
        file = home.folder / "shop" / name / f"{kind}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(block.text)
        done = home.zoe("validate", name if kind == "framework" else str(file))
        assert done.returncode == 0, done.stderr + done.stdout

    return run
