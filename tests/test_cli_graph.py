"""`proxyrules graph` and `diff --format mermaid`: formats, choices, hostile names and bad input."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from syrupy.assertion import SnapshotAssertion

from tests.cases import ROOT
from tests.documents import blocks, environment
from tests.graphs import NODE, changed
from tests.run import Runner, run_process

CONFIG = ("--cluster-cidr", "10.10.0.0/16")
CASES: dict[str, tuple[str, ...]] = {
    "affinity": ("fixtures/seed-affinity-clientip/input.yaml", "--node", "worker-1", *CONFIG),
    "local": ("fixtures/nodeport-affinity-local/input.yaml", "--node", "worker-1", *CONFIG),
    "ranges": ("golden/loadbalancer-source-ranges.rules", "--node-address", NODE),
    "no-endpoints": ("golden/no-endpoints.rules", "--node-address", NODE),
    "ipv6": ("golden/dual-stack-ipv6.rules", "--node-address", "fd00:1::11"),
    "from": ("golden/nodeport-local.rules", "--from", "outside", "--node-address", NODE),
    "chains": ("golden/nodeport-local.rules", "--chains", "--node-address", NODE),
}
ENDINGS = {"text": "txt", "mermaid": "mmd", "dot": "dot", "svg": "svg"}
LOCAL = "golden/nodeport-local.rules"
HOSTILE = 'a"]); end; click n; <b>#35;[x]{y}|`z`$\\n&amp;%%{init}%%:fa-car'
# All lines that a flowchart of ours may have: a small and old part of the syntax.
ID = r"(?:p\d+_)?(?:n_[A-Za-z0-9_]+|notes)"
LABEL = r'"[^"`\[\]{}|<>;&\\$]*(?:(?:<br/>|#\d+;)[^"`\[\]{}|<>;&\\$]*)*"'
SHAPES = ((r"\[/", r"/\]"), (r"\(\[", r"\]\)"), (r"\[", r"\]"), (r"\(", r"\)"), (r"\{\{", r"\}\}"))
NODES = "|".join(rf"{begin}{LABEL}{end}" for begin, end in (*SHAPES, (">", r"\]")))
COLOUR = "#[0-9A-F]{6}"
MERMAID = re.compile(
    "|".join(
        (
            "flowchart LR",
            r"\s+acc(?:Title|Descr): [^\n#%{}<>]+",
            rf"\s+{ID}(?:{NODES}):::[a-z_]+",
            rf"\s+{ID} (?:-->|==>|-\.->)(?:\|{LABEL}\|)? {ID}",
            rf"\s+classDef [a-z_]+ fill:{COLOUR},stroke:{COLOUR},color:#1A1A1A[a-z0-9:, -]*",
            rf"\s+linkStyle \d+ stroke:{COLOUR}",
            rf"\s+subgraph p\d+\[{LABEL}\]",
            r"\s+direction LR",
            r"\s+end",
        )
    )
)


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("COLUMNS", raising=False)
    # pictures are the same where graphviz is installed
    monkeypatch.setattr("shutil.which", lambda name: None)


@pytest.mark.parametrize("format_", ENDINGS)
@pytest.mark.parametrize("case", CASES)
def test_formats(proxyrules: Runner, golden: SnapshotAssertion, case: str, format_: str) -> None:
    if format_ in ("dot", "svg") and case not in ("local", "ranges"):
        format_ = "text"
    result = proxyrules("graph", *CASES[case], "--format", format_)
    assert (result.code, result.err) == (0, "")
    assert result.out == golden(name=f"graph-{case}.{ENDINGS[format_]}")


def check_mermaid(text: str) -> None:
    lines = text.splitlines()
    assert lines[0] == "flowchart LR"
    assert [line for line in lines if not MERMAID.fullmatch(line)] == []
    declared = set(re.findall(rf"^\s+({ID})[\[({{>]", text, re.MULTILINE))
    linked = re.findall(rf"^\s+({ID}) \S+?>(?:\|.*\|)? ({ID})$", text, re.MULTILINE)
    assert {name for pair in linked for name in pair} <= declared
    numbers = [int(one) for one in re.findall(r"linkStyle (\d+)", text)]
    assert all(number < len(linked) for number in numbers)
    classes = set(re.findall(r"classDef (\S+)", text))
    assert set(re.findall(r":::(\S+)", text)) <= classes


@pytest.mark.parametrize("case", CASES)
def test_mermaid_keeps_to_a_small_part_of_the_syntax(proxyrules: Runner, case: str) -> None:
    check_mermaid(proxyrules("graph", *CASES[case], "--format", "mermaid").out)


def test_several_service_ports_are_subgraphs(proxyrules: Runner, tmp_path: Path) -> None:
    several = two_services(tmp_path)
    out = proxyrules("graph", several, "--format", "mermaid").out
    check_mermaid(out)
    assert re.findall(r"subgraph (p\d+)", out) == ["p1", "p2"]
    dot = proxyrules("graph", several, "--format", "dot").out
    assert re.findall(r"subgraph (cluster_\d+)", dot) == ["cluster_1", "cluster_2"]
    svg = ET.fromstring(proxyrules("graph", several, "--format", "svg").out)
    headings = [one.text for one in svg.iter() if one.get("class") == "heading"]
    assert headings == ["default/one:http on node.rules", "default/web:http on node.rules"]
    assert proxyrules("graph", several).out.count("\n\n") == 1
    one = proxyrules("graph", several, "default/web:http").out
    assert one.startswith("default/web:http on node.rules\n")


def two_services(tmp_path: Path) -> str:
    text = (ROOT / LOCAL).read_text()
    lines = []
    for line in text.splitlines():
        lines.append(line)
        if "KUBE-SERVICES -m comment" in line and "cluster IP" in line:
            other = line.replace("default/web", "default/one").replace("10.200.1.10", "10.200.1.9")
            lines.append(re.sub(r"-j KUBE-SVC-\w+", "-j KUBE-SVC-AAAAAAAAAAAAAAAA", other))
        if line.startswith(":KUBE-SVC-"):
            lines.append(":KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]")
        if line.startswith("-A KUBE-POSTROUTING -m mark"):
            lines.append("-A KUBE-SVC-AAAAAAAAAAAAAAAA -j KUBE-SEP-PHA6Y4ULJMLTBWSQ")
    path = tmp_path / "node.rules"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def hostile(tmp_path: Path) -> str:
    """A node's rules with hostile text in names of Services and in a match that no table knows."""
    quoted = HOSTILE.replace("\\", "\\\\").replace('"', '\\"')
    text = (ROOT / LOCAL).read_text()
    text = re.sub(r'"default/web:http([^"]*)"', r'"default/@\1"', text)
    text = text.replace("default/@", f"default/{quoted}")
    text = text.replace("comment default/web:http ", f'comment "default/{quoted}" ')
    words = HOSTILE.replace("`", "").replace('"', "")
    rule = f'-A KUBE-EXT-CDGGSHYLG3RE2FKL -m odd --odd "{words}" -j DROP\n'
    text = text.replace("-A KUBE-EXT-", f"{rule}-A KUBE-EXT-", 1)
    path = tmp_path / "node.rules"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("format_", ENDINGS)
