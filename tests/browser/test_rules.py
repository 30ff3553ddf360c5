"""Rules whose words are explained, and the graph."""

from __future__ import annotations

import pytest

from tests.browser.conftest import Show, Shown
from tests.browser.documents import detail_of, entry_of, first_state, head, small

pytestmark = pytest.mark.browser
WORD = '.word:has-text("-m statistic")'
MEANING = "one of 3 of the packets that come here"


def tip(shown: Shown) -> str:
    return shown.text("#tip") if shown.page.is_visible("#tip") else ""


def test_rules_are_shown_by_chain(show: Show) -> None:
    shown = show(small(), "#default/web:http")
    assert shown.texts(".chain h3 code") == [
        "KUBE-SERVICES",
        "KUBE-SVC-4098821089",
        "KUBE-SEP-00000",
        "KUBE-SEP-00001",
        "KUBE-SEP-00002",
    ]
    assert shown.text("#rule-1 .rule-text") == (
        '-A KUBE-SVC-4098821089 -m comment --comment "default/web:http" '
        "-m statistic --mode random --probability 0.33333333333 -j KUBE-SEP-00000"
    )
    assert shown.text("#rule-1 .why") == "sends one of 3 new connections to 10.10.1.2"
    assert shown.text("#rule-0 .from") == "cluster.yaml:9: Service default/web:http: spec.clusterIP"


def test_a_word_is_explained_on_hover(show: Show) -> None:
    shown = show(small(), "#default/web:http")
    shown.page.hover(WORD)
    assert tip(shown) == MEANING
    shown.page.hover("h1")
    assert tip(shown) == ""


def test_a_word_is_explained_on_focus_and_described_by_it(show: Show) -> None:
    shown = show(small(), "#default/web:http")
    shown.page.focus(WORD)
    assert tip(shown) == MEANING
    assert shown.page.get_attribute(f"{WORD} >> nth=0", "aria-describedby") == "tip"
    shown.page.keyboard.press("Escape")
    assert tip(shown) == ""
    # Esc did no more than that
    assert shown.page.evaluate("document.activeElement.className") == "word"


def test_a_word_is_explained_on_tap(show: Show) -> None:
    shown = show(
        small(), "#default/web:http", has_touch=True, viewport={"width": 360, "height": 740}
    )
    shown.page.tap(WORD)
    assert tip(shown) == MEANING
    box = shown.page.locator("#tip").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


def test_one_tab_stop_leads_to_all_words(show: Show) -> None:
    shown = show(small(), "#default/web:http")
    assert shown.page.locator('.word[tabindex="0"]').count() == 1
    shown.page.focus('.word[tabindex="0"]')
    words = []
    for key in ["ArrowRight", "ArrowDown", "End", "ArrowLeft", "Home", "ArrowUp"]:
        shown.page.keyboard.press(key)
        words.append(shown.page.evaluate("document.activeElement.innerText"))
    assert words == [
        '-m comment --comment "default/web:http"',
        '-m comment --comment "default/web:http"',
        "-j KUBE-SEP-00000",
        "-m statistic --mode random --probability 0.33333333333",
        '-m comment --comment "default/web:http"',
        "-A KUBE-SERVICES",
    ]
    assert shown.page.locator('.word[tabindex="0"]').count() == 1


def test_the_whole_nodes_rules_are_shown_too(show: Show) -> None:
    document = small()
    state = first_state(document)
    rule = {"table": "filter", "chain": "KUBE-FORWARD", "text": "-A KUBE-FORWARD -j ACCEPT"}
    state["rules"].append(
        rule | {"words": [["-A KUBE-FORWARD -j ACCEPT", ""]], "why": "", "from": ""}
    )
    shown = show(document, "#default/web:http")
    assert shown.text("section.chain:last-child").splitlines() == [
        "KUBE-FORWARD",
        "filter · for the whole node; only the rules that packets match",
        "-A KUBE-FORWARD -j ACCEPT",
    ]


