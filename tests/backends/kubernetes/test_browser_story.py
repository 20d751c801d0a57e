"""The first notebook in a real browser, on Kubernetes: shop, start, attach, a result, logs, the Spark UI, stop; one setting is different."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests import cluster
from tests.backends.containers.first_notebook import Open, live_the_first_notebook, opening_labs
from tests.backends.kubernetes.conftest import KubernetesWorld
from tests.backends.kubernetes.test_attach import deployed, home, settings
from tests.e2e.lab import SOON_MS
from zoe_jupyter.testing.jupyter_home import JupyterHome

__all__ = ["deployed", "home"]

pytestmark = [pytest.mark.kubernetes, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
MISSING = "localhost:1/nobody/has:1"
"""A registry that is not there."""
FOREIGN = """
zoe: 1
kind: framework
name: missing
version: "1"
title: Missing
processes:
  main:
    image: {image}
    command: [sleep, "600"]
    resources: {{cores: 0.1, memory: 64MiB}}
"""


@pytest.fixture
def lab(home: JupyterHome, deployed: KubernetesWorld, browser: Browser, artifacts: Path) -> Iterator[Open]:
    with opening_labs(home, browser, artifacts, *settings(deployed)) as opening:
        yield opening


@pytest.mark.spark
def test_the_first_notebook_on_kubernetes(lab: Open, home: JupyterHome, artifacts: Path) -> None:
    cluster.provide_framework("spark")
    live_the_first_notebook(lab(), home, artifacts, node=re.compile(r"\S"))


def test_the_panel_tells_where_it_fits_and_what_the_cluster_cannot_get(
    lab: Open, home: JupyterHome, artifacts: Path
) -> None:
    folder = home.folder / "shop" / "missing"
    folder.mkdir(parents=True)
    (folder / "framework.yaml").write_text(FOREIGN.format(image=MISSING))
    page = lab(f"--Zoe.shop_sources={home.folder / 'shop'}")
    page.show_panel().locator('.zoe-Card[aria-label="Missing"]').get_by_role("button", name="Start…").click()
    form = page.tab.locator(".zoe-Launch")
    expect(form.locator(".zoe-Check")).to_contain_text("Fits now on", timeout=SOON_MS)
    page.screenshot(artifacts, "form")
    form.get_by_role("button", name="Start", exact=True).click()
    expect(page.item("missing")).to_contain_text("its image cannot be had (", timeout=SOON_MS)
    page.screenshot(artifacts, "reason")
    assert home.zoe("stop", "--all", "--wait").returncode == 0
