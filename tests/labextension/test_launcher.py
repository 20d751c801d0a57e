"""The cards of the launcher."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Route, expect

from tests.e2e.lab import SOON_MS, Lab, Notebook
from zoe_jupyter.testing.jupyter_home import JupyterHome

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("clean")]

LANGUAGE = "window.jupyterapp.shell.currentWidget.content.model?.getMetadata('language_info')?.version ?? ''"
IS_DIRTY = "window.jupyterapp.shell.currentWidget.context.model.dirty"
OTHER = "3.0.0"


def of_another_python(route: Route) -> None:
    """The question whether it is there goes through; what is saved then is changed."""
    if route.request.method != "PUT":
        route.continue_()
        return
    body = route.request.post_data_json
    body["content"]["metadata"]["language_info"]["version"] = OTHER
    route.continue_(post_data=json.dumps(body))


def test_the_first_notebook_is_not_changed_by_being_opened(lab: Lab, home: JupyterHome, artifacts: Path) -> None:
    """Also where its kernel is of another Python than the notebook was saved with."""
    copy = home.work / "first-notebook.ipynb"
    copy.unlink(missing_ok=True)
    lab.open()
    lab.page.route(re.compile("api/contents/first-notebook.ipynb"), of_another_python, times=2)
    lab.page.locator(".jp-LauncherCard", has_text="First notebook").click()
    notebook = Notebook(lab)
    notebook.wait_until_idle()
    lab.page.wait_for_function(f"!['', '{OTHER}'].includes({LANGUAGE})", timeout=SOON_MS)
    lab.page.wait_for_function(f"!{IS_DIRTY}", timeout=SOON_MS)
    expect(lab.page.locator(".lm-TabBar-tab.lm-mod-current.jp-mod-dirty")).to_have_count(0)
    lab.screenshot(artifacts, "opened")
    saved = json.loads(copy.read_text())
    assert saved["metadata"]["language_info"]["version"] == lab.page.evaluate(LANGUAGE)
    assert "zoe" not in saved["metadata"]
