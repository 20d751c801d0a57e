"""The first notebook in a real browser, on a backend of containers: shop, attach, a result, logs, the Spark UI, stop."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.e2e.conftest import EXPOSED
from tests.e2e.lab import SOON_MS, Lab, Notebook
from zoe_jupyter.testing.jupyter_home import JupyterHome

START_MS = 500_000
"""All of Spark in containers, which together weigh as much as one other program where control groups are of version 1."""
Open = Callable[..., Lab]


@contextmanager
def opening_labs(home: JupyterHome, browser: Browser, artifacts: Path, *settings: str) -> Iterator[Open]:
    """Opens JupyterLab with the settings and more; its last look is kept, and its own code must not have thrown."""
    pages: list[Lab] = []

    def open_lab(*options: str) -> Lab:
        page = Lab(browser, home.start(EXPOSED, *settings, *options))
        pages.append(page)
        page.open()
        return page

    yield open_lab
    for page in pages:
        page.screenshot(artifacts, "last")
        page.close()
        assert page.problems == [], page.problems


def live_the_first_notebook(
    page: Lab, home: JupyterHome, artifacts: Path, *, node: re.Pattern[str], look: Callable[[], None] = lambda: None
) -> None:
    """``node``: what the nodes of the services are called; ``look``: what else is to be seen while it runs."""
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
        "from pyspark.sql.functions import udf\n"
        "spark.range(1000).select(udf(lambda n: n + 1, 'long')('id').alias('n')).agg({'n': 'sum'}).collect()[0][0]"
    )
    expect(notebook.run("spark.range(1000)", timeout_ms=START_MS)).to_contain_text("500500")
    look()
    page.screenshot(artifacts, "result")
    _look_at_details(page, artifacts, node)
    inside = page.see_page(page.item("spark").get_by_role("button", name="Spark UI"))
    expect(inside.get_by_text("Completed Jobs").first).to_be_visible(timeout=SOON_MS)
    assert inside.locator("img").first.evaluate("image => image.naturalWidth") > 0, "it is not whole"
    page.screenshot(artifacts, "spark-ui")
    assert home.zoe("stop", "spark", "--wait").returncode == 0
    expect(panel.get_by_text("Nothing is running")).to_be_visible(timeout=SOON_MS)
    assert not home.services(), "it ran on this machine"


def _look_at_details(page: Lab, artifacts: Path, node: re.Pattern[str]) -> None:
    page.item("spark").locator(".zoe-Item-name").click()
    rows = page.tab.locator(".zoe-Table tbody tr")
    expect(rows).to_have_count(4, timeout=SOON_MS)
    for row in rows.all():
        expect(row.locator("td").nth(1)).to_have_text(node)
        expect(row.locator("td").last).to_contain_text("sha256:")
    page.screenshot(artifacts, "services")
    page.tab.locator(".zoe-Table").get_by_role("button", name="spark.master-0").click()
    expect(page.tab.get_by_role("log")).to_contain_text("Registering worker", timeout=SOON_MS)
    page.screenshot(artifacts, "log")
