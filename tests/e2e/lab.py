"""JupyterLab as a user has it in front of them: a page in Chromium, driven by what can be seen and pressed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import (
    Browser,
    BrowserContext,
    Error,
    FrameLocator,
    Locator,
    Page,
    Request,
    ViewportSize,
    expect,
)

from zoe_jupyter.testing.jupyter_home import JupyterServer

ATTACH_MS = 240_000
CELL_MS = 180_000
SOON_MS = 60_000
"""No promise: how long a test waits before it calls something lost on a busy machine."""
SIZE: ViewportSize = {"width": 1440, "height": 900}
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic")
NETWORK_CHANGED = "net::ERR_NETWORK_CHANGED"
"""Chromium's word for a network interface of the host that came or went, such as a container's: nothing of ours."""
RESTORED = "window.jupyterapp.restored.then(() => true)"
_STILL = """
    addEventListener("DOMContentLoaded", () => {
        const style = document.createElement("style");
        style.textContent = "* { caret-color: transparent !important } :not([class*=Toastify]) { animation: none !important }";
        document.head.append(style);
    });
"""
"""A caret that blinks and what JupyterLab turns while it is busy are drawn by the processors that the tests wait for. A notification goes by its animation."""
_AGAIN = """
    window.fetch = (ask => async (what, how) => {
        const isRead = what instanceof Request && what.method === "GET";
        const again = isRead ? what.clone() : null;
        try {
            return await ask(what, how);
        } catch (error) {
            if (!isRead || !(error instanceof TypeError)) throw error;
            return ask(again, how);
        }
    })(window.fetch);
"""
"""What is read and was cut by such a change is asked for once more, by whomever: JupyterLab itself does not, and Chromium has no flag to look away."""
_AT_EVERY_CHANGE = """(() => {
    const observer = new MutationObserver(() => { %s });
    observer.observe(document.body, {attributes: true, childList: true, subtree: true, characterData: true});
    (window.zoeObservers ??= []).push(observer);
})()"""
_COLLECT = """
    window.zoeProgress ??= [];
    for (const line of document.querySelectorAll('.zoe-progress > div')) {
        const text = line.textContent.trim();
        if (!window.zoeProgress.includes(text)) window.zoeProgress.push(text);
    }
