"""One page of JupyterLab for several tests: it is brought back to how it was at first between them, instead of being loaded again."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import Browser, Error, expect

from tests.e2e.lab import SIZE, Lab, eventually
from zoe_jupyter.testing.jupyter_home import JupyterServer

TIDY_MS = 20_000
WORKSPACE = "lab/workspaces/kept"
"""Its own: a page saves its layout whenever it changes, also over that of a page that a test has opened beside it."""
OVERLAYS = ".jp-Dialog, .lm-Menu, .jp-ModalCommandPalette:visible"
LAUNCHER_HAS_FOCUS = "document.activeElement.closest('#jp-main-dock-panel') !== null"
"""The last thing that Lab does by itself when it starts, or its last tab has gone."""
FORGET = """
    (window.zoeObservers ?? []).forEach(observer => observer.disconnect());
    Object.keys(window).filter(name => name.startsWith('zoe')).forEach(name => delete window[name]);
"""
PANEL = """
    const box = document.querySelector('#zoe-panel .zoe-Search');
    if (box?.value) {
        Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(box, '');
        box.dispatchEvent(new Event('input', {bubbles: true}));
    }
    document.querySelector('#zoe-panel .zoe-Ended-title[aria-expanded=true]')?.click();
"""
CLOSE = """
    const {shell} = window.jupyterapp;
    shell.activateById('filebrowser');
    [...shell.widgets('main')].forEach(widget => widget.dispose());
"""
AGAIN = """
    const {commands} = window.jupyterapp;
    return new Promise(resolve => setTimeout(resolve, 700))
        .then(() => commands.execute('apputils:dismiss-notification'))
        .then(() => commands.execute('zoe:refresh'))
        .then(() => null);
"""
"""JupyterLab draws notifications late: one that is dismissed before it is drawn stays. And what a test has told in place of the server is asked again."""


class KeptLab(Lab):
    """Its first ``open`` loads it; those after it find it as it was then, as long as it was tidied between them."""

    def __init__(self, browser: Browser, server: JupyterServer) -> None:
        super().__init__(browser, server)
        self._is_open = False

    def open(self, path: str = "lab") -> None:
        assert path == "lab", "any other is no page to keep"
        if self._is_open:
            eventually("it shows what there is", lambda: self._shown() == self._known())
        else:
            super().open(WORKSPACE)
            self.page.wait_for_function(LAUNCHER_HAS_FOCUS, timeout=TIDY_MS)
        self._is_open = True

    def _shown(self) -> tuple[int, str]:
        """How many live executions, and what it says of those that have ended; also while the panel is hidden."""
        live = self.panel.get_by_label("Live executions").locator(".zoe-Item")
        return live.count(), "".join(self.panel.locator(".zoe-Ended-title").all_text_contents())

    def _known(self) -> tuple[int, str]:
        states = [one["state"] for one in self.server.ask("zoe/api/executions?limit=100")["items"]]
        ended = states.count("ended")
        return len(states) - ended, f"Ended ({ended})" if ended else ""

    def tidy(self, clear: Callable[[], None]) -> None:
        """Put away what a test has left; ``clear`` does so on the server."""
        self._put_away()
        clear()
        self.page.evaluate(f"() => {{{AGAIN}}}")
        expect(self.panel.locator(".zoe-Item, .zoe-Ended")).to_have_count(0, timeout=TIDY_MS)
        expect(self.page.locator(".Toastify__toast")).to_have_count(0, timeout=TIDY_MS)
        self.page.wait_for_function(LAUNCHER_HAS_FOCUS, timeout=TIDY_MS)
        self.problems.clear()

    def _put_away(self) -> None:
        for other in self.context.pages[1:]:
            other.close()
        self.page.unroute_all(behavior="ignoreErrors")
        self.page.set_viewport_size(SIZE)
        self.context.clear_permissions()
        for _ in range(self.page.locator(OVERLAYS).count()):
            self.press("Escape")
        expect(self.page.locator(OVERLAYS)).to_have_count(0, timeout=TIDY_MS)
        for script in (FORGET, PANEL, CLOSE):
            self.page.evaluate(f"() => {{{script}}}")


class Keeper:
    """Has the page that the tests of a file share; another one after a test that failed, and where it could not be tidied."""

    def __init__(self, browser: Browser, server: JupyterServer, clear: Callable[[], None]) -> None:
        self._browser = browser
        self._server = server
        self._clear = clear
        self._page: KeptLab | None = None

    def lend(self) -> KeptLab:
        if self._page is None:
            self._page = KeptLab(self._browser, self._server)
        return self._page

    def take_back(self, *, is_fit: bool) -> None:
        try:
            assert is_fit
            self.lend().tidy(self._clear)
        except (AssertionError, Error) as error:
            print(f"A page that could not be put in order is closed: {error}")
            self.close()

    def close(self) -> None:
        if self._page is not None:
            self._page.close()
        self._page = None
