"""`proxyrules matrix` and `proxyrules diff --matrix`: formats, choices and bad input."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cases import FIXTURE_CASES, FIXTURES, GOLDEN, ROOT
from tests.run import Runner, run_process

FIVE_NODES = FIXTURES / "local-policy-on-five-nodes" / "input.yaml"

FIVE = "fixtures/local-policy-on-five-nodes/input.yaml"
CLUSTER = "fixtures/nodeport-cluster/input.yaml"
LOCAL = "fixtures/nodeport-local/input.yaml"
PODS = ("--cluster-cidr", "10.10.0.0/16")
RULES = "golden/nodeport-local.rules"


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.mark.parametrize(
    ("format_", "ending"),
    [("text", "txt"), ("markdown", "md"), ("json", "json"), ("csv", "csv"), ("html", "html")],
)
def test_formats(proxyrules: Runner, golden: SnapshotAssertion, format_: str, ending: str) -> None:
    result = proxyrules("matrix", FIVE, *PODS, "--format", format_)
    assert (result.code, result.err) == (0, "")
    assert result.out == golden(name=f"matrix.{ending}")


@pytest.mark.parametrize(
    ("format_", "ending"), [("text", "txt"), ("markdown", "md"), ("json", "json")]
)
def test_formats_of_diff(
    proxyrules: Runner, golden: SnapshotAssertion, format_: str, ending: str
) -> None:
    result = proxyrules("diff", "--matrix", CLUSTER, LOCAL, *PODS, "--format", format_)
    assert (result.code, result.err) == (1, "")
    assert result.out == golden(name=f"diff-matrix.{ending}")


def test_two_of_five_drop_in_the_text(proxyrules: Runner) -> None:
    out = proxyrules("matrix", FIVE, *PODS).out
    assert re.search(r"worker-1 +worker-2, +worker-3 +worker-5", out)
    assert re.search(r"10\.10\.1\.2:8080 +dropped +2 endpoints, 50 %", out)


@pytest.mark.parametrize("case", [case.name for case in FIXTURE_CASES][::4])
def test_text_fits_80_columns(proxyrules: Runner, case: str) -> None:
    config = ("--config", f"fixtures/{case}/kube-proxy.yaml")
    result = proxyrules("matrix", f"fixtures/{case}", *config)
    if result.code == 2:
        pytest.skip("the folder has no rules of one family and version")
    assert max(map(len, result.out.splitlines())) <= 80


def test_many_columns_are_a_list_and_all_formats_have_them(
    proxyrules: Runner, tmp_path: Path
) -> None:
    """Twelve nodes, each with an endpoint of its own, do not fit a table of 80 columns."""
    text = Path(FIVE).read_text().split("---\n")
    nodes = [
        text[0].replace("worker-1", f"worker-{n}").replace("172.18.0.2", f"172.18.0.{n + 1}")
        for n in range(1, 13)
    ]
    slices = text[-1].partition("endpoints:\n")[0] + "endpoints:\n"
    slices += "".join(
        f"- addresses:\n  - 10.10.{n}.9\n  nodeName: worker-{n}\n" for n in range(1, 11)
    )
    path = tmp_path / "twelve.yaml"
    ports = "ports:\n- name: http\n  port: 8080\n"
    path.write_text("---\n".join([*nodes, text[-2], slices + ports]))
    out = proxyrules("matrix", path, *PODS).out
    assert max(map(len, out.splitlines())) <= 80
    assert "    worker-11, worker-12\n      dropped\n" in out
    assert "7 more" in out
    for format_ in ("markdown", "json", "csv", "html"):
        whole = proxyrules("matrix", path, *PODS, "--format", format_).out
        assert all(f"10.10.{n}.9:8080" in whole for n in range(1, 11))
        assert "more" not in whole.partition("pod:")[0]


def test_csv_and_json_have_the_same_cells(proxyrules: Runner) -> None:
    table = list(csv.DictReader(io.StringIO(proxyrules("matrix", FIVE, "--format", "csv").out)))
    value = json.loads(proxyrules("matrix", FIVE, "--format", "json").out)
    assert {row["node"] for row in table} == {node["name"] for node in value["nodes"]}
    expected = {
        (row["entryPoint"], row["from"], node, result["outcome"], result["to"] or "")
        for row in value["rows"]
        for cell in row["cells"]
        for node in cell["nodes"]
        for result in cell["results"]
    }
    found = {(r["entry_point"], r["from"], r["node"], r["outcome"], r["to"]) for r in table}
    assert found == expected


class _Page(HTMLParser):
    """Notes what a page is made of; a tag that is not closed in order fails."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.scopes: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        if tag == "th":
            self.scopes.append(dict(attrs).get("scope"))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_one_page_that_loads_nothing(proxyrules: Runner) -> None:
    out = proxyrules("matrix", FIVE, "--format", "html").out
    page = _Page()
    page.feed(out)
    assert page.open == []
    assert page.seen.count("caption") == page.seen.count("table") == 1
    assert {"script", "link", "img", "iframe"}.isdisjoint(page.seen)
    assert None not in page.scopes
    assert "://" not in out


