"""`proxyrules explore`: files, sides, nodes and bad input."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest

from compiler.cli.explore_pack import pack
from tests.cases import ROOT
from tests.run import Runner, run_process

SHOP = ("fixtures/explore-shop/input.yaml", "--config", "fixtures/explore-shop/kube-proxy.yaml")
RULES = "golden/loadbalancer-source-ranges.rules"
_BLOCK = re.compile(r'<script type="application/octet-stream" id="([^"]+)">(.*?)</script>')


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def blocks(page: str) -> dict[str, Any]:
    """Return the data of a page, by the names of its blocks."""
    return {
        name: json.loads(zlib.decompress(base64.b64decode(text), -zlib.MAX_WBITS))
        for name, text in _BLOCK.findall(page)
    }


def unpacked(packed: Any) -> list[Any]:
    """Return what `pack` packed, as the page does."""
    leaves, shapes, structure = packed

    def value(one: Any) -> Any:
        if isinstance(one, int):
            return leaves[one]
        if not one or not isinstance(one[0], int) or one[0] >= 0:
            return [value(each) for each in one]
        return dict(zip(shapes[-1 - one[0]], map(value, one[1:]), strict=True))

    return [value(one) for one in structure]


def details(page: str) -> list[Any]:
    """Return the details of a page."""
    found = blocks(page)
    chunks = [value for name, value in found.items() if name.startswith("chunk-")]
    return [detail for chunk in chunks for detail in unpacked(chunk)]


def page_of(proxyrules: Runner, *arguments: str) -> str:
    """Make a page on standard output."""
    result = proxyrules("explore", *arguments, "-o", "-")
    assert result.code == 0, result.err
    return result.out


def test_a_page_of_manifests(proxyrules: Runner, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = proxyrules("explore", *SHOP, "-o", page)
    assert (result.code, result.out, result.err) == (0, "", "")
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]
    text = page.read_text()
    index = blocks(text)["index"]
    head = index["head"]
    assert [view["label"] for view in head["views"]] == ["worker-1", "worker-2"]
    assert (head["kubeVersion"], head["sides"]) == ("1.37", [])
    assert [one["name"] for one in index["index"]] == [
        "shop/api:https",
        "shop/dns:dns/udp",
        "shop/jobs:http",
        "shop/metrics:http",
        "shop/web:http",
    ]
    web = index["index"][-1]
    assert (web["type"], web["affinity"], web["endpoints"]) == ("LoadBalancer", 600, 3)
    assert [head["findings"][place]["rule"] for place in web["findings"]] == ["PR103", "PR301"]
    assert any(words.startswith("lint: ") for words in head["notLooked"])


def test_a_finding_in_no_file_names_the_option(proxyrules: Runner) -> None:
    manifests = "fixtures/local-policy-on-five-nodes/input.yaml"
    page = page_of(proxyrules, manifests, "--node", "worker-1", "--cluster-cidr", "10.10.0.0/16")
    places = {one["rule"]: one["place"] for one in blocks(page)["index"]["head"]["findings"]}
    assert places["PR304"] == "--nodeport-addresses"


def test_rules_come_from_the_manifests(proxyrules: Runner) -> None:
    web = details(page_of(proxyrules, *SHOP, "--node", "worker-1"))[-1]
    (state,) = web["states"]
    found = {rule["from"].partition(";")[0] for rule in state["rules"] if rule["from"]}
    lines = Path(SHOP[0]).read_text().splitlines()
    masquerade = "fixtures/explore-shop/kube-proxy.yaml:4: kube-proxy: clusterCIDR"
    assert masquerade in found
    written = 0
    for place in found - {masquerade}:
        file, number, subject, field = place.split(":", 3)
        assert file == SHOP[0]
        assert subject.split()[0] in ("Service", "EndpointSlice")
        last = re.sub(r"\[\d+\]$", "", field.strip()).rpartition(".")[2]
        written += last in lines[int(number) - 1]
    assert written >= 2
    words = {text: said for rule in state["rules"] for text, said in rule["words"]}
    assert words["-m statistic --mode random --probability 0.33333333349"] == (
        "chance: takes one in three of the connections that reach this rule: the first of three "
        "endpoints"
    )
    assert words["! -s 10.244.0.0/16"] == (
        "asks for packets whose source is not in 10.244.0.0/16, the network of Pods: from anyone "
        "but a Pod"
    )
    assert any(way["words"] == "10.244.1.11:8080 (web-0 on worker-1)" for way in state["ways"])


def test_a_page_of_rules(proxyrules: Runner) -> None:
    page = page_of(
        proxyrules, RULES, "--node-address", "172.18.0.2", "--service", "default/web:http"
    )
    index = blocks(page)["index"]
    (entry,) = index["index"]
    assert (entry["name"], entry["type"]) == ("default/web:http", "")
    assert index["head"]["kubeVersion"] is None
    (detail,) = details(page)
    assert {one["via"] for one in detail["states"][0]["entries"]} >= {"cluster-ip", "load-balancer"}
    assert all(rule["why"] for rule in detail["states"][0]["rules"])


def test_two_sides(proxyrules: Runner, tmp_path: Path) -> None:
    new = tmp_path / "new.yaml"
    old = Path(SHOP[0])
    new.write_text(old.read_text().replace("timeoutSeconds: 600", "timeoutSeconds: 60"))
    page = page_of(proxyrules, str(old), str(new), *SHOP[1:], "--nodes", "worker-1,worker-2")
    index = blocks(page)["index"]
    assert index["head"]["sides"] == [str(old), str(new)]
    assert [view["side"] for view in index["head"]["views"]] == [0, 0, 1, 1]
    changes = {one["name"]: one["change"] for one in index["index"] if one["change"]}
    assert changes == {"shop/web:http": "changed"}
    web = details(page)[-1]
    assert web["changes"] == ["  session affinity  ClientIP, 600 s → ClientIP, 60 s"]


def test_equal_nodes_share_a_state(proxyrules: Runner) -> None:
    found = details(page_of(proxyrules, RULES, RULES))
    assert all(one["byView"] == [0, 0] and len(one["states"]) == 1 for one in found)


BAD = {
    "missing": (["nowhere.yaml", "-o", "x.html"], "nowhere.yaml: can't be read: no such file"),
    "no-output": ([*SHOP], "Missing option '-o' / '--output'"),
    "three": ([SHOP[0]] * 3 + ["-o", "x.html"], "give one path, or OLD and NEW; several files"),
    "service": ([*SHOP, "--service", "shop/wob", "-o", "x"], '--service: no Service "shop/wob"'),
    "node": ([*SHOP, "--node", "nobody", "-o", "x.html"], '--node: no Node "nobody"'),
    "input": ([SHOP[0], "-o", SHOP[0]], "fixtures/explore-shop/input.yaml: is also an input"),
    "folder": ([*SHOP, "-o", "nowhere/x.html"], "nowhere/x.html: can't be written"),
    "slices": (
        [SHOP[0], SHOP[2], "-o", "x.html"],
        "two paths are OLD and NEW; several files of one side go into a folder",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(proxyrules: Runner, name: str, tmp_path: Path) -> None:
    arguments, message = BAD[name]
    before = Path(SHOP[0]).read_bytes()
    placed = (str(tmp_path / one) if one.startswith("x") else one for one in arguments)
    result = proxyrules("explore", *placed)
    assert result.code == 2
    assert message in result.err
    assert not list(tmp_path.iterdir())
    assert Path(SHOP[0]).read_bytes() == before


def test_many_nodes_are_to_be_chosen(proxyrules: Runner, tmp_path: Path) -> None:
    nodes = "".join(
        f"apiVersion: v1\nkind: Node\nmetadata:\n  name: n{number}\n---\n" for number in range(11)
    )
    manifests = tmp_path / "many.yaml"
    manifests.write_text(nodes + Path("fixtures/seed-affinity-none/input.yaml").read_text())
    result = proxyrules("explore", manifests, "-o", "-")
    assert (result.code, result.out) == (2, "")
    assert "Nodes are too many for one page; choose some with --nodes or --node" in result.err


def test_a_pipe_may_close() -> None:
    ended = run_process("explore", *SHOP, "-o", "-", cwd=ROOT)
    assert ended.returncode == 0
    assert ended.stdout.startswith(b"<!")


def test_values_are_packed_without_loss() -> None:
    values = [{"a": [1, 1.0, True, None, "1"], "b": {}}, {"a": [], "b": {"a": [[-1], "x"]}}, []]
    assert unpacked(json.loads(json.dumps(pack(values)))) == values
