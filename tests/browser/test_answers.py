"""The answers that a page shows are those of `trace`: 300 packets, drawn at random by a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import Shown, watch
from tests.cases import FIXTURES
from tests.run import Runner

pytestmark = pytest.mark.browser
PACKETS = 75
STATES = ("NEW", "NEW", "NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED")
CASES = {
    "explore-shop": ["--nodes", "worker-1,worker-2"],
    "nodeport-affinity-local": ["--nodes", "worker-1,worker-2"],
    "loadbalancer-source-ranges": ["--nodes", "worker-1"],
    "dual-stack-ipv6": ["--nodes", "worker-1", "--ip-family", "ipv6"],
}

Packet = dict[str, Any]


@pytest.mark.parametrize("name", CASES)
def test_the_page_answers_as_trace_does(
    name: str, proxyrules: Runner, browser: Browser, tmp_path: Path
) -> None:
    manifests, page = FIXTURES / name / "input.yaml", tmp_path / "page.html"
    made = proxyrules("explore", manifests, *CASES[name], "-o", page)
    assert made.code == 0, made.err
    shown = opened(browser, page)
    asked = packets(shown, name)
    answered = 0
    family = CASES[name][2:]
    while answered < PACKETS:
        node, packet = next(asked)
        traced = proxyrules("trace", manifests, "--node", node, *family, *options(packet))
        if traced.code != 0:
            continue  # such as localhost from outside
        answer = json.loads(traced.out)["packets"][0]
        shown.page.evaluate("hash => { location.hash = hash; }", link(node, packet, answer))
        shown.page.wait_for_timeout(0)
        if shown.page.is_visible(".missing"):
            # a page never guesses: only packets to localhost from elsewhere were not computed
            assert packet["via"] == "localhost"
            assert not answer["local"]
            continue
        compare(shown, answer, (node, packet))
        answered += 1
    assert shown.console == []


def opened(browser: Browser, path: Path) -> Shown:
    page = browser.new_context(reduced_motion="reduce").new_page()
    shown = Shown(page, path.as_uri())
    watch(shown)
    shown.go("")
    return shown


def packets(shown: Shown, name: str) -> Iterator[tuple[str, Packet]]:
    """Draw packets: to every entry point, from senders, endpoints and any address."""
    chance = random.Random(f"answers of {name}")
    nodes = shown.page.eval_on_selector_all("#field-node option", "all => all.map(e => e.value)")
    names = [row.get_attribute("title") or "" for row in shown.page.locator(".row").all()]
    entries = {one: entries_of(shown, one) for one in names}
    six = name.endswith("ipv6")
    while True:
        service = chance.choice([one for one in names if entries[one]["vias"]])
        sources = [*entries[service]["sources"], random_address(chance, six=six)]
        yield (
            chance.choice(nodes or ["worker-1"]),
            {
                "name": service,
                "via": chance.choice(entries[service]["vias"]),
                "from": chance.choice(sources),
                "state": chance.choice(STATES),
            },
        )


def random_address(chance: random.Random, *, six: bool) -> str:
    if six:
        return chance.choice(["fd00:10:10:1::9", "fd00:10:10:2::77", "2001:db8::7", "fd00:18::3"])
    network = chance.choice(["10.244.1", "10.244.2", "10.10.1", "192.0.2", "8.8.8"])
    return f"{network}.{chance.randrange(256)}"


def entries_of(shown: Shown, name: str) -> dict[str, list[str]]:
    """Return by what a service port is reached, and who else may send: its own endpoints."""
    shown.go(f"#{quote(name, safe='/:')}")
    vias = []
    for value in range(shown.page.locator("#field-entry option").count()):
        shown.page.select_option("#field-entry", str(value))
        vias.append(shown.link.partition("via=")[2].partition("&")[0])
    sources = shown.page.eval_on_selector_all(
        "#field-sender option", "all => all.map(e => e.value)"
    )
    found = []
    for sender in sources[:-1]:
        shown.page.select_option("#field-sender", sender)
        found.append(shown.page.input_value("#field-from"))
    targets = shown.texts(".landed-name")
    found += [one.rpartition(":")[0].strip("[]") for one in targets if one[-1].isdigit()]
    return {"vias": [via for via in vias if via], "sources": found}


def options(packet: Packet) -> list[str]:
    return [
        *("--from", packet["from"], "--to", packet["name"], "--via", packet["via"]),
        *("--state", packet["state"].lower(), "--format", "json"),
    ]


def link(node: str, packet: Packet, answer: Packet) -> str:
    parts = {
        "from": answer["from"],
        "local": "1" if answer["local"] else "",
        "in": answer["interface"] or "",
        "via": packet["via"],
        "to": answer["to"],
        "state": answer["state"],
        "node": node,
    }
    asked = "&".join(f"{key}={quote(value, safe=':')}" for key, value in parts.items() if value)
    return f"{quote(packet['name'], safe='/:')}?{asked}"


def compare(shown: Shown, answer: Packet, asked: object) -> None:
    """Compare outcomes with exact shares, what becomes of the source, and each way's rules."""
    assert shown.page.input_value("#field-from") == answer["from"]
    cases = shown.page.locator(".case").all()
    assert len(cases) == len(answer["cases"]), asked
    for case, wanted in zip(cases, answer["cases"], strict=True):
        buttons = case.locator(".outcome").all()
        rows: dict[tuple[str, ...], dict[str, Any]] = {}
        for button in buttons:
            button.click()
            rows[shown_way(shown, button.locator(".share").get_attribute("title") or "")] = {}
            button.click()
        expected = {traced_way(one) for one in wanted["outcomes"] if not one["pinnedBy"]}
        assert set(rows) == expected, asked


def shown_way(shown: Shown, share: str) -> tuple[str, ...]:
    """Return a chosen way as the page shows it."""
    outcome = shown.link.partition("way=")[2].partition("&")[0]
    terms, words = shown.texts("#answer .facts dt"), shown.texts("#answer .facts dd")
    facts = dict(zip(terms, words, strict=True))
    source = facts.get("source", "")
    rules = shown.page.eval_on_selector_all(
        ".rule.lit[data-step]",
        "all => all.sort((a, b) => a.dataset.step - b.dataset.step)"
        ".map(e => e.querySelector('.rule-text').textContent)",
    )
    verdict = facts["verdict"].partition(",")[0]
    masquerade = "masquerade" if source.endswith("(masquerade)") else source
    return (outcome.replace("%5B", "[").replace("%5D", "]"), share, verdict, masquerade, *rules)


def traced_way(outcome: Packet) -> tuple[str, ...]:
    """Return an outcome of `trace` in the same way: the rules are those that matched."""
    rules = [rule["rule"] for rule in outcome["rules"] if rule["failed"] is None]
    first = dict.fromkeys(rules)
    return (
        outcome["outcome"],
        outcome["share"].removesuffix("/1"),
        outcome["verdict"],
        outcome["source"] or "",
        *first,
    )