EVIL = "<script>alert(1)</script>|`=cmd"


@pytest.mark.parametrize("format_", ["html", "markdown", "csv", "text"])
def test_names_of_a_dump_are_escaped(proxyrules: Runner, tmp_path: Path, format_: str) -> None:
    text = Path(RULES).read_text().replace("default/web:http", f"=default/{EVIL}:\x1b[31mhttp")
    path = tmp_path / "<b>node.save"
    path.write_text(text)
    result = proxyrules("matrix", path, "--format", format_)
    assert result.code == 0
    assert "\x1b" not in result.out
    if format_ in ("html", "markdown"):
        assert "<script>" not in result.out
        assert "<b>" not in result.out
    if format_ == "csv":
        (name,) = {row["service_port"] for row in csv.DictReader(io.StringIO(result.out))}
        assert name.startswith("'=default/")


def test_files_of_rules_are_columns(proxyrules: Runner) -> None:
    others = ("golden/nodeport-cluster.rules", RULES)
    result = proxyrules("matrix", *others, "--format", "json")
    value = json.loads(result.out)
    assert [node["name"] for node in value["nodes"]] == ["nodeport-cluster.rules", Path(RULES).name]
    assert any("the node's address is not known" in note for note in value["notes"])
    result = proxyrules("matrix", RULES, "--node-address", "172.18.0.2", "--format", "json")
    value = json.loads(result.out)
    assert {row["from"] for row in value["rows"]} == {"pod", "node", "outside", "localhost"}


def test_standard_input(proxyrules: Runner) -> None:
    done = run_process("matrix", "-", stdin=Path(RULES).read_bytes())
    assert done.returncode == 0
    assert b"<stdin>" in done.stdout


def test_nodes_and_services_are_chosen(proxyrules: Runner) -> None:
    result = proxyrules("matrix", FIVE, "--nodes", "worker-4, worker-1", "--format", "json")
    assert [n["name"] for n in json.loads(result.out)["nodes"]] == ["worker-4", "worker-1"]
    result = proxyrules("matrix", FIVE, "--node", "worker-4", "--service", "web:80")
    assert result.code == 0
    assert "dropped" in result.out


def test_manifests_without_nodes(proxyrules: Runner, tmp_path: Path) -> None:
    text = Path(FIVE).read_text().split("---\n")
    path = tmp_path / "services.yaml"
    path.write_text("---\n".join(one for one in text if "kind: Node\n" not in one))
    result = proxyrules("matrix", path)
    assert result.code == 2
    assert "externalTrafficPolicy: Local" in result.err
    result = proxyrules("matrix", path, "--nodes", "worker-1,worker-2", "--format", "json", *PODS)
    assert result.code == 0
    assert any("address is not known" in note for note in json.loads(result.out)["notes"])


