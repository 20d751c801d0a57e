"""The first notebook in a real browser, on a Docker Engine: shop, start, attach, a result, logs, the Spark UI, stop; one setting is different."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.backends.docker import framework_images
from tests.backends.docker.conftest import BASE
from tests.backends.docker.registry import is_there
from tests.backends.docker.test_attach import deployment, home
from tests.backends.docker.test_pulls import shelf
from tests.e2e.conftest import EXPOSED
from tests.e2e.lab import SOON_MS, Lab, Notebook
from zoe_jupyter.testing.jupyter_home import JupyterHome

__all__ = ["deployment", "home", "shelf"]

pytestmark = [pytest.mark.docker, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
START_MS = 500_000
"""All of Spark in containers, which together weigh as much as one other program where control groups are of version 1."""
LAYER = 120 << 20
SLEEPER = """
zoe: 1
kind: framework
name: {name}
version: "1"
title: {title}
processes:
  main:
    image: {image}
    command: [sleep, "600"]
    resources: {{cores: 0.1, memory: 64MiB}}
    restart: {{attempts: 1, delay_s: 0.1}}
    stop: {{grace_s: 0}}
"""
Open = Callable[..., Lab]


@pytest.fixture
def lab(home: JupyterHome, deployment: str, browser: Browser, artifacts: Path) -> Iterator[Open]:
    """Opens JupyterLab on Docker; its last look is kept, and its own code must not have thrown."""
    pages: list[Lab] = []

    def open_lab(*options: str) -> Lab:
        page = Lab(browser, home.start(EXPOSED, "--Zoe.backend=docker", f"--Zoe.deployment={deployment}", *options))
        pages.append(page)
        page.open()
        return page

    yield open_lab
    for page in pages:
        page.screenshot(artifacts, "last")
        page.close()
        assert page.problems == []


@pytest.mark.spark
def test_the_first_notebook_on_docker(lab: Open, home: JupyterHome, engine: Any, artifacts: Path) -> None:
    framework_images.ensure(engine, "spark")
    page = lab(f"--Zoe.backend_options=image_prefix={framework_images.PREFIX}")
    panel = page.show_panel()
    expect(panel.locator('.zoe-Card[aria-label="Apache Spark"]')).to_be_visible(timeout=SOON_MS)
    page.page.locator(".jp-LauncherCard", has_text="First notebook").click()
    notebook = Notebook(page)
    notebook.wait_until_idle()
    page.collect_progress()
    attached = notebook.run("%zoe attach spark", timeout_ms=START_MS)
    expect(attached).to_contain_text("Spark 4")
    assert "starting master" in "\n".join(page.progress())
    page.expect_state("spark", "running")
    notebook.cell("import tempfile, zipfile").locator(".cm-content").fill(
        "spark.range(1000).selectExpr('sum(id)').collect()[0][0]"
    )
    expect(notebook.run("spark.range(1000)", timeout_ms=START_MS)).to_contain_text("499500")
    page.screenshot(artifacts, "result")
    _look_at_details(page, artifacts)
    page.item("spark").get_by_role("button", name="Spark UI").click()
    expect(page.frame().get_by_text("Completed Jobs").first).to_be_visible(timeout=SOON_MS)
    page.screenshot(artifacts, "spark-ui")
    assert home.zoe("stop", "spark", "--wait").returncode == 0
    expect(panel.get_by_text("Nothing is running")).to_be_visible(timeout=SOON_MS)
    assert not home.services(), "it ran on this machine"


def _look_at_details(page: Lab, artifacts: Path) -> None:
    page.item("spark").locator(".zoe-Item-name").click()
    rows = page.tab.locator(".zoe-Table tbody tr")
    expect(rows).to_have_count(4, timeout=SOON_MS)
    for row in rows.all():
        expect(row.locator("td").nth(1)).to_have_text("docker")
    page.screenshot(artifacts, "services")
    page.tab.locator(".zoe-Table").get_by_role("button", name="spark.master-0").click()
    expect(page.tab.get_by_role("log")).to_contain_text("Registering worker", timeout=SOON_MS)
    page.screenshot(artifacts, "log")


@pytest.mark.skipif(not is_there(), reason="no registry here: apt-get install docker-registry")
def test_the_panel_tells_where_it_fits_how_far_an_image_is_and_what_a_registry_lacks(
    lab: Open, home: JupyterHome, engine: Any, shelf: Any, artifacts: Path
) -> None:
    shelf.push(engine, BASE, "there:1", content=os.urandom(LAYER))
    for name in ("there", "missing"):
        folder = home.folder / "shop" / name
        folder.mkdir(parents=True)
        image = shelf.name(f"{name}:1")
        (folder / "framework.yaml").write_text(SLEEPER.format(name=name, title=name.title(), image=image))
    page = lab(f"--Zoe.shop_sources={home.folder / 'shop'}")
    _start(page, "There", "there", artifacts)
    expect(page.item("there")).to_contain_text(f"starting main: pulling the image {shelf.name('there:1')}")
    page.screenshot(artifacts, "pulling")
    page.expect_state("there", "running")
    expect(page.item("there")).not_to_contain_text("pulling")
    _start(page, "Missing", "missing", artifacts)
    page.panel.get_by_role("button", name="Ended").click()
    page.expect_state("missing", "failed")
    expect(page.item("missing")).to_contain_text(f"there is no image {shelf.name('missing:1')}")
    page.screenshot(artifacts, "missing")
    assert home.zoe("stop", "--all", "--wait").returncode == 0


def _start(page: Lab, title: str, name: str, artifacts: Path) -> None:
    """From its card, by its form, which says where it would run."""
    card = page.show_panel().locator(f'.zoe-Card[aria-label="{title}"]')
    card.get_by_role("button", name="Start…").click()
    form = page.tab.locator(".zoe-Launch")
    expect(form.locator(".zoe-Check")).to_contain_text("Fits now on docker", timeout=SOON_MS)
    page.screenshot(artifacts, f"form-{name}")
    form.get_by_role("button", name="Start", exact=True).click()