def test_the_graph_has_title_description_and_text(show: Show) -> None:
    shown = show(small(), "#default/sticky:http")
    assert shown.page.text_content("#graph-title") == "default/sticky:http on worker-1"
    assert shown.page.text_content("#graph-desc") == "From cluster IP 10.96.0.11:80 to 3 endpoints."
    assert shown.page.locator(".graph-frame .node").count() == 5
    assert shown.page.locator(".graph-frame .edge.return").count() == 3
    assert "stroke-dasharray: 5px, 4px" in shown.page.eval_on_selector(
        ".edge.return .line",
        "line => `stroke-dasharray: ${getComputedStyle(line).strokeDasharray}`",
    )
    words = shown.page.locator(".graph-frame .edge text").all_text_contents()
    assert words.count("33.3 %") == 3
    assert words.count("returningwithin 60 s") == 3
    assert shown.text("#graph .notes") == "hairpin packets are masqueraded"


def test_chains_are_named_in_the_graph(show: Show) -> None:
    shown = show(small(), "#default/web:http")
    shown.page.check("#graph-chains")
    assert "KUBE-SEP-00001" in "".join(shown.page.locator(".node text").all_text_contents())
    shown.page.focus(".node.endpoint")
    assert tip(shown) == "KUBE-SEP-00000"


def test_boxes_do_not_lie_upon_one_another(show: Show) -> None:
    document = {
        "head": head(),
        "index": [entry_of("default/web:http", endpoints=12)],
        "details": [detail_of("default/web:http", 12, affinity=60)],
    }
    shown = show(document, "#default/web:http")
    boxes = shown.page.eval_on_selector_all(
        ".graph-frame .shape",
        "all => all.map(e => e.getBoundingClientRect()).map(r => [r.x, r.y, r.right, r.bottom])",
    )
    assert len(boxes) == 14
    for place, (left, top, right, bottom) in enumerate(boxes):
        for other in boxes[:place]:
            apart = right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top
            assert apart


def test_two_hundred_endpoints(show: Show) -> None:
    document = {
        "head": head(),
        "index": [entry_of("default/web:http", endpoints=200)],
        "details": [detail_of("default/web:http", 200, affinity=60)],
    }
    shown = show(document, "#default/web:http")
    assert shown.page.locator(".case .outcome").count() == 60
    shown.page.click(".case .show-all")
    assert shown.page.locator(".case .outcome").count() == 200
    # the last chains follow when there is time
    shown.page.wait_for_selector("#rule-600")
    assert shown.page.locator(".rule").count() == 601


def test_many_endpoints_are_drawn_as_one(show: Show) -> None:
    document = small()
    graph = first_state(document)["graph"]
    for place in range(3, 100):
        graph["nodes"].append(
            graph["nodes"][2] | {"key": f"e{place}", "chain": f"KUBE-SEP-{place}"}
        )
        rules = {"target": f"e{place}", "share": [1, 100], "rules": []}
        graph["edges"].append(graph["edges"][1] | rules)
    shown = show(document, "#default/web:http")
    assert shown.page.locator(".graph-frame .node.endpoint").count() == 17
    words = shown.page.locator(".graph-frame .edge text").all_text_contents()
    assert words[-1] == "1 % each"
    assert "and 84 more" in (shown.page.text_content(".node.endpoint >> nth=16") or "")
    shown.page.check("#graph-all")
    assert shown.page.locator(".graph-frame .node.endpoint").count() == 100


def test_a_tall_graph_begins_where_its_entry_point_is(show: Show) -> None:
    document = {
        "head": head(),
        "index": [entry_of("default/web:http", endpoints=20)],
        "details": [detail_of("default/web:http", 20, affinity=60)],
    }
    shown = show(document, "#default/web:http")
    frame, entry = (
        shown.page.locator(one).bounding_box() for one in (".graph-frame", ".graph-frame .entry")
    )
    assert frame is not None
    assert entry is not None
    assert frame["x"] <= entry["x"]
    assert frame["y"] <= entry["y"] <= frame["y"] + frame["height"]


def test_options_are_not_broken_at_their_hyphens(show: Show) -> None:
    shown = show(small(), "#default/web:http", viewport={"width": 360, "height": 740})
    heights = shown.page.eval_on_selector_all(
        ".option", "all => all.map(option => option.getClientRects().length)"
    )
    assert len(heights) > 20
    assert set(heights) == {1}
