"""The list of service ports: search, filters, keyboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Show
from tests.browser.documents import detail_of, entry_of, finding, head, many, small, view

pytestmark = pytest.mark.browser
NAMES = ["default/web:http", "default/sticky:http", "default/unsure:http"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("", NAMES),
        ("sticky", ["default/sticky:http"]),
        ("DEFAULT/web", ["default/web:http"]),
        ("10.96.0.12", ["default/unsure:http"]),
        ("10.96.0.11 :80", ["default/sticky:http"]),
        ("kube-sep-00002", ["default/web:http", "default/sticky:http"]),
        ("10.10.1.4:8080", ["default/web:http", "default/sticky:http"]),
        ("nothing", []),
    ],
)
def test_search(show: Show, words: str, found: list[str]) -> None:
    shown = show(small())
    shown.page.keyboard.press("/")
    assert shown.focused() == "search"
    shown.page.keyboard.type(words)
    counted = "3 service ports" if len(found) == 3 else f"{len(found)} of 3 service ports"
    expect(shown.page.locator(".count")).to_have_text(counted)
    assert [row.get_attribute("title") for row in shown.page.locator(".row").all()] == found


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("type", "NodePort", ["default/sticky:http"]),
        ("policy", "external Local", ["default/sticky:http"]),
        ("affinity", "with", ["default/sticky:http"]),
        ("affinity", "without", ["default/web:http", "default/unsure:http"]),
        ("findings", "with", ["default/web:http"]),
        ("change", "any", ["default/web:http"]),
        ("change", "removed", []),
    ],
)
def test_filters(show: Show, field: str, value: str, found: list[str]) -> None:
    document = small(sides=["old", "new"], findings=[finding("default/web")])
    document["index"] = [
        entry_of("default/web:http", findings=[0], change="changed"),
        entry_of("default/sticky:http", affinity=60, type="NodePort", externalPolicy="Local"),
        entry_of("default/unsure:http"),
    ]
    shown = show(document)
    shown.page.click(".filters summary")
    shown.page.select_option(f"#field-filter-{field}", value)
    assert [row.get_attribute("title") for row in shown.page.locator(".row").all()] == found
    assert shown.text(".filters-set") == "(1 set)"


def test_a_service_port_is_chosen_by_keyboard(show: Show) -> None:
    shown = show(small())
    shown.page.keyboard.press("/")
    shown.page.keyboard.press("Escape")
    assert shown.focused() == "list"
    shown.page.keyboard.press("ArrowDown")
    active = shown.page.get_attribute("#list", "aria-activedescendant")
    assert shown.page.get_attribute(f"#{active}", "title") == "default/sticky:http"
    shown.page.keyboard.press("Enter")
    shown.page.wait_for_selector("#answer")
    assert shown.link == "#default/sticky:http"
    assert shown.focused() == "service"
    assert shown.page.get_attribute(f"#{active}", "aria-selected") == "true"
    shown.page.keyboard.press("Escape")
    assert shown.focused() == "list"


def test_end_home_and_pages(show: Show) -> None:
    shown = show(many(1000, 1))
    shown.page.focus("#list")
    for key, row in [("End", 999), ("Home", 0), ("ArrowUp", 0), ("ArrowDown", 1)]:
        shown.page.keyboard.press(key)
        assert shown.page.get_attribute("#list", "aria-activedescendant") == f"row-{row}"
        assert shown.page.is_visible(f"#row-{row}")
    shown.page.keyboard.press("PageDown")
    place = shown.page.get_attribute("#list", "aria-activedescendant")
    assert place is not None
    assert 5 < int(place.removeprefix("row-")) < 40


def test_of_ten_thousand_few_rows_are_in_the_page(show: Show) -> None:
    shown = show(many(10_000, 1))
    assert shown.page.locator(".row").count() < 60
    shown.page.eval_on_selector("#list", "list => { list.scrollTop = 52 * 5000; }")
    shown.page.wait_for_selector("#row-5003")
    assert shown.page.get_attribute("#row-5003", "title") == "team-3/service-5003:http"
    shown.page.click("#row-5003")
    shown.page.wait_for_selector("#answer")
    assert shown.text("h1") == "team-3/service-5003:http"
    shown.page.fill("#search", "service-9999")
    expect(shown.page.locator(".row")).to_have_count(1)


def test_skip_links_lead_to_the_list_and_to_the_service(show: Show) -> None:
    shown = show(small(), "#default/web:http")
    shown.page.keyboard.press("Tab")
    assert shown.focused() == "skip-list"
    shown.page.keyboard.press("Enter")
    assert shown.focused() == "list"
    shown.page.focus("#skip-main")
    shown.page.keyboard.press("Enter")
    assert shown.focused() == "service"


def test_help_opens_and_closes(show: Show) -> None:
    shown = show(small())
    shown.page.keyboard.press("?")
    assert shown.page.is_visible("#help")
    assert "next and previous rule" in shown.text("#help")
    shown.page.keyboard.press("Escape")
    assert not shown.page.is_visible("#help")
    shown.page.click("#help-button")
    shown.page.click("#help summary")
    assert "Permission is hereby granted" in shown.text("#help")
    shown.page.click("#help-close")
    assert not shown.page.is_visible("#help")


def test_single_keys_can_be_turned_off(show: Show) -> None:
    shown = show(small())
    shown.page.click("#help-button")
    shown.page.uncheck("#single-keys")
    shown.page.click("#help-close")
    shown.page.keyboard.press("/")
    assert shown.focused() != "search"
    shown.go("#default/web:http")
    shown.page.keyboard.press("?")
    assert not shown.page.is_visible("#help")
    shown.page.click("#help-button")
    shown.page.check("#single-keys")
    shown.page.keyboard.press("Escape")
    shown.page.keyboard.press("?")
    assert shown.page.is_visible("#help")


HOSTILE = "</script><script>window.bad=1</script><img src=x onerror=window.bad=1>"


def test_names_and_comments_are_text(show: Show) -> None:
    name = f"default/{HOSTILE}:http"
    notes = [HOSTILE]
    shown = show(
        {
            "head": head(title=HOSTILE, notLooked=notes, findings=[finding(f"default/{HOSTILE}")]),
            "index": [entry_of(name, findings=[0])],
            "details": [detail_of(name, comment=HOSTILE)],
        }
    )
    assert HOSTILE in shown.text("#not-looked")
    shown.page.click(".row")
    shown.page.wait_for_selector("#answer")
    assert shown.text("h1") == name
    assert HOSTILE in shown.text("#rules")
    shown.page.reload()
    shown.page.wait_for_selector("#answer")
    assert shown.text("h1") == name
    assert shown.page.evaluate("window.bad") is None
    assert shown.page.locator("img").count() == 0


def test_characters_that_reorder_text_are_shown(show: Show) -> None:
    name = "default/a\u202eb\x1b[31m:http"
    shown = show({"head": head(), "index": [entry_of(name)], "details": [detail_of(name)]})
    shown.page.click(".row")
    shown.page.wait_for_selector("#answer")
    assert shown.text("h1") == r"default/a\x202eb\x1b[31m:http"


def test_a_name_that_is_not_there(show: Show) -> None:
    shown = show(small(), "#default/gone:http")
    assert "No service port is named default/gone:http here." in shown.text("[role=alert]")


def test_an_empty_page(show: Show) -> None:
    shown = show({"head": head(), "index": [], "details": []})
    assert shown.text(".count") == "0 service ports"
    assert "service ports\nnone" in shown.text("#input")
    shown.page.focus("#list")
    for key in ("ArrowDown", "Enter", "n", "s"):
        shown.page.keyboard.press(key)


def test_a_service_s_own_page_has_what_was_not_looked_at(show: Show) -> None:
    views = [view(notes=["-m bpf compared as text"]), view(node="worker-2", label="worker-2",
             notes=["of the other node"])]  # fmt: skip
    document = small(notLooked=["2 IPv6 service ports"], views=views)
    for detail in document["details"]:
        detail["byView"] = [0, 0]
    shown = show(document, "#default/web:http")
    assert shown.text("#service-not-looked summary") == "Not looked at on this page: 2 items"
    shown.page.click("#service-not-looked summary")
    words = ["2 IPv6 service ports", "worker-1: -m bpf compared as text"]
    assert shown.texts("#service-not-looked li") == words
    assert len(show(small(notLooked=[]), "#default/web:http").texts("#service-not-looked")) == 0
