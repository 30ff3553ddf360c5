"""Sending packets: shares, affinity, the clock."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Show, Shown
from tests.browser.documents import first_state, small

pytestmark = pytest.mark.browser


def landed(shown: Shown) -> dict[str, int]:
    names = shown.texts(".landed-name")
    counts = [int(text.split()[0]) for text in shown.texts(".landed-count")]
    return dict(zip(names, counts, strict=True))


def moved(shown: Shown) -> int:
    found = re.search(r"(\d+) clients? reached more than one endpoint", shown.text("#study-facts"))
    return int(found[1]) if found else 0


def test_packets_land_by_the_shares(show: Show) -> None:
    shown = show(small(), "#default/web:http")
    shown.page.fill("#field-study-count", "3000")
    shown.page.click("#study-send")
    counts = landed(shown)
    assert sum(counts.values()) == 3000
    # 1000 each; the seed makes it the same in every run
    assert all(900 < count < 1100 for count in counts.values())
    assert shown.page.locator(".timeline .dot").count() == 3000
    assert "3,000 packets sent" in shown.text("#study-facts")
    assert shown.texts(".landed-count")[0].endswith("expected 1000")


def test_a_seed_repeats_and_another_does_not(show: Show) -> None:
    shown = show(small(), "#default/web:http")
    found = []
    for seed in ("1", "2", "1"):
        shown.page.fill("#field-study-seed", seed)
        shown.page.press("#field-study-seed", "Tab")
        shown.page.click("#study-reset")
        shown.page.click("#study-send")
        found.append(landed(shown))
        assert f"seed {seed}" in shown.text("#study-facts")
    assert found[0] == found[2] != found[1]


def test_clients_return_to_their_endpoint(show: Show) -> None:
    shown = show(small(), "#default/sticky:http")
    shown.page.click("#study-send")
    assert moved(shown) == 0
    assert shown.page.locator(".dot.pinned").count() == 90 + 1  # and that of the key
    shown.page.click(".clients summary")
    rows = shown.page.locator(".clients tbody tr").all_inner_texts()
    assert len(rows) == 10
    assert all(row.split("\t")[1:4] == ["10", "9", "0"] for row in rows)


def test_time_passes_and_lists_forget(show: Show) -> None:
    shown = show(small(), "#default/sticky:http")
    shown.page.click("#study-send")
    # at 60 s clients are still known, and are stamped anew
    for _ in range(2):
        shown.page.click("#study-wait")
    shown.page.click("#study-send")
    assert "clock 1 min " in shown.text("#study-facts")
    assert moved(shown) == 0
    shown.page.fill("#wait-seconds", "61")
    shown.page.click("#study-wait")
    shown.page.click("#study-send")
    assert "clock 2 min 1 s" in shown.text("#study-facts")
    assert moved(shown) > 0
    assert shown.page.locator(".timeline line.wait").count() == 2


def test_affinity_off(show: Show) -> None:
    shown = show(small(), "#default/sticky:http")
    shown.page.select_option("#field-study-affinity", "off")
    shown.page.click("#study-send")
    assert moved(shown) == 10
    assert shown.page.locator(".timeline .dot.pinned").count() == 0


def test_what_if_there_were_affinity(show: Show) -> None:
    shown = show(small(), "#default/web:http")
    shown.page.select_option("#field-study-affinity", "what-if")
    shown.page.fill("#field-study-seconds", "30")
    shown.page.press("#field-study-seconds", "Tab")
    assert "What if: the rules have no affinity" in shown.text("#study")
    shown.page.click("#study-send")
    assert moved(shown) == 0
    shown.page.fill("#wait-seconds", "31")
    shown.page.click("#study-wait")
    shown.page.click("#study-send")
    assert moved(shown) > 0


def test_packets_some_seconds_apart_outlive_a_timeout(show: Show) -> None:
    shown = show(small(), "#default/sticky:http")
    for name, value in (("clients", "1"), ("gap", "61"), ("count", "50")):
        shown.page.fill(f"#field-study-{name}", value)
        shown.page.press(f"#field-study-{name}", "Tab")
    shown.page.click("#study-send")
    assert shown.page.locator(".timeline .dot.pinned").count() == 0
    shown.page.fill("#field-study-gap", "60")
    shown.page.press("#field-study-gap", "Tab")
    shown.page.click("#study-send")
    assert shown.page.locator(".timeline .dot.pinned").count() == 49


@pytest.mark.parametrize(
    ("name", "entered", "taken"),
    [("clients", "1000", "100"), ("count", "0", "1"), ("seed", "", "1")],
)
def test_numbers_stay_in_their_bounds(show: Show, name: str, entered: str, taken: str) -> None:
    shown = show(small(), "#default/web:http")
    shown.page.fill(f"#field-study-{name}", entered)
    shown.page.press(f"#field-study-{name}", "Tab")
    assert shown.page.input_value(f"#field-study-{name}") == taken


def test_clients_are_those_that_are_treated_alike(show: Show) -> None:
    document = small()
    for cell in first_state(document)["entries"][0]["cells"]:
        cell["sources"] = [["0a0a0105", "0a0a0107"]]
    shown = show(document, "#default/web:http")
    assert "3 clients 10.10.1.5 to 10.10.1.7" in shown.text("#study-facts")
    assert "No more clients are in the same range of addresses." in shown.text("#study")


def test_by_keyboard(show: Show) -> None:
    shown = show(small(), "#default/sticky:http")
    shown.page.keyboard.press("s")
    shown.page.keyboard.press("w")
    assert "clock 30 s" in shown.text("#study-facts")
    assert "100 packets sent" in shown.text("#study-facts")


def test_motion(show: Show) -> None:
    """With motion, packets land a few at a time."""
    shown = show(small(), "#default/web:http", reduced_motion="no-preference")
    shown.page.click("#study-send")
    expect(shown.page.locator(".timeline .dot")).to_have_count(100)
    assert sum(landed(shown).values()) == 100
