"""The first notebook in a real browser, on Kubernetes: shop, start, attach, a result, logs, the Spark UI, stop; one setting is different."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests import cluster
from tests.backends.kubernetes.conftest import KubernetesWorld
from tests.backends.kubernetes.test_attach import deployed, home, settings
from tests.e2e.conftest import EXPOSED
from tests.e2e.lab import SOON_MS, Lab, Notebook
from zoe_jupyter.testing.jupyter_home import JupyterHome

__all__ = ["deployed", "home"]

pytestmark = [pytest.mark.kubernetes, pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
START_MS = 500_000
NODE = re.compile(r"\S")
"""The name of one, whatever it is."""
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
Open = Callable[..., Lab]


@pytest.fixture
def lab(home: JupyterHome, deployed: KubernetesWorld, browser: Browser, artifacts: Path) -> Iterator[Open]:
    """Opens JupyterLab on the cluster; its last look is kept, and its own code must not have thrown."""
    pages: list[Lab] = []

    def open_lab(*options: str) -> Lab:
        page = Lab(browser, home.start(EXPOSED, *settings(deployed), *options))
        pages.append(page)
        page.open()
        return page

    yield open_lab
    for page in pages:
        page.screenshot(artifacts, "last")
        page.close()
        assert page.problems == []


@pytest.mark.spark
def test_the_first_notebook_on_kubernetes(lab: Open, home: JupyterHome, artifacts: Path) -> None:
    cluster.provide_framework("spark")
    page = lab()
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
    """Each service is on a node of the cluster."""
    page.item("spark").locator(".zoe-Item-name").click()
    rows = page.tab.locator(".zoe-Table tbody tr")
    expect(rows).to_have_count(4, timeout=SOON_MS)
    for row in rows.all():
        expect(row.locator("td").nth(1)).to_have_text(NODE)
    page.screenshot(artifacts, "services")
    page.tab.locator(".zoe-Table").get_by_role("button", name="spark.master-0").click()
    expect(page.tab.get_by_role("log")).to_contain_text("Registering worker", timeout=SOON_MS)
    page.screenshot(artifacts, "log")


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
