"""From an empty machine to Spark on real data in a notebook, and through restarts: what a user does, in one go, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, build_opener

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.conftest import EXPOSED
from tests.e2e.contrast import too_faint
from tests.e2e.lab import ATTACH_MS, SOON_MS, Lab, Notebook
from zoe_jupyter.testing.jupyter_home import JupyterHome, wait_for

pytestmark = [pytest.mark.browser, pytest.mark.spark, pytest.mark.dask, pytest.mark.slow, pytest.mark.timeout(600)]

NOTEBOOK = "first-notebook.ipynb"
ENTRIES = ("Apache Spark", "Dask", "JupyterLab", "Python job")


@pytest.fixture(scope="module")
def lab(home: JupyterHome, browser: Browser) -> Iterator[Lab]:
    page = Lab(browser, home.start(EXPOSED))
    page.open()
    yield page
    page.close()


@pytest.fixture
def notebook(lab: Lab) -> Notebook:
    return Notebook(lab)


def running_id(home: JupyterHome, name: str = "spark") -> str:
    """The id of what runs under that name, as a terminal tells it."""
    return next(str(execution["id"]) for execution in home.zoe_json("ps") if execution["name"] == name)


def without_login(url: str) -> None:
    """Ask for a page as a stranger; raises HTTPError also where one is sent to the login."""

    class Stay(HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    build_opener(Stay).open(url, timeout=10).close()


class TestStory:
    """Each step goes on where the one before has ended."""

    def test_the_panel_shows_the_shop_and_that_nothing_runs(self, lab: Lab, artifacts: Path) -> None:
        panel = lab.show_panel()
        for title in ENTRIES:
            expect(panel.locator(f'.zoe-Card[aria-label="{title}"]')).to_be_visible(timeout=SOON_MS)
        expect(panel.locator(".zoe-Card")).to_have_count(len(ENTRIES))
        expect(panel.get_by_text("Nothing is running")).to_be_visible()
        lab.screenshot(artifacts, "panel")

    def test_the_launcher_opens_the_first_notebook(self, lab: Lab, notebook: Notebook, artifacts: Path) -> None:
        card = lab.page.locator(".jp-LauncherCard", has_text="First notebook")
        card.wait_for(timeout=SOON_MS)
        lab.show_panel()
        lab.screenshot(artifacts, "launcher")
        card.click()
        notebook.wait_until_idle()

    def test_attach_starts_spark_and_tells_how_far_it_is(self, lab: Lab, notebook: Notebook, artifacts: Path) -> None:
        lab.collect_progress()
        cell = notebook.begin("%zoe attach spark")
        expect(lab.item("spark")).to_be_visible(timeout=SOON_MS)
        lab.screenshot(artifacts, "starting")
        notebook.wait(cell, timeout_ms=ATTACH_MS)
        told = "\n".join(lab.progress())
        # Of workers that become ready in one moment nobody counts the first.
        for line in ("starting master", r"worker \d of 2 ready|✓ ?starting worker", "connected"):
            assert re.search(line, told), told
        expect(cell.locator(".jp-OutputArea")).to_contain_text("Spark 4")
        lab.expect_state("spark", "running")
        lab.screenshot(artifacts, "attached")

    def test_the_toolbar_says_what_the_notebook_is_connected_to(self, notebook: Notebook) -> None:
        expect(notebook.node.locator(".zoe-Connect")).to_contain_text("spark", timeout=SOON_MS)

    def test_spark_analyses_the_flights_and_the_notebook_plots_them(
        self, lab: Lab, notebook: Notebook, artifacts: Path
    ) -> None:
        expect(notebook.run("files(")).to_contain_text("flights.csv")
        expect(notebook.run("flights.count()")).to_contain_text("336776")
        table = notebook.run("flights.join(airlines")
        for name in ("Frontier Airlines Inc.", "Hawaiian Airlines Inc.", "mean_delay_min"):
            expect(table).to_contain_text(name)
        plot = notebook.run("import matplotlib").locator("img")
        expect(plot).to_be_visible()
        assert plot.evaluate("image => image.naturalWidth") > 500
        plot.scroll_into_view_if_needed()
        lab.screenshot(artifacts, "plot")

    def test_the_notebook_lists_scales_and_logs(self, lab: Lab, notebook: Notebook) -> None:
        expect(notebook.run("%zoe ps")).to_contain_text("running")
        expect(notebook.run("%zoe scale spark 3")).to_contain_text("3 workers wanted, 2 are there")
        lab.item("spark").locator(".zoe-Item-name").click()
        expect(lab.tab.locator(".zoe-Table")).to_contain_text("spark.worker-2", timeout=SOON_MS)
        lab.page.locator(".lm-TabBar-tab", has_text=NOTEBOOK).click()
        expect(notebook.run("%zoe logs spark --tail 5")).not_to_be_empty()
        expect(notebook.run("%zoe open spark")).to_contain_text("Spark UI")
        notebook.cell("%zoe logs").locator(".cm-content").fill("%zoe logs spark -f --tail 3")
        following = notebook.begin("%zoe logs spark -f")
        expect(following.locator(".jp-OutputArea")).not_to_be_empty(timeout=SOON_MS)
        lab.command("notebook:interrupt-kernel")
        notebook.wait(following)
        expect(following.locator(".jp-OutputArea")).not_to_contain_text("KeyboardInterrupt")

    def test_dask_runs_beside_spark(self, lab: Lab, notebook: Notebook, artifacts: Path) -> None:
        expect(notebook.run("%zoe attach dask", timeout_ms=ATTACH_MS)).to_contain_text("Dask with")
        means = notebook.run("import dask.dataframe")
        for origin in ("EWR", "JFK", "LGA"):
            expect(means).to_contain_text(origin)
        lab.expect_state("spark", "running")
        lab.expect_state("dask", "running")
        lab.screenshot(artifacts, "both")

    def test_the_details_show_services_use_and_story(self, lab: Lab, artifacts: Path) -> None:
        lab.item("spark").locator(".zoe-Item-name").click()
        services = lab.tab.locator(".zoe-Table tbody tr")
        expect(services).to_have_count(5, timeout=SOON_MS)
        expect(lab.tab.locator('.zoe-Table .zoe-Mark[data-look="running"]')).to_have_count(5, timeout=60_000)
        usage = lab.tab.get_by_role("region", name="CPU and memory")
        usage.scroll_into_view_if_needed()
        expect(usage).to_contain_text("GiB", timeout=SOON_MS)
        expect(usage.locator("svg").first).to_be_visible()
        expect(lab.tab.locator(".zoe-Story")).to_contain_text("running")
        lab.screenshot(artifacts, "use")

    def test_the_log_is_shown_searched_and_followed(self, lab: Lab, artifacts: Path) -> None:
        tab = lab.tab
        tab.locator(".zoe-Table").get_by_role("button", name="spark.master-0").click()
        log = tab.get_by_role("log")
        expect(log).to_contain_text("Registering worker", timeout=SOON_MS)
        tab.get_by_label("Search the log").fill("Registering worker")
        expect(tab.locator(".zoe-Logs-search")).to_contain_text(re.compile(r"of [3-9]"))
        lab.press("Enter")
        expect(tab.locator(".zoe-Logs-search")).to_contain_text(re.compile(r"1 of"))
        lab.screenshot(artifacts, "log")

    def test_the_spark_ui_opens_in_a_tab_for_the_user_alone(self, lab: Lab, home: JupyterHome, artifacts: Path) -> None:
        lab.item("spark").get_by_role("button", name="Spark UI").click()
        expect(lab.frame().get_by_text("Spark Jobs")).to_be_visible(timeout=SOON_MS)
        expect(lab.frame().get_by_text("Completed Jobs").first).to_be_visible(timeout=SOON_MS)
        lab.screenshot(artifacts, "spark-ui")
        page = home.zoe_json("open", "spark")[0]["url"]
        with pytest.raises(HTTPError, match=r"403|302"):
            without_login(page)
        lab.frame().get_by_role("link", name="Executors").click()
        expect(lab.frame().locator("#active-executors")).to_contain_text("driver", timeout=SOON_MS)

    def test_the_dask_dashboard_opens_in_a_tab(self, lab: Lab, artifacts: Path) -> None:
        lab.item("dask").get_by_role("button", name="Dask dashboard").click()
        expect(lab.frame().locator("body")).to_contain_text("Workers", timeout=SOON_MS)
        expect(lab.frame().locator(".bk-Figure, .bk-root canvas, canvas").first).to_be_visible(timeout=SOON_MS)
        lab.screenshot(artifacts, "dask-dashboard")

    def test_it_is_as_readable_in_the_dark(self, lab: Lab, artifacts: Path) -> None:
        lab.use_theme("JupyterLab Dark")
        lab.item("spark").locator(".zoe-Item-name").click()
        expect(lab.tab.locator(".zoe-Detail-head h1")).to_have_text("spark", timeout=SOON_MS)
        lab.screenshot(artifacts, "details-dark")
        texts, faint = too_faint(lab.page, "#zoe-panel, .zoe-Tab")
        assert (texts > 40, faint) == (True, [])
        lab.page.locator(".lm-TabBar-tab", has_text=NOTEBOOK).click()
        expect(lab.page.locator(".zoe-output").first).to_be_visible()
        lab.screenshot(artifacts, "notebook-dark")
        texts, faint = too_faint(lab.page, ".zoe-output, .zoe-Connect")
        assert (texts > 5, faint) == (True, [])
        lab.use_theme("JupyterLab Light")

    def test_a_terminal_shows_the_same(self, home: JupyterHome) -> None:
        shown = home.zoe("ps")
        assert shown.returncode == 0, shown.stderr
        lines = [line.split() for line in shown.stdout.splitlines()[1:]]
        assert {(line[0], line[2]) for line in lines} == {("spark", "running"), ("dask", "running")}

    def test_after_a_restart_of_the_kernel_the_cell_connects_to_the_same_spark(
        self, lab: Lab, notebook: Notebook, home: JupyterHome
    ) -> None:
        identity = running_id(home)
        notebook.restart_kernel()
        expect(notebook.run("%zoe attach spark", timeout_ms=ATTACH_MS)).to_contain_text("Spark 4")
        assert running_id(home) == identity
        assert len(home.zoe_json("ps")) == 2

    def test_after_a_restart_of_the_server_everything_is_there_and_the_cell_connects_again(
        self, lab: Lab, notebook: Notebook, home: JupyterHome, artifacts: Path
    ) -> None:
        identity = running_id(home)
        lab.command("docmanager:save")
        home.servers[-1].stop()
        expect(lab.panel.get_by_text("Reconnecting")).to_be_visible(timeout=SOON_MS)
        lab.screenshot(artifacts, "server-gone")
        lab.server = home.start(EXPOSED)
        lab.open()
        lab.show_panel()
        lab.expect_state("spark", "running")
        lab.expect_state("dask", "running")
        lab.command("docmanager:open", f"{{path: '{NOTEBOOK}'}}")
        notebook.wait_until_idle()
        expect(notebook.run("%zoe attach spark", timeout_ms=ATTACH_MS)).to_contain_text("Spark 4")
        assert running_id(home) == identity
        notebook.run("files(")
        expect(notebook.run("flights.count()")).to_contain_text("336776")

    def test_when_a_cluster_dies_the_panel_and_the_next_cell_say_why(
        self, lab: Lab, notebook: Notebook, home: JupyterHome, artifacts: Path
    ) -> None:
        notebook.run("%zoe attach dask", timeout_ms=ATTACH_MS)
        scheduler = next(one for one in home.services() if "distributed.cli.dask_scheduler" in one.cmdline())
        scheduler.kill()
        expect(lab.item("dask")).to_be_hidden(timeout=SOON_MS)
        expect(notebook.run("%zoe ps")).to_contain_text("dask has ended", timeout=SOON_MS)
        lab.screenshot(artifacts, "cluster-died")
        notebook.run("%zoe attach dask", timeout_ms=ATTACH_MS)
        lab.expect_state("dask", "running")
        expect(notebook.run("%zoe stop dask")).to_contain_text("dask")
        expect(lab.item("dask")).to_be_hidden(timeout=60_000)

    def test_what_does_not_fit_now_waits_and_what_never_will_is_refused(
        self, lab: Lab, home: JupyterHome, artifacts: Path
    ) -> None:
        refused = home.zoe("start", "dask", "--worker-memory", "64TiB")
        assert (refused.returncode, "the largest node has" in refused.stderr) == (1, True), refused.stderr
        assert "lower `worker_memory`" in refused.stderr
        whole = home.zoe_json("nodes")[0]["capacity"]["memory_bytes"] // 2**20
        started = home.zoe("start", "dask", "--name", "huge", "--worker-memory", f"{whole - 1100}MiB")
        assert started.returncode == 0, started.stderr
        lab.expect_state("huge", "queued")
        expect(lab.item("huge")).to_contain_text("Number 1 in the queue")
        lab.screenshot(artifacts, "queued")
        assert "huge" in home.zoe("queue").stdout
        home.zoe("stop", "huge", "--wait")
        expect(lab.item("huge")).to_be_hidden(timeout=SOON_MS)

    def test_it_is_stopped_by_keyboard_alone_and_nothing_is_left(
        self, lab: Lab, home: JupyterHome, artifacts: Path
    ) -> None:
        lab.press("Control+Shift+C")
        lab.page.keyboard.type("stop execution")
        expect(lab.page.locator(".lm-CommandPalette-item.lm-mod-active")).to_contain_text("Stop Execution")
        lab.press("Enter")
        expect(lab.dialog).to_contain_text("Which execution?")
        lab.press("Enter")
        expect(lab.dialog).to_contain_text("Stop spark?")
        lab.screenshot(artifacts, "stop")
        lab.press("Enter")
        expect(lab.panel.get_by_text("Nothing is running")).to_be_visible(timeout=60_000)
        lab.panel.get_by_role("button", name="Ended").click()
        lab.expect_state("spark", "stopped")
        wait_for("nothing is left", lambda: not home.services())

    def test_the_pages_own_code_threw_nothing(self, lab: Lab) -> None:
        assert lab.problems == []