def test_no_services(proxyrules: Runner, tmp_path: Path) -> None:
    path = tmp_path / "nodes.yaml"
    path.write_text(Path(FIVE).read_text().split("---\n")[0])
    for format_ in ("text", "markdown", "html"):
        result = proxyrules("matrix", path, "--format", format_)
        assert (result.code, "No service ports." in result.out) == (0, True)


BAD = [
    (("matrix", FIVE, RULES), f"{RULES}: is rules, but {FIVE} is manifests"),
    (("matrix", RULES, RULES, "--nodes", "a"), "--nodes is for manifests"),
    (("matrix", RULES, "--node", "a"), "--node is for manifests"),
    (("matrix", FIVE, "--node", "a", "--nodes", "b"), "--node and --nodes can't be combined"),
    (("matrix", FIVE, "--nodes", "worker-9"), 'no Node "worker-9" in the manifests; nodes'),
    (("matrix", FIVE, "--nodes", "worker-1,"), "--nodes: a node name is empty"),
    (("matrix", FIVE, "--nodes", ""), "--nodes: a node name is empty"),
    (("matrix", FIVE, "--service", "shop/wed"), 'no Service "shop/wed" in the rules; did you mean'),
    (("matrix", FIVE, "--service", "web:81"), 'Service web has no port "web:81"'),
    (("matrix", FIVE, "--node-address", "172.18.0.9"), "--node-address is for one node"),
    (("matrix", RULES, RULES, "--node-address", "172.18.0.9"), "--node-address is for one node"),
    (("matrix", RULES, "golden/dual-stack-ipv6.rules"), "has only IPv6 rules"),
    (("matrix", "-", "-"), "<stdin>: named twice"),
    (("matrix", "nowhere.yaml"), "nowhere.yaml: "),
    (("diff", FIVE, FIVE, "--service", "web"), "--nodes and --service are for --matrix"),
    (("diff", "--matrix", FIVE), "NEW is missing"),
    (("diff", "--matrix", FIVE, FIVE, "--format", "unified"), "--matrix has no format unified"),
    (("diff", "--matrix", FIVE, FIVE, "--service", "nope"), 'no Service "nope"'),
    (("diff", "--matrix", RULES, RULES, "--from-version", "1.33"), "--from-version is for"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "message"), BAD)
