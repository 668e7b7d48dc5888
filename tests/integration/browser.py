"""The dashboard in a real headless Chromium: what a person sees and does there, and what must never happen there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pytest

if TYPE_CHECKING:
    # Imported for real by who opens a browser: most tests do not.
    from playwright.sync_api import Browser, ConsoleMessage, Dialog, Locator, Page, Request, Route

    from devhost.testing import TestHost

SCREENSHOTS = Path(__file__).resolve().parents[2] / ".cache" / "screenshots"
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
EXPECTED = "Failed to load resource"
"""What Chromium writes into its console of each answer that is no success."""
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 360, "height": 740}


class FakeHost:
    """Answers the page in the browser itself, with whatever a test wants the app to say, and keeps what it was asked.

    `answers`: by method and path, what is answered: JSON, or an int for a status. `is_away`: it does not answer.
    `slow`: a path whose requests wait in `held`, for the test to answer them.
    """

    url = "http://nightshift.test"

    def __init__(self) -> None:
        self.answers: dict[str, Any] = {
            "GET /jobs": {"jobs": []},
            "GET /approvals": {"approvals": []},
            "GET /dead-letters": {"deadLetters": []},
            "GET /schedules": {"schedules": [], "alerts": []},
            "GET /queues": {"queues": []},
        }
        self.asked: list[Request] = []
        self.is_away = False
        self.slow: str | None = None
        self.held: list[Route] = []

    def answer(self, route: Route) -> None:
        """Answer one request."""
        from jobs.dashboard_page import page

        request = route.request
        path = urlsplit(request.url).path.removeprefix("/api")
        if path == "/dashboard":
            return route.fulfill(body=page().html, headers={**page().headers, "Content-Type": "text/html"})
        self.asked.append(request)
        if self.is_away:
            return route.abort()
        if path == self.slow:
            return self.held.append(route)
        found = self.answers.get(f"{request.method} {unquote(path)}", 404)
        if isinstance(found, int):
            return route.fulfill(status=found)
        return route.fulfill(json=found)


class Dashboard:
    """The page in a window of its own, and everything that it asked for and complained of."""

    def __init__(
        self, browser: Browser, host: TestHost | FakeHost, *, key: str | None = None, tab: str = "jobs", **options: Any
    ) -> None:
        self.url = host.url
        self.requests: list[Request] = []
        self.complaints: list[str] = []
        self._keys: list[str] = []
        self._context = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **options})
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(60_000)
        self.page.on("request", lambda request: self.requests.append(request))
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", self._refuse)
        if isinstance(host, FakeHost):
            self._context.route("**/*", host.answer)
        self.page.clock.install()
        self.page.goto(f"{self.url}/api/dashboard#{tab}")
        if key:
            self.enter_key(key)

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            self.complaints.append(message.text)

    def _refuse(self, dialog: Dialog) -> None:
        self.complaints.append(f"a script ran: {dialog.type} {dialog.message}")
        dialog.dismiss()

    def close(self) -> None:
        """Close the window. It must have asked nobody else, shown no key to anybody, and complained of nothing."""
        self._context.close()
        assert self.complaints == []
        urls = [request.url for request in self.requests]
        assert {url for url in urls if not url.startswith((self.url, "data:"))} == set()
        assert {url for url in urls for key in self._keys if key in url} == set()

    # What a person does

    def enter_key(self, key: str) -> None:
        self._keys.append(key)
        if not self.page.get_by_label("Function key or admin key").is_visible():
            self.button("Key").click()
        self.page.get_by_label("Function key or admin key").fill(key)
        self.button("Use this key").click()

    def open_tab(self, name: str) -> None:
        self.page.get_by_role("tab", name=name).click()

    def look(self) -> None:
        """What the page does when it comes back to the front, sooner than its next poll."""
        self.page.evaluate("() => { window.dispatchEvent(new Event('online')) }")

    # What a person sees

    def button(self, name: str, within: Locator | None = None) -> Locator:
        return (within or self.page).get_by_role("button", name=name, exact=True)

    def row(self, text: str) -> Locator:
        """The row of the list that is open which has this text in it."""
        return self.page.get_by_role("tabpanel").get_by_role("listitem").filter(has_text=text)

    @property
    def job(self) -> Locator:
        """The page about one job."""
        return self.page.locator("#job")

    @property
    def news(self) -> Locator:
        """What was said last, aloud too."""
        return self.page.locator(".news:not(:empty)").last

    def assert_fits(self) -> None:
        """Nothing is wider than the window."""
        widths = self.page.evaluate(
            "() => [document.documentElement, ...document.querySelectorAll('dialog[open]')]"
            ".map((each) => each.scrollWidth - each.clientWidth)"
        )
        assert max(widths) <= 0

    def photograph(self, name: str) -> None:
        """Keep what is seen, for people, in .cache/screenshots."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. It ends with the module, since Playwright holds the thread's event loop for as long."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)  # a busy machine is no fault of the page
    executable = shutil.which("chromium")
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail("there is no chromium on the PATH: apt-get install chromium")
        pytest.skip("there is no chromium on the PATH")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, headless=True, args=list(QUIET))
        yield running
        running.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Callable[..., Dashboard]]:
    """Opens the dashboard of a host: `visit(shop)`, with `key`, `tab`, or what Playwright takes for a context."""
    opened: list[Dashboard] = []

    def go(host: TestHost | FakeHost, **options: Any) -> Dashboard:
        opened.append(Dashboard(browser, host, **options))
        return opened[-1]

    yield go
    for each in opened:
        each.close()
