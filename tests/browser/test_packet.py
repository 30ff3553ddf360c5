"""A packet: what becomes of it, its way rule by rule, and the link to it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Show, Shown
from tests.browser.documents import first_state, small

pytestmark = pytest.mark.browser
WEB = "#default/web:http"


def chosen_way(shown: Shown) -> list[str]:
    return shown.texts(".outcome[aria-pressed=true] .outcome-words")


def lit_rules(shown: Shown) -> list[str]:
    return [row.get_attribute("id") or "" for row in shown.page.locator(".rule.lit").all()]


def test_outcomes_have_their_shares(show: Show) -> None:
    shown = show(small(), WEB)
    assert shown.texts(".outcome-words") == [f"to 10.10.1.{last}:8080" for last in (2, 3, 4)]
    assert shown.texts(".share") == ["33.3 %"] * 3
    assert shown.page.get_attribute(".share", "title") == "1/3"
    widths = shown.page.eval_on_selector_all(
        ".outcome .bar-fill", "all => all.map(one => parseFloat(one.style.width))"
    )
    assert widths == pytest.approx([33.3333] * 3, abs=0.01)
    # all of its ways are lit
    assert len(lit_rules(shown)) == 7


def test_a_way_lights_up_rule_by_rule(show: Show) -> None:
    shown = show(small(), WEB)
    shown.page.click(".outcome >> nth=1")
    assert chosen_way(shown) == ["to 10.10.1.3:8080"]
    assert lit_rules(shown) == ["rule-0", "rule-2", "rule-5"]
    assert shown.texts(".step .why") == [
        "packets to 10.96.0.10 go on in KUBE-SVC-4098821089",
        "sends one of 2 new connections to 10.10.1.3",
        "the destination becomes 10.10.1.3",
    ]
    for step, rule in enumerate(["rule-0", "rule-2", "rule-5"], 1):
        shown.page.keyboard.press("n")
        assert shown.page.get_attribute(".rule.now", "id") == rule
        assert shown.page.get_attribute(".rule.now", "data-step") == str(step)
        assert shown.page.locator(".step[aria-current=step]").count() == 1
        assert shown.text("#status").startswith(f"step {step} of 3")
    shown.page.keyboard.press("n")
    assert shown.page.get_attribute(".rule.now", "id") == "rule-5"
    shown.page.keyboard.press("p")
    assert shown.page.get_attribute(".rule.now", "id") == "rule-2"
    shown.page.click("#step-back")
    shown.page.click("#step-back")
    assert shown.page.locator(".rule.now").count() == 0
    shown.page.keyboard.press("a")
    assert chosen_way(shown) == []
    assert len(lit_rules(shown)) == 7


def test_the_graph_lights_up_with_the_way(show: Show) -> None:
    shown = show(small(), WEB)
    shown.page.click(".outcome >> nth=1")
    lit = shown.page.eval_on_selector_all(
        ".node.lit", "all => all.map(one => one.getAttribute('aria-label'))"
    )
    assert [words.partition(",")[0] for words in lit] == [
        "via cluster IP 10.96.0.10:80",
        "endpoints of the cluster",
        "10.10.1.3:8080",
    ]
    assert shown.page.locator(".edge.lit").count() == 2
    for _ in range(3):
        shown.page.keyboard.press("n")
    assert (shown.page.get_attribute(".node.now", "aria-label") or "").startswith("10.10.1.3:8080")


def test_a_way_is_played(show: Show) -> None:
    shown = show(small(), WEB)
    shown.page.click(".outcome >> nth=0")
    shown.page.click("#step-play")
    assert shown.text("#step-play") == "Stop"
    shown.page.wait_for_selector(".step-list li:last-child .step[aria-current=step]")
    expect(shown.page.locator("#step-play")).to_have_text("Play")


def test_steps_without_a_way_follow_the_likeliest(show: Show) -> None:
    shown = show(small(), WEB)
    shown.page.keyboard.press("n")
    assert chosen_way(shown) == ["to 10.10.1.2:8080"]
    assert shown.page.get_attribute(".rule.now", "id") == "rule-0"


def test_only_the_rules_that_the_packet_matches(show: Show) -> None:
    shown = show(small(), WEB)
    shown.page.click(".outcome >> nth=1")
    shown.page.check("#rules-only")
    visible = [row for row in shown.page.locator(".rule").all() if row.is_visible()]
    assert [row.get_attribute("id") for row in visible] == ["rule-0", "rule-2", "rule-5"]


def test_the_sender_is_a_preset_or_any_address(show: Show) -> None:
    shown = show(small(), WEB)
    shown.page.select_option("#field-sender", "outside")
    assert shown.page.input_value("#field-from") == "198.51.100.7"
    assert shown.link == f"{WEB}?from=198.51.100.7&in=eth0&via=cluster-ip&state=NEW"
    shown.page.fill("#field-from", "192.0.2.9")
    shown.page.keyboard.press("Enter")
    assert shown.link == f"{WEB}?from=192.0.2.9&in=eth0&via=cluster-ip&state=NEW"
    assert shown.page.input_value("#field-sender") == "other"
    shown.page.select_option("#field-sender", "node")
    assert shown.link == f"{WEB}?from=172.18.0.2&local=1&via=cluster-ip&state=NEW"
    assert shown.page.is_checked("#field-local")


def test_the_focus_stays_in_the_form(show: Show) -> None:
    shown = show(small(), WEB)
    shown.page.focus("#field-state")
    shown.page.keyboard.press("ArrowDown")
    assert shown.focused() == "field-state"


@pytest.mark.parametrize("address", ["10.0.0", "10.0.0.256", "fe80::x", "01.2.3.4", "<b>"])
def test_what_is_no_address_is_reported(show: Show, address: str) -> None:
    shown = show(small(), WEB)
    shown.page.fill("#field-from", address)
    shown.page.keyboard.press("Enter")
    assert shown.text("#from-wrong") == "expected an IP address such as 10.10.1.7"
    assert shown.page.get_attribute("#field-from", "aria-invalid") == "true"
    assert "Not computed" in shown.text("#answer")


@pytest.mark.parametrize(
    ("field", "value", "missing", "option"),
    [
        (
            "state",
            "ESTABLISHED",
            "packets in state ESTABLISHED were not computed",
            "--state established",
        ),
        (
            "protocol",
            "udp",
            "no entry point of this service port takes such packets",
            "--state new",
        ),
    ],
)
def test_what_was_not_computed_is_said(
    show: Show, field: str, value: str, missing: str, option: str
) -> None:
    shown = show(small(), WEB)
    shown.page.select_option(f"#field-{field}", value)
    assert missing in shown.text(".missing")
    command = shown.text(".missing code")
    assert command.startswith(
        "proxyrules trace cluster.yaml --node worker-1 --kube-version 1.37 --from 10.10.1.7 "
        "--to default/web:http"
    )
    assert option in command
    assert lit_rules(shown) == []
    assert "Nothing to send" in shown.text("#study")


def test_sources_that_no_cell_has_are_not_guessed(show: Show) -> None:
    document = small()
    entry = first_state(document)["entries"][0]
    for cell in entry["cells"]:
        cell["sources"] = [["0a0a0100", "0a0a01ff"]]
    entry["notLooked"] = "packets from the endpoints themselves"
    shown = show(document, f"{WEB}?from=10.10.1.255&via=cluster-ip&state=NEW")
    assert shown.texts(".share") == ["33.3 %"] * 3
    assert "Not computed: packets from the endpoints themselves" in shown.text("#answer")
    shown.page.fill("#field-from", "10.10.2.0")
    shown.page.keyboard.press("Enter")
    assert "Not computed: packets from the endpoints themselves." in shown.text(".missing")
    assert shown.page.locator(".outcome").count() == 0


def test_cases_are_shown_as_cases(show: Show) -> None:
    shown = show(small(), "#default/unsure:http")
    assert shown.texts(".case h3") == [
        "if 10.0.0.1 is an address of the node",
        "if 10.0.0.1 is no address of the node",
    ]
    assert shown.texts(".share") == ["50 %"] * 4
    assert shown.page.locator("#field-study-case option").count() == 2
    shown.page.click(".case >> nth=1 >> .outcome >> nth=0")
    assert shown.link.endswith("&if=1&way=10.10.1.2:8080")
    pressed = shown.page.locator(".case").nth(1).locator("[aria-pressed=true]")
    assert pressed.count() == shown.page.locator(".outcome[aria-pressed=true]").count() == 1


def test_affinity_is_said_and_its_ways_are_shown(show: Show) -> None:
    shown = show(small(), "#default/sticky:http")
    assert "within 60 s (1 min) goes back to its endpoint" in shown.text(".affinity")
    shown.page.click(".affinity summary")
    shown.page.click("[data-pin=KUBE-SEP-00001]")
    assert "clients of 10.10.1.3 come back to it" in shown.texts(".step .why")
    assert shown.page.locator(".edge.return.lit").count() == 1


def test_a_link_restores_everything(show: Show) -> None:
    link = f"{WEB}?from=198.51.100.7&in=eth0&via=cluster-ip&state=NEW&way=10.10.1.4:8080"
    shown = show(small(), link)
    assert shown.page.input_value("#field-sender") == "outside"
    assert shown.page.input_value("#field-in") == "eth0"
    assert chosen_way(shown) == ["to 10.10.1.4:8080"]
    assert shown.page.title() == "default/web:http · proxyrules explore"
    assert shown.link == link


def test_back_and_forward(show: Show) -> None:
    shown = show(small(), WEB)
    shown.page.select_option("#field-sender", "outside")
    shown.page.click("#row-1")
    expect(shown.page.locator("h1")).to_contain_text("sticky")
    shown.page.go_back()
    expect(shown.page.locator("h1")).to_contain_text("web")
    assert shown.page.input_value("#field-sender") == "outside"
    shown.page.go_back()
    expect(shown.page.locator("#field-sender")).to_have_value("pod")
    shown.page.go_forward()
    expect(shown.page.locator("#field-sender")).to_have_value("outside")


def test_the_link_is_copied(show: Show) -> None:
    shown = show(small(), WEB, permissions=["clipboard-read", "clipboard-write"])
    shown.page.keyboard.press("c")
    expect(shown.page.locator("#copy-link")).to_have_text("Copied")
    assert shown.page.evaluate("navigator.clipboard.readText()") == f"{shown.address}{WEB}"