def test_hostile_names_are_escaped(proxyrules: Runner, tmp_path: Path, format_: str) -> None:
    arguments = ("graph", hostile(tmp_path), "--node-address", NODE, "--chains")
    result = proxyrules(*arguments, "--format", format_)
    assert result.code == 0, result.err
    assert "--odd" in result.out
    assert result.out.isascii() or "\x1b" not in result.out
    if format_ == "mermaid":
        check_mermaid(result.out)
        assert not [
            line for line in result.out.splitlines() if ":fa-" in line and "acc" not in line
        ]
    elif format_ == "dot":
        for line in result.out.splitlines():
            bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', line)
            assert re.fullmatch(r"[\w \[\]{}=,>\"-]*", bare), line
    elif format_ == "svg":
        svg = ET.fromstring(result.out)
        tags = {one.tag.rpartition("}")[2] for one in svg.iter()}
        shapes = {"rect", "polygon", "path", "marker", "defs", "g"}
        assert tags <= {*shapes, "svg", "title", "desc", "style", "text", "tspan"}
        title = svg.find("{*}title")
        assert title is not None
        assert HOSTILE in (title.text or "")


def elements(svg: ET.Element, name: str) -> list[ET.Element]:
    return [one for one in svg.iter() if one.tag.endswith(f"}}{name}")]


