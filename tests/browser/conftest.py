"""A page in a real browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, sync_playwright

from compiler.analysis.explore.document import Document
from compiler.cli.explore_html import assemble
from tests.browser.chromium import BROWSER


@dataclass
class Shown:
    """A page that is shown, and what it did that no page may do."""

    page: Page
    address: str
    console: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def go(self, link: str) -> None:
        """Open the page at a link, as by the address bar."""
        self.page.goto(f"{self.address}{link}")
        self.page.wait_for_selector("body[data-ready]")

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def texts(self, selector: str) -> list[str]:
        return self.page.locator(selector).all_inner_texts()

    @property
    def link(self) -> str:
        """What the page's address has after its file."""
        return self.page.url.removeprefix(self.address)

    def focused(self) -> str:
        """Return the id of what has the focus."""
        found: str = self.page.evaluate("document.activeElement.id")
        return found

    def width_beyond(self) -> int:
        """Return by how many pixels the page is wider than its window."""
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        found: int = self.page.evaluate(script)
        return found


Show = Callable[..., Shown]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start a browser for the tests of one module.

    While it runs, so does an event loop in this process, in which pyroute2 can't make its own: it
    must not outlive the module.
    """
    # root, whose tests CI runs, has no sandbox; the pages are ours
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=shutil.which(BROWSER), args=["--no-sandbox"]
        )
        yield made
        made.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Show a document's page. At the end of the test: no errors, no requests but for the file."""
    made: list[Shown] = []
    contexts = []

    def opened(document: Document, link: str = "", **options: Any) -> Shown:
        path = tmp_path / f"page-{len(made)}.html"
        path.write_text("".join(assemble(document)), encoding="utf-8")
        options = {"viewport": {"width": 1400, "height": 900}, "reduced_motion": "reduce"} | options
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        shown = Shown(page, path.as_uri())
        watch(shown)
        made.append(shown)
        shown.go(link)
        return shown

    yield opened
    for context in contexts:
        context.close()
    assert [line for shown in made for line in shown.console] == []
    assert [each for shown in made for each in shown.requests if each != shown.address] == []


def watch(shown: Shown) -> None:
    """Note what a page writes to the console, its errors and its requests."""

    def requested(request: Request) -> None:
        # `data:` is the empty icon, which is inside the page
        if not request.url.startswith("data:"):
            shown.requests.append(request.url.partition("#")[0])

    shown.page.on("console", lambda message: shown.console.append(message.text))
    shown.page.on("pageerror", lambda error: shown.console.append(str(error)))
    shown.page.on("request", requested)