"""
expect.set_options(timeout=SOON_MS)


class Lab:
    """One page of JupyterLab. ``problems`` collects what the page's own code threw."""

    def __init__(self, browser: Browser, server: JupyterServer) -> None:
        self.context: BrowserContext = browser.new_context(viewport=SIZE, reduced_motion="reduce")
        self.context.set_default_timeout(SOON_MS)
        self.context.add_init_script(_STILL)
        self.context.add_init_script(_AGAIN)
        self.page: Page = self.context.new_page()
        self.server = server
        self.problems: list[str] = []
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self._is_cut = False
        self.page.on("requestfailed", self._notice)

    def open(self, path: str = "lab") -> None:
        """Log in with the token and wait until the layout stands: what is clicked before is undone by its restoring."""
        joined = "&" if "?" in path else "?"
        url = f"{self.server.url}{path}{joined}token={self.server.token}&reset"
        for _ in range(2):
            if self._has_opened(url):
                return
        self.page.goto(url)
        self.wait_until_restored()

    def wait_until_restored(self) -> None:
        self.page.wait_for_function("window.jupyterapp !== undefined", timeout=60_000)
        self.page.evaluate(RESTORED)

    def reload(self) -> None:
        self.page.reload()
        self.wait_until_restored()

    def close(self) -> None:
        self.context.close()

    def screenshot(self, folder: Path, name: str) -> Path:
        """Of what is seen now, when nothing moves any more."""
        path = folder / f"{name}.png"
        self.page.screenshot(path=path, animations="disabled")
        return path

    def use_theme(self, name: str) -> None:
        """``JupyterLab Light`` or ``JupyterLab Dark``."""
        self.command("apputils:change-theme", f"{{theme: '{name}'}}")
        is_light = "true" if name.endswith("Light") else "false"
        expect(self.page.locator(f"body[data-jp-theme-light='{is_light}']")).to_be_attached(timeout=SOON_MS)

    def command(self, name: str, arguments: str = "{}") -> None:
        """What has no place on the screen in these tests, such as saving."""
        self.page.evaluate(f"window.jupyterapp.commands.execute('{name}', {arguments}).then(() => null)")

    @property
    def panel(self) -> Locator:
        return self.page.locator("#zoe-panel")

    def show_panel(self) -> Locator:
        if not self.panel.is_visible():
            self.page.locator('.jp-SideBar.jp-mod-left [data-id="zoe-panel"]').click()
        expect(self.panel).to_be_visible()
        return self.panel

    def item(self, execution: str) -> Locator:
        """An execution in the panel."""
        return self.panel.locator(f'.zoe-Item[data-execution="{execution}"]')

    def expect_state(self, execution: str, look: str, *, timeout_ms: int = SOON_MS) -> None:
        expect(self.item(execution).locator(f'.zoe-Mark[data-look="{look}"]')).to_be_visible(timeout=timeout_ms)

    @property
    def tab(self) -> Locator:
        """The tab of the main area that is in front."""
        return self.page.locator(".zoe-Tab:not(.lm-mod-hidden), .zoe-Page:not(.lm-mod-hidden)")

    def see_page(self, link: Locator) -> FrameLocator:
        """The page that it opens in a tab, with all that belongs to it: what a change of the network took from it comes with the next try."""
        self._is_cut = False
        self._open_in_frame(link)
        if self._is_cut:
            self.problems.clear()
            self._open_in_frame(self.tab.get_by_role("button", name="Load the page again"))
        return self.frame()

    def _open_in_frame(self, button: Locator) -> None:
        with self.page.expect_event("framenavigated", lambda frame: frame.url.startswith("http")) as found:
            button.click()
        found.value.wait_for_load_state("networkidle")

    def frame(self) -> FrameLocator:
        """The page inside the tab that is in front."""
        return self.page.frame_locator(".zoe-Page:not(.lm-mod-hidden) iframe")

    @property
    def dialog(self) -> Locator:
        return self.page.locator(".jp-Dialog")

    def press(self, key: str, *, times: int = 1) -> None:
        for _ in range(times):
            self.page.keyboard.press(key)

    def at_every_change(self, script: str) -> None:
        """Run it from now on whenever the page changes, to see what is there only for a moment."""
        self.page.evaluate(_AT_EVERY_CHANGE % script)

    def collect_progress(self) -> None:
        """From now on, keep every line of progress that is shown, if only for a moment."""
        self.at_every_change(_COLLECT)

    def progress(self) -> list[str]:
        return list(self.page.evaluate("window.zoeProgress ?? []"))

    def _has_opened(self, url: str) -> bool:
        """Else a part of it may be missing, and comes with the next try."""
        self._is_cut = False
        try:
            self.page.goto(url)
            self.wait_until_restored()
        except Error as error:
            if not self._is_cut and NETWORK_CHANGED not in error.message:
                raise
            self._is_cut = True
        if self._is_cut:
            self.problems.clear()
        return not self._is_cut

    def _notice(self, request: Request) -> None:
        self._is_cut |= request.failure == NETWORK_CHANGED


class Notebook:
    """The notebook in front."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.node = lab.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def wait_until_idle(self) -> None:
        """The status bar knows; the notebook's own indicator says idle before there is a kernel."""
        expect(self.lab.page.locator("#jp-main-statusbar")).to_contain_text("| Idle", timeout=60_000)

    def cell(self, text: str) -> Locator:
        """The code cell with that in it."""
        return (
            self.node.locator(".jp-CodeCell")
            .filter(has=self.lab.page.locator(".jp-InputArea-editor", has_text=text))
            .first
        )

    def run(self, text: str, *, timeout_ms: int = CELL_MS) -> Locator:
        """Run the code cell with that in it, as a user does; its outputs, once it has come to its end."""
        cell = self.begin(text)
        self.wait(cell, timeout_ms=timeout_ms)
        return cell.locator(".jp-OutputArea")

    def begin(self, text: str) -> Locator:
        cell = self.cell(text)
        cell.scroll_into_view_if_needed()
        cell.locator(".jp-InputPrompt").click()
        self.lab.command("notebook:clear-cell-output")
        expect(cell.locator(".jp-InputPrompt")).to_have_text("[ ]:")
        self.lab.press("Shift+Enter")
        return cell

    def wait(self, cell: Locator, *, timeout_ms: int = CELL_MS) -> None:
        expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"^\[\d+\]:$"), timeout=timeout_ms)

    def restart_kernel(self) -> None:
        """By the menu's command, confirmed in its dialog."""
        self.lab.page.evaluate("void window.jupyterapp.commands.execute('notebook:restart-kernel')")
        self.lab.dialog.locator(".jp-mod-accept").click()
        expect(self.lab.dialog).to_be_hidden()
        self.wait_until_idle()


def eventually(what: str, look: Callable[[], bool], *, timeout_s: float = 20.0) -> None:
    """For what is not in the page."""
    deadline = time.monotonic() + timeout_s
    while not look():
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.1)
