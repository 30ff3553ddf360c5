"""Accessibility: axe-core, narrow windows, paper, no script."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from compiler.cli.explore_html import assemble
from tests.browser.conftest import Show, Shown
from tests.browser.documents import detail_of, entry_of, finding, head, small
from tests.browser.test_sides import two_sides

pytestmark = pytest.mark.browser
WIDE, NARROW = {"width": 1400, "height": 900}, {"width": 360, "height": 740}
LONG = "a-namespace-with-a-long-name/" + "service-" * 7 + "x:a-long-port"


def serious(shown: Shown) -> list[str]:
    """Return what axe finds that is serious or critical, with the elements."""
    response = Axe().run(shown.page).response
    assert len(response["passes"]) > 10
    return [
        f"{rule['id']}: {[node['html'][:120] for node in rule['nodes'][:3]]}"
        for rule in response["violations"]
        if rule["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(show: Show, scheme: str, viewport: dict[str, int]) -> None:
    shown = show(two_sides(), "", color_scheme=scheme, viewport=viewport, bypass_csp=True)
    assert serious(shown) == []
    shown.go("#default/web:http?via=cluster-ip&way=10.10.1.2:8080")
    shown.page.keyboard.press("n")
    shown.page.keyboard.press("s")
    shown.page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
    assert serious(shown) == []
    shown.page.select_option("#field-state", "INVALID")
    shown.page.keyboard.press("Escape")
    shown.page.keyboard.press("?")
    assert serious(shown) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_findings_and_cases(show: Show, scheme: str) -> None:
    document = small(findings=[finding("default/unsure")])
    document["index"][2]["findings"] = [0]
    shown = show(document, "#default/unsure:http", color_scheme=scheme, bypass_csp=True)
    shown.page.eval_on_selector_all("details", "all => all.forEach(one => { one.open = true; })")
    assert serious(shown) == []


@pytest.mark.parametrize("link", ["", "#default/web:http", f"#{LONG}"])
def test_nothing_is_wider_than_a_phone(show: Show, link: str) -> None:
    document = {
        "head": head(title="a/long/path/to/" + "manifests" * 9 + ".yaml on worker-1"),
        "index": [entry_of("default/web:http", endpoints=12), entry_of(LONG, affinity=9)],
        "details": [detail_of("default/web:http", 12), detail_of(LONG, 3, 9, comment=LONG * 3)],
    }
    shown = show(document, link, viewport=NARROW)
    assert shown.width_beyond() <= 0
    wide = shown.page.eval_on_selector_all(
        "main, .card, .row, h1, .rule, .outcome, #controls",
        "all => all.filter(one => one.getBoundingClientRect().right > innerWidth + 1)"
        ".map(one => one.className || one.tagName)",
    )
    assert wide == []


def test_on_a_phone_the_list_and_the_service_take_turns(show: Show) -> None:
    shown = show(small(), viewport=NARROW, has_touch=True)
    shown.page.tap(".row")
    shown.page.wait_for_selector("#answer")
    assert not shown.page.is_visible("#list")
    shown.page.tap("#back")
    assert shown.page.is_visible("#list")
    assert shown.link == "#"


def test_ipv6(show: Show) -> None:
    name = "default/web:http"
    detail = detail_of(name, address="fd00:10:96::a", first="fd00:10:244:1::2", affinity=60)
    document = {"head": head(family="ipv6"), "index": [entry_of(name)], "details": [detail]}
    shown = show(document, "#default/web:http?from=FD00:0:0::7")
    assert shown.texts(".outcome-words")[0] == "to [fd00:10:244:1::2]:8080"
    assert shown.page.input_value("#field-from") == "fd00::7"
    shown.page.keyboard.press("s")
    assert "10 clients fd00::7 to fd00::10" in shown.text("#study-facts")
    shown.page.click(".trace summary")
    assert "--ip-family ipv6 --from fd00::7 " in shown.text(".trace code")


def test_paper_has_the_whole_service(show: Show) -> None:
    document = {
        "head": head(),
        "index": [entry_of("default/web:http", endpoints=150)],
        "details": [detail_of("default/web:http", 150)],
    }
    shown = show(document, "#default/web:http")
    shown.page.emulate_media(media="print")
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.page.locator(".rule").count() == 301
    assert shown.page.is_visible("#rule-300")
    assert not shown.page.is_visible("#list")
    heights = shown.page.evaluate("[document.body.scrollHeight, innerHeight]")
    assert heights[0] > 5 * heights[1]
    # a page of it alone would be the window that is scrolled
    pages = re.findall(rb"/Type\s*/Page\b", shown.page.pdf())
    assert len(pages) > 5


def test_without_script_the_page_says_so(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("".join(assemble(small())))
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert "proxyrules trace" in page.inner_text("noscript")
    context.close()


def test_a_page_that_was_cut_off_says_so(browser: Browser, tmp_path: Path) -> None:
    text = "".join(assemble(small()))
    start = text.index('<script type="application/octet-stream" id="index">')
    end = text.index("</script>", start)
    path = tmp_path / "page.html"
    path.write_text(text[:start] + text[end + len("</script>") :])
    page = browser.new_page()
    page.goto(path.as_uri())
    words = page.inner_text("main [role=alert]")
    assert words == "This page can't be shown: the page lacks its block index: it is not complete"
    page.close()


def test_motion_is_left_out_where_it_is_not_wanted(show: Show) -> None:
    shown = show(small(), "#default/web:http")
    script = "getComputedStyle(document.querySelector('.rule')).transitionDuration"
    assert shown.page.evaluate(script) == "0s"
