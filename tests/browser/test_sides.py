"""Nodes and sides: what the page shows of several views."""

from __future__ import annotations

import pytest

from compiler.analysis.explore.document import Document
from tests.browser.conftest import Show
from tests.browser.documents import Json, detail_of, entry_of, finding, head, sender, small, view

pytestmark = pytest.mark.browser


def two_sides() -> Document:
    """Return a page whose first Service lost one endpoint of three, and one that is new."""
    before, after = (detail_of("default/web:http", count) for count in (3, 2))
    web = before | {
        "byView": [0, 1],
        "changes": ["- endpoint 10.10.1.4:8080 33.3 %"],
        "states": [*before["states"], *after["states"]],
    }
    new = detail_of("default/new:http", address="10.96.0.13") | {"byView": [None, 0]}
    same = detail_of("default/same:http", address="10.96.0.14") | {"byView": [0, 0]}
    return {
        "head": head(
            sides=["main.yaml", "branch.yaml"],
            inputs=["main.yaml", "branch.yaml"],
            views=[view(), view(side=1)],
        ),
        "index": [
            entry_of("default/web:http", change="changed"),
            entry_of("default/new:http", change="added"),
            entry_of("default/same:http"),
        ],
        "details": [web, new, same],
    }


def test_what_changed_is_listed(show: Show) -> None:
    shown = show(two_sides())
    assert shown.texts("#changed li") == ["~ default/web:http changed", "+ default/new:http added"]
    shown.page.click("#changed a >> nth=0")
    shown.page.wait_for_selector("#answer")
    assert shown.texts("#changes li") == ["- endpoint 10.10.1.4:8080 33.3 %"]
    assert shown.text("#changes .hint") == "from main.yaml to branch.yaml"


def test_before_and_after(show: Show) -> None:
    shown = show(two_sides(), "#default/web:http")
    assert shown.texts(".share") == ["50 %", "50 %"]
    shown.page.click("#side-old")
    shown.page.wait_for_selector(".outcome >> nth=2")
    assert shown.texts(".share") == ["33.3 %"] * 3
    assert shown.link == "#default/web:http?side=old"
    assert shown.page.get_attribute("#side-old", "aria-pressed") == "true"
    shown.page.click(".trace summary")
    assert shown.text(".trace code").startswith("proxyrules trace main.yaml --node worker-1")
    shown.page.go_back()
    shown.page.wait_for_selector(".outcome >> nth=2", state="detached")


def test_the_graph_is_marked_not_by_colour_alone(show: Show) -> None:
    shown = show(two_sides(), "#default/web:http")
    gone = shown.page.locator(".node.change-removed")
    assert gone.count() == 1
    assert (
        gone.get_attribute("aria-label") == "removed, \N{MINUS SIGN} 10.10.1.4:8080, KUBE-SEP-00002"
    )
    assert gone.locator("text").text_content() == "\N{MINUS SIGN} 10.10.1.4:8080"
    changed = shown.page.locator(".edge.change-changed text").all_text_contents()
    assert changed == ["~ 33.3 % → 50 %"] * 2
    shown.page.uncheck("#graph-marks")
    assert gone.count() == 0


def test_a_side_without_the_service_port(show: Show) -> None:
    shown = show(two_sides(), "#default/new:http?side=old")
    assert shown.text("main .missing") == (
        "The rules of worker-1 (main.yaml) have no such service port."
    )
    shown.page.click("#side-new")
    shown.page.wait_for_selector("#answer")
    assert shown.page.locator(".node.change-added").count() == 5


def test_what_is_the_same_is_said(show: Show) -> None:
    shown = show(two_sides(), "#default/same:http")
    assert "treated the same on both sides" in shown.text("#changes")
    assert shown.text("#summary .hint") == "Treated the same on worker-1 (main.yaml)."
    assert shown.page.locator("#graph-marks").count() == 0


def two_nodes() -> Document:
    """Return a page of two nodes whose rules differ."""
    one, other = (detail_of("default/web:http", count) for count in (3, 2))
    web = one | {"byView": [0, 1], "states": [*one["states"], *other["states"]]}
    senders = [sender("pod", "a Pod of this node", "10.10.2.7")]
    views: list[Json] = [view(), view(node="worker-2", label="worker-2", senders=senders)]
    return {
        "head": head(views=views),
        "index": [entry_of("default/web:http")],
        "details": [web],
    }


def test_nodes(show: Show) -> None:
    shown = show(two_nodes(), "#default/web:http")
    assert shown.texts(".share") == ["33.3 %"] * 3
    shown.page.focus("#field-node")
    shown.page.select_option("#field-node", "worker-2")
    shown.page.wait_for_selector(".outcome >> nth=2", state="detached")
    assert shown.link == "#default/web:http?node=worker-2"
    assert shown.page.input_value("#field-from") == "10.10.2.7"
    assert shown.focused() == "field-node"
    shown.page.click("#home")
    assert shown.link == "#?node=worker-2"
    shown.page.click(".row")
    shown.page.wait_for_selector("#answer")
    assert shown.link == "#default/web:http?node=worker-2"


def test_findings_and_origin(show: Show) -> None:
    document = small(findings=[finding("default/web"), finding(None)])
    document["index"][0]["findings"] = [0]
    shown = show(document)
    assert shown.page.locator("#findings .finding").count() == 2
    shown.page.click("#findings a")
    shown.page.wait_for_selector("#answer")
    shown.page.click("#service-findings summary")
    assert shown.texts("#service-findings .finding > *") == [
        "PR301 warning default/web: open to every source address",
        "give source ranges",
        "cluster.yaml:12:3",
    ]
    shown.page.click("#origin summary")
    assert shown.text("#origin li") == "Service default/web:http cluster.yaml:5"


def test_what_was_not_looked_at_is_said(show: Show) -> None:
    shown = show(small(views=[view(notes=["not tried: from node"])]))
    assert shown.texts("#not-looked li") == [
        "lint: rules PR6xx need a dump",
        "worker-1: not tried: from node",
    ]