def test_bad_input(proxyrules: Runner, arguments: tuple[str, ...], message: str) -> None:
    result = proxyrules(*arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err
    assert "Traceback" not in result.err


def test_rules_without_services(proxyrules: Runner, tmp_path: Path) -> None:
    path = tmp_path / "other.save"
    path.write_text("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n")
    result = proxyrules("matrix", path)
    assert (result.code, "no service ports in these rules" in result.err) == (2, True)


def test_problems_of_both_kinds_at_once(proxyrules: Runner) -> None:
    result = proxyrules("matrix", FIVE, "--nodes", "x,y", "--service", "nope")
    assert len(result.err.splitlines()) == 3


def test_output_is_whole_or_not_there(proxyrules: Runner, tmp_path: Path) -> None:
    path = tmp_path / "matrix.html"
    assert proxyrules("matrix", FIVE, "--format", "html", "-o", path).code == 0
    assert path.read_text().endswith("</html>\n")
    assert proxyrules("matrix", FIVE, "-o", FIVE).code == 2


# diff --matrix


def test_no_change_says_what_was_compared(proxyrules: Runner) -> None:
    result = proxyrules("diff", "--matrix", FIVE, FIVE, *PODS)
    assert result.code == 0
    words = " ".join(result.out.split())
    assert "None of 50 cells changes." in words
    assert "No difference" not in words
    assert (
        "compared: 4 entry points from pod, node, outside, localhost, on all 5 nodes: a packet each"
    ) in words
    assert "diff without --matrix compares a node's rules for all" in words


def test_versions_are_compared(proxyrules: Runner) -> None:
    arguments = ("fixtures/node-hints/input.yaml", "--from-version", "1.30", "--to-version", "1.34")
    result = proxyrules("diff", "--matrix", *arguments)
    assert result.code == 1
    assert "+ 10.10.1.2:8080" in result.out


def test_manifests_and_a_dump_of_their_node(proxyrules: Runner) -> None:
    result = proxyrules("diff", "--matrix", LOCAL, RULES, "--node", "worker-1", *PODS)
    assert result.code == 0, result.out
    result = proxyrules("diff", "--matrix", LOCAL, RULES, "--node", "worker-2", *PODS)
    assert result.code == 1


def test_nodes_in_common_are_needed(proxyrules: Runner, tmp_path: Path) -> None:
    path = tmp_path / "renamed.yaml"
    path.write_text(Path(FIVE).read_text().replace("worker-", "other-"))
    result = proxyrules("diff", "--matrix", FIVE, path)
    assert result.code == 2
    assert f"{path}: has none of the nodes of {FIVE}" in result.err


def test_folded_endpoints_that_change_are_shown(proxyrules: Runner, tmp_path: Path) -> None:
    """Where the changed endpoint is among those that are not named, all are."""
    old = tmp_path / "old.yaml"
    text = Path(FIVE).read_text()
    more = "".join(f"- addresses:\n  - 10.10.2.{n}\n  nodeName: worker-2\n" for n in range(20, 30))
    old.write_text(text.replace("endpoints:\n", f"endpoints:\n{more}"))
    new = tmp_path / "new.yaml"
    new.write_text(old.read_text().replace("10.10.5.2", "10.10.5.9"))
    result = proxyrules("diff", "--matrix", old, new, *PODS)
    assert result.code == 1
    assert "10.10.5.9:8080" in result.out


def test_goldens_are_of_the_fixture() -> None:
    assert "dropped" in (GOLDEN / "matrix.md").read_text()


def test_all_nodes(proxyrules: Runner) -> None:
    """What is the default, but for manifests without Nodes and a hostname override."""
    every = proxyrules("matrix", FIVE_NODES, "--all-nodes")
    assert (every.code, every.out) == (0, proxyrules("matrix", FIVE_NODES).out)
    overridden = proxyrules("matrix", FIVE_NODES, "--all-nodes", "--hostname-override", "worker-1")
    assert (overridden.code, overridden.out) == (0, every.out)
    assert 'warning: --hostname-override: "worker-1" is ignored' in overridden.err


def test_another_nodes_address(proxyrules: Runner) -> None:
    """A bind address is one node's own: of several it decides nothing."""
    manifests = FIXTURES / "bind-address-is-the-node-ip" / "input.yaml"
    plain = proxyrules("matrix", manifests)
    bound = proxyrules("matrix", manifests, "--bind-address", "172.30.0.9")
    assert (bound.code, bound.out) == (0, plain.out)
    assert "warning: --bind-address: 172.30.0.9 is ignored" in bound.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--node", "worker-1"), "Error: --node can't be combined with --all-nodes"),
        (("--nodes", "worker-1"), "Error: --nodes can't be combined with --all-nodes"),
    ],
)
def test_all_nodes_and_one(proxyrules: Runner, options: tuple[str, ...], message: str) -> None:
    result = proxyrules("matrix", FIVE_NODES, "--all-nodes", *options)
    assert (result.code, result.err.splitlines()[-1]) == (2, message)


def test_all_nodes_of_none(proxyrules: Runner, tmp_path: Path) -> None:
    text = "---\n".join(p for p in FIVE_NODES.read_text().split("---\n") if "kind: Node\n" not in p)
    (tmp_path / "none.yaml").write_text(text)
    result = proxyrules("matrix", tmp_path / "none.yaml", "--all-nodes")
    message = "there are no Nodes in the manifests; add the output of kubectl get nodes -o yaml"
    assert (result.code, result.err) == (2, f"--all-nodes: {message}\n")
    rules = ROOT / "golden" / "seed-affinity-none.rules"
    result = proxyrules("matrix", rules, "--all-nodes")
    assert result.code == 2
    assert result.err.endswith(f"--all-nodes is for manifests, but {rules} is rules\n")