def test_svg_has_title_description_and_text(proxyrules: Runner) -> None:
    out = proxyrules("graph", *CASES["local"], "--format", "svg").out
    svg = ET.fromstring(out)
    title, about = svg.find("{*}title"), svg.find("{*}desc")
    assert title is not None
    assert about is not None
    assert (svg.get("role"), svg.get("aria-labelledby")) == ("img", "title desc")
    assert title.text == "default/web:http on worker-1"
    assert about.text == "From cluster IP 10.200.1.10:80, node port 30080 to 3 endpoints."
    texts = {one.text for one in elements(svg, "tspan")}
    assert {"via node port 30080", "10.10.1.2:8080", "on worker-1", "33.3 %"} <= texts
    assert "@media (prefers-color-scheme: dark)" in out
    assert "href" not in out


@pytest.mark.parametrize("case", CASES)
def test_no_boxes_overlap(proxyrules: Runner, case: str) -> None:
    svg = ET.fromstring(proxyrules("graph", *CASES[case], "--format", "svg").out)
    page = [float(one) for one in (svg.get("viewBox") or "").split()]
    boxes = []
    for one in elements(svg, "rect"):
        if one.get("x"):
            left, top, width, height = (
                float(one.get(n) or 0) for n in ("x", "y", "width", "height")
            )
            boxes.append((left, top, left + width, top + height))
    assert len(boxes) > 2 or case == "no-endpoints"
    for place, (left, top, right, bottom) in enumerate(boxes):
        assert 0 <= left < right <= page[2]
        for other in boxes[place + 1 :]:
            apart = other[0] >= right or other[2] <= left or other[1] >= bottom or other[3] <= top
            assert apart, (boxes[place], other)


FAKE_DOT = """#!{python}
import re, sys
text = sys.stdin.read()
nodes = re.findall(r'"(\\w+)" .label="", width=([\\d.]+), height=([\\d.]+)', text)
print("graph 1", len(nodes), 2)
for place, (name, width, height) in enumerate(nodes):
    print("node", name, place + 0.5, 1, width, height, '""', "solid box black lightgrey")
for source, target in re.findall(r'"(\\w+)" -> "(\\w+)"', text):
    print("edge", source, target, 4, "0 0 1 0 1 1 2 1", "solid black")
print("stop")
"""


@pytest.mark.parametrize(
    ("script", "used"),
    [(FAKE_DOT, True), ("#!{python}\nexit(1)\n", False), ("#!{python}\n", False)],
)
def test_graphviz_where_it_is_installed(
    proxyrules: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, used: bool
) -> None:
    """graphviz' positions are taken, and the other layout where it fails."""
    program = tmp_path / "dot"
    program.write_text(script.format(python=sys.executable))
    program.chmod(0o755)
    without = proxyrules("graph", *CASES["local"], "--format", "svg").out
    monkeypatch.setattr("shutil.which", lambda name: str(program))
    drawn = proxyrules("graph", *CASES["local"], "--format", "svg").out
    assert ("M0.0 144.0 C72.0 144.0 72.0 72.0" in drawn) is used
    assert (drawn == without) is not used


