"""Times the page of `explore` in chromium: `python -m tests.benchmarks.explore_page`.

Makes the pages of clusters of 1,000 and 10,000 Services with 10 endpoints each, opens them, chooses
service ports far apart (each in a part of the page that was not read before), and searches. Fails
where the page of 1,000 Services is not painted within 1 s, or a chosen one not shown in 100 ms.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.benchmarks.__main__ import Dump, machine
from tests.benchmarks.explore import ENDPOINTS, LIMITED_SERVICES, first_node

PAINT_MS, CHOICE_MS = 1_000, 100
CHOICES = 20
# From the address that is set to the frame after the one in which the answer is there.
CHOOSE = """place => new Promise(done => {
    const rows = document.getElementById("list");
    rows.scrollTop = 52 * place;
    requestAnimationFrame(() => requestAnimationFrame(() => {
        const name = document.getElementById(`row-${place}`).title;
        const start = performance.now();
        const shown = () => document.querySelector("h1").textContent === name
            && document.querySelector(".graph-frame svg") && document.querySelector(".outcome");
        const look = () => shown() ? requestAnimationFrame(() => done(performance.now() - start))
            : requestAnimationFrame(look);
        location.hash = name;
        look();
    }));
})"""
PAINT = """() => new Promise(done => new PerformanceObserver(list => {
    const found = list.getEntriesByName("first-contentful-paint")[0];
    if (found) done(found.startTime);
}).observe({type: "paint", buffered: true}))"""
SEARCH = """words => new Promise(done => {
    const count = () => document.querySelector(".count").textContent;
    const before = count();
    const search = document.getElementById("search");
    const start = performance.now();
    search.value = words;
    search.dispatchEvent(new Event("input", {bubbles: true}));
    const look = () => count() === before ? requestAnimationFrame(look)
        : requestAnimationFrame(() => done(performance.now() - start));
    look();
})"""


@dataclass(frozen=True)
class Times:
    """Milliseconds: to the first paint, until the list is there, of a choice, of a search."""

    paint: float
    ready: float
    choice: float
    slowest: float
    search: float


def made_page(folder: Path, services: int) -> Path:
    """Return the page of a cluster, made by this checkout."""
    manifests, page = Dump(services, ENDPOINTS, "json").make(folder), folder / "page.html"
    command = (
        *(sys.executable, "-m", "compiler", "explore", str(manifests), "-o", str(page)),
        *("--cluster-cidr", "10.128.0.0/9", "--node", first_node(manifests)),
    )
    subprocess.run(command, check=True)
    return page


def timed(page: Page, address: str, services: int) -> Times:
    """Open a page and use it."""
    page.goto(address)
    paint = page.evaluate(PAINT)
    page.wait_for_selector("body[data-ready]")
    ready = page.evaluate("() => performance.getEntriesByName('ready')[0].startTime")
    places = [services * turn // CHOICES for turn in range(CHOICES)]
    choices = [page.evaluate(CHOOSE, place) for place in places]
    search = page.evaluate(SEARCH, "10.128.0.7:8080")
    return Times(paint, ready, statistics.median(choices), max(choices), search)


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.explore_page", description=__doc__
    )
    parser.add_argument(
        "--services", type=int, nargs="+", default=[1_000, 10_000], help="Services (1,000 10,000)"
    )
    options = parser.parse_args()
    folder = Path(tempfile.gettempdir(), f"proxyrules-dumps-{os.getuid()}")
    folder.mkdir(parents=True, exist_ok=True)
    print(machine())  # noqa: T201
    slow = False
    for services in options.services:
        path = made_page(folder, services)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            found = timed(browser.new_page(), path.as_uri(), services)
            browser.close()
        size = path.stat().st_size / 1e6
        path.unlink()
        print(  # noqa: T201
            f"{services:,} Services, {size:.1f} MB: painted in {found.paint:.0f} ms, ready in "
            f"{found.ready:.0f} ms, chosen in {found.choice:.0f} ms (slowest {found.slowest:.0f}), "
            f"first search {found.search:.0f} ms"
        )
        if services <= LIMITED_SERVICES:
            slow = slow or found.paint > PAINT_MS or found.choice > CHOICE_MS
    sys.exit(slow)


if __name__ == "__main__":
    main()
