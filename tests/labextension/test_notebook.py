"""The same extension in Notebook 7: one document, side bars, and no tabs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.lab import SOON_MS, Lab
from zoe_jupyter.testing.jupyter_home import JupyterHome, JupyterServer

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("clean")]


def test_panel_toolbar_item_form_and_details_are_there(
    lab: Lab, server: JupyterServer, home: JupyterHome, root: Path, artifacts: Path
) -> None:
    shutil.copy(root / "docs" / "users" / "first-notebook.ipynb", home.work)
    lab.open("notebooks/first-notebook.ipynb")
    page = lab.page
    expect(page.locator(".zoe-Connect")).to_contain_text("Connect", timeout=SOON_MS)
    lab.command("zoe:open-shop")
    expect(lab.panel.get_by_label("Search the shop")).to_be_visible(timeout=SOON_MS)
    lab.screenshot(artifacts, "panel")
    lab.panel.locator('.zoe-Card[aria-label="Workbench"]').get_by_role("button", name="Start…").click()
    form = page.locator(".zoe-Launch")
    expect(form).to_be_visible(timeout=SOON_MS)
    form.get_by_label("Name", exact=True).first.fill("desk")
    lab.screenshot(artifacts, "form")
    form.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator(".zoe-Detail-head h1")).to_have_text("desk", timeout=SOON_MS)
    lab.expect_state("desk", "running")
    lab.screenshot(artifacts, "details")
    with page.expect_popup() as popup:
        page.locator(".zoe-Detail").get_by_role("button", name="Open in a tab").click()
    expect(popup.value.get_by_text("Directory listing")).to_be_visible(timeout=SOON_MS)
    page.locator(".zoe-Connect button").click()
    expect(page.locator(".zoe-Menu")).to_contain_text("Start Dask")
    # Notebook 7.6 throws this by itself, with no extension in it.
    lab.problems[:] = [problem for problem in lab.problems if "reading 'schema'" not in problem]