@pytest.mark.parametrize("columns", [60, 100])
def test_the_tree_fits_the_terminal(
    proxyrules: Runner, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for arguments in CASES.values():
        lines = proxyrules("graph", *arguments).out.splitlines()
        assert max(map(len, lines)) <= columns


def test_pods_are_named_where_manifests_have_them(proxyrules: Runner, tmp_path: Path) -> None:
    text = (ROOT / "fixtures/nodeport-affinity-local/input.yaml").read_text()
    first = "- addresses:\n  - 10.10.1.2\n"
    assert first in text
    named = f"{first}  targetRef: {{kind: Pod, name: web-1}}\n"
    manifest = tmp_path / "cluster.yaml"
    manifest.write_text(text.replace(first, named))
    result = proxyrules("graph", str(manifest), "default/web", "--node", "worker-1", *CONFIG)
    assert "10.10.1.2:8080 (web-1 on worker-1)" in result.out
    itself = ("--from", "web-1", "--node", "worker-1", *CONFIG)
    out = proxyrules("graph", str(manifest), *itself).out
    assert "from web-1 (10.10.1.2)" in out
    assert "10.10.1.2:8080 (web-1 on worker-1), masqueraded" in out


def test_all_endpoints(proxyrules: Runner) -> None:
    rules = "golden/large-cluster-at-1000.rules"
    assert "and 491 more, 0.2 % each" in proxyrules("graph", rules).out
    out = proxyrules("graph", rules, "--all").out
    assert out.count("0.2 %  10.10.") == 500


def test_from_localhost(proxyrules: Runner) -> None:
    result = proxyrules("graph", "golden/nodeport-cluster.rules", "--from", "localhost")
    assert result.code == 0
    assert "via node port 30080" in result.out
    assert "via cluster IP" not in result.out
    none = proxyrules("graph", "golden/no-endpoints.rules", "--from", "localhost")
    assert "no entry point that localhost sends to" in none.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing.yaml",), "nothing.yaml: can't be read"),
        ((LOCAL, "nothing.yaml"), f"{LOCAL}: rules can't be combined with other paths"),
        ((LOCAL, "default/nothing"), f'{LOCAL}: no Service "default/nothing" in the rules'),
        ((LOCAL, "default/web:no"), f'{LOCAL}: Service default/web has no port "default/web:no"'),
        ((LOCAL, "--from", "node"), "--from: the node's address is not known; add --node-address"),
        ((LOCAL, "--from", "fd00::1"), "--from: is IPv6, but these rules are IPv4"),
        ((LOCAL, "--from", "web-1"), '--from: "web-1": rules have no names of Pods'),
        ((LOCAL, "--from", ""), "--from is empty"),
        ((LOCAL, "-o", LOCAL), f"{LOCAL}: is also an input"),
        ((LOCAL, "--format", "png"), "'png' is not one of"),
        ((), "Missing argument"),
    ],
)
def test_bad_input(proxyrules: Runner, arguments: tuple[str, ...], message: str) -> None:
    result = proxyrules("graph", *arguments)
    assert (result.code, result.out) == (2, "")
    assert message in result.err


def test_too_many_service_ports_need_a_name(proxyrules: Runner, tmp_path: Path) -> None:
    manifest = tmp_path / "many.yaml"
    manifest.write_text(
        "---\n".join(
            f"apiVersion: v1\nkind: Service\nmetadata: {{name: s{n}, namespace: default}}\n"
            f"spec: {{clusterIP: 10.96.0.{n}, clusterIPs: [10.96.0.{n}], ipFamilies: [IPv4], "
            "ports: [{port: 80}]}\n"
            for n in range(1, 22)
        )
    )
    result = proxyrules("graph", str(manifest))
    assert (result.code, result.out) == (2, "")
    assert "21 service ports are too many" in result.err
    assert result.err.rstrip().endswith("name one, such as default/s1")
    assert proxyrules("graph", str(manifest), "default/s7").code == 0


def test_standard_input_output_file_and_closed_pipe(tmp_path: Path) -> None:
    stdin = (ROOT / LOCAL).read_bytes()
    piped = run_process("graph", "-", "default/web", stdin=stdin, cwd=ROOT)
    assert (piped.returncode, piped.stderr) == (0, b"")
    assert piped.stdout.startswith(b"default/web:http on <stdin>\n")
    target = tmp_path / "web.svg"
    done = run_process("graph", LOCAL, "--format", "svg", "-o", target, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, b"")
    assert target.read_text().startswith("<svg ")
    script = f"set -o pipefail; python -m compiler graph {LOCAL} --format svg | true"
    closed = subprocess.run(
        ["bash", "-c", script],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        check=False,
    )
    assert (closed.returncode, closed.stderr) == (0, b"")


def pictures(text: str) -> list[str]:
    return re.findall(r"```mermaid\n(.*?)```", text, re.DOTALL)


def test_diff_draws_before_and_after(proxyrules: Runner, golden: SnapshotAssertion) -> None:
    old, new = "golden/nodeport-affinity-local.rules", LOCAL
    result = proxyrules("diff", old, new, "--format", "mermaid", "--node-address", NODE)
    assert (result.code, result.err) == (1, "")
    (picture,) = pictures(result.out)
    check_mermaid(picture)
    assert result.out == golden(name="diff-affinity.mermaid.md")


