"""The first notebook in a real browser, on a Docker Engine: shop, start, attach, a result, logs, the Spark UI, stop; one setting is different."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.backends.containers.first_notebook import Open, live_the_first_notebook, opening_labs
from tests.backends.docker import framework_images
from tests.backends.docker.conftest import BASE
from tests.backends.docker.registry import is_there
from tests.backends.docker.test_attach import check_nothing_is_told, deployment, home
from tests.backends.docker.test_pulls import shelf
from tests.e2e.lab import SOON_MS, Lab
from zoe_jupyter.testing.jupyter_home import JupyterHome

__all__ = ["deployment", "home", "shelf"]

pytestmark = [pytest.mark.docker, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
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


@pytest.fixture
def lab(home: JupyterHome, deployment: str, browser: Browser, artifacts: Path) -> Iterator[Open]:
    with opening_labs(home, browser, artifacts, "--Zoe.backend=docker", f"--Zoe.deployment={deployment}") as opening:
        yield opening


@pytest.mark.spark
def test_the_first_notebook_on_docker(
    lab: Open, home: JupyterHome, deployment: str, engine: Any, artifacts: Path
) -> None:
    framework_images.ensure(engine, "spark")
    page = lab(f"--Zoe.backend_options=image_prefix={framework_images.PREFIX}")

    def look() -> None:
        secrets = page.server.ask("zoe/api/executions/spark/connection/spark")["secrets"]
        check_nothing_is_told(engine, deployment, secrets["token"])

    live_the_first_notebook(page, home, artifacts, node=re.compile("docker"), look=look)


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