def test_diff_marks_what_was_added_removed_and_changed(proxyrules: Runner, tmp_path: Path) -> None:
    old, new = "golden/nodeport-local.rules", "golden/nodeport-local-without-local-endpoints.rules"
    result = proxyrules("diff", old, new, "--format", "mermaid")
    (picture,) = pictures(result.out)
    check_mermaid(picture)
    assert '("\N{MINUS SIGN} 10.10.1.2:8080"):::endpoint_removed' in picture
    assert '{{"+ dropped: no endpoint on this node"}}:::stop_added' in picture
    assert re.search(r'KUBE_SVC_\w+ ==>\|"33.3 % → 50 %"\| n_endpoint_10_10_2_2_8080', picture)
    assert '-.->|"\N{MINUS SIGN} all other"| n_chain_KUBE_SVL_' in picture
    assert re.search(r'==>\|"\+ all other"\| n_end_dropped_no_endpoint_on_this_node', picture)
    back = proxyrules("diff", new, old, "--format", "mermaid").out
    assert '("+ 10.10.1.2:8080"):::endpoint_added' in back


def test_diff_of_source_ranges(proxyrules: Runner, tmp_path: Path) -> None:
    old = ROOT / "golden/loadbalancer-source-ranges.rules"
    lines = [
        line for line in old.read_text().splitlines(keepends=True) if "10.1.0.0/16" not in line
    ]
    new = tmp_path / "new.rules"
    new.write_text("".join(lines))
    (picture,) = pictures(proxyrules("diff", str(old), str(new), "--format", "mermaid").out)
    assert '==>|"from 203.0.113.0/24, 10.1.0.0/16 → from 203.0.113.0/24"|' in picture


def test_diff_of_a_service_that_is_gone_and_of_what_no_picture_shows(
    proxyrules: Runner, tmp_path: Path
) -> None:
    several = two_services(tmp_path)
    gone = proxyrules("diff", several, LOCAL, "--format", "mermaid")
    assert gone.code == 1
    assert "#### `default/one:http`" in gone.out
    assert ":::entry_removed" in pictures(gone.out)[0]
    node = tmp_path / "node.save"
    node.write_text(changed("nodeport-local", (":FORWARD ACCEPT", ":FORWARD DROP")))
    before = tmp_path / "before.save"
    before.write_text(changed("nodeport-local"))
    policy = proxyrules("diff", str(before), str(node), "--format", "mermaid")
    assert policy.code == 1
    assert "outside kube-proxy's chains" in policy.out
    same = proxyrules("diff", LOCAL, LOCAL, "--format", "mermaid")
    assert (same.code, pictures(same.out)) == (0, [])
    assert "No difference for traffic." in same.out
    assert proxyrules("diff", "--matrix", LOCAL, LOCAL, "--format", "mermaid").code == 2


def test_pictures_of_the_documentation_are_what_the_commands_print(proxyrules: Runner) -> None:
    own = ("--node-address", "172.18.0.2", "--format", "mermaid")
    old, new = LOCAL, "golden/nodeport-local-without-local-endpoints.rules"
    drawn = proxyrules("graph", "golden/nodeport-affinity-local.rules", *own).out
    compared = pictures(proxyrules("diff", old, new, *own).out)
    assert blocks(ROOT / "docs" / "graph.md", "mermaid") == [drawn, *compared]


def test_what_is_in_git(proxyrules: Runner) -> None:
    """The Pods that workloads have are named; without them it is said why there is nothing."""
    example = ROOT / "examples" / "first"
    paths = example / "deploy", example / "cluster" / "nodes.yaml", "shop/web"
    result = proxyrules("graph", *paths, "--from-workloads", "--node", "worker-1")
    assert result.code == 0
    assert (
        len(re.findall(r"33.3 %  10\.244\.\d\.\d+:8080 \(web-\d on worker-\d\)", result.out)) == 3
    )
    assert "control plane: " in result.err
    result = proxyrules("graph", *paths[:2], "--node", "worker-1")
    assert result.code == 2
    assert "spec.clusterIP: missing, so kube-proxy skips this Service" in result.err
    assert "no service ports" in result.err
