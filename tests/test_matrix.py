"""Cells of the matrix against another look at the same packets, and what it leaves out."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Sequence
from fractions import Fraction

import pytest

from compiler.analysis.cells import Cell, Result, natural
from compiler.analysis.matrix import Matrix, Row, make_matrix
from compiler.analysis.matrix_diff import compare_matrices
from compiler.analysis.node_view import Column, Entry, NodeView
from compiler.cluster import Cluster
from compiler.compilation import compile_rules, read_inputs
from compiler.family import IPV4, IPV6
from compiler.kube_rules.destinations import find_service_port
from compiler.kube_rules.jumps import with_jumps
from compiler.kube_rules.senders import Sender
from compiler.manifests.source import Source
from compiler.netfilter.evaluate import Packet, evaluate
from compiler.netfilter.host import Host
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.parse import parse_rules
from compiler.netfilter.ruleset import Ruleset
from tests.cases import CONFORMANCE_CASES, FIXTURE_CASES, FIXTURES, Case, case_id, node_text

FIVE = FIXTURES / "local-policy-on-five-nodes"
LARGE = 50_000
Shares = dict[tuple[str, str, str], Fraction]


def cluster_of(case: Case) -> Cluster:
    options = case.options
    named = dict(zip(options[::2], options[1::2], strict=False))
    return Cluster(
        read_inputs(
            [case.manifest],
            config=case.config,
            kube_version=named.get("--kube-version"),
            ip_family=case.family,
        )
    )


def columns(cluster: Cluster, nodes: Sequence[str] = ()) -> list[Column]:
    found = [cluster.node(name) for name in cluster.choose_nodes(nodes)]
    return [Column(one.name, one.ruleset, one.addresses, one.pod_cidr) for one in found]


def shares_of(cell: Iterable[Result], at: str = "") -> Shares:
    found: Shares = {}
    for one in cell:
        if one.at in ("", at):
            key = one.kind, one.to, one.source
            found[key] = found.get(key, Fraction(0)) + one.share
    return found


def evaluated(ruleset: Ruleset, packet: Packet, host: Host) -> Shares:
    """Add up what the evaluator says of one packet: the plain way, for one node."""
    found: Shares = {}
    for outcome in evaluate(ruleset, packet, host):
        found[plain(outcome)] = found.get(plain(outcome), Fraction(0)) + outcome.share
    return found


def plain(outcome: Outcome) -> tuple[str, str, str]:
    if outcome.verdict == "accepted":
        kind = "endpoint" if outcome.destination else "nothing"
        return kind, outcome.destination, outcome.source
    return outcome.verdict, outcome.answer, ""


def is_small(case: Case) -> bool:
    """Say whether a case is small enough to look at every packet of every node twice."""
    return case.manifest.stat().st_size < LARGE


@pytest.mark.parametrize("case", [c for c in FIXTURE_CASES if is_small(c)], ids=case_id)
def test_every_cell_of_every_fixture(case: Case) -> None:
    """Every cell is what the evaluator says of its packet on its node alone.

    The matrix looks at nodes together, where it can, and at the Services that are wanted alone.
    """
    cluster = cluster_of(case)
    family = IPV6 if case.family == "ipv6" else IPV4
    whole = columns(cluster)
    rulesets = {
        one.name: with_jumps(parse_rules("".join(_text(cluster, one.name)), family=family))
        for one in whole
    }
    alone = [
        row
        for service in {key.name.partition(":")[0] for key in cluster.keys}
        for keys in [find_service_port(cluster, service)]
        for row in make_matrix(columns(cluster.only(keys)), keys).rows
    ]
    matrix = make_matrix(whole)
    assert sorted(alone, key=_order) == sorted(matrix.rows, key=_order)
    for row in matrix.rows:
        for place, column in enumerate(whole):
            _check(row, row.cells[place], place, column, rulesets[column.name], matrix)


def _text(cluster: Cluster, name: str) -> Iterable[str]:
    return cluster.node(name or None).compilation.chunks()


def _order(row: Row) -> tuple[Entry, str]:
    return row.entry, row.sender


def _check(
    row: Row, cell: Cell, place: int, column: Column, ruleset: Ruleset, matrix: Matrix
) -> None:
    source = row.sources[place]
    if {one.kind for one in cell} == {"unknown"}:
        assert not column.addresses
        return
    local = row.sender in ("node", "localhost")
    host = Host(frozenset(column.addresses) or None, (("0.0.0.0/0", "eth0"), ("::/0", "eth0")))
    around = NodeView(column).around
    interface = None if local else (around.from_address(source).interface or "eth0")
    if row.sender == "pod" and around.pod_interface:
        interface = around.pod_interface.replace("+", "0")
    for address in [row.entry.address] if row.entry.address else matrix.addresses[place]:
        packet = Packet(
            source=source,
            destination=address,
            protocol=row.entry.key.protocol,
            destination_port=row.entry.port,
            local=local,
            interface=interface,
        )
        expected = evaluated(ruleset, packet, host)
        if any(kind == "undecided" for kind, _, _ in expected):
            assert not column.addresses
            continue
        assert shares_of(cell, address) == expected, (row.entry, row.sender, column.name)
        assert sum(expected.values()) == 1


def test_flows_of_kube_proxys_own_tests() -> None:
    """The same packets as cells: 33 cases, wherever a packet goes to an entry point."""
    tried = 0
    for case in CONFORMANCE_CASES:
        if not case.flows:
            continue
        family = IPV6 if case.family == "ipv6" else IPV4
        ruleset = parse_rules(case.expected, family=family)
        node = "fd00:1::2" if family == IPV6 else "192.168.0.2"
        view = NodeView(Column("node", ruleset, [node]))
        entries = list(view.entries(view.rules.keys))
        for flow in case.flows:
            for entry in entries:
                if _is_to(flow, entry, node):
                    cell = view.cell(entry, _from(flow, node))
                    assert _fate(cell) == (flow["output"], flow["masq"]), (case.name, flow["name"])
                    tried += 1
                    break
    assert tried >= 120


def _is_to(flow: dict[str, object], entry: Entry, node: str) -> bool:
    protocol = str(flow["protocol"]) or "tcp"
    where = entry.address or node
    return (where, entry.port, entry.key.protocol) == (flow["destIP"], flow["destPort"], protocol)


def _from(flow: dict[str, object], node: str) -> Sender:
    source = str(flow["sourceIP"])
    local = source in (node, "127.0.0.1", "::1")
    return Sender(source, local=local, interface=None if local else "eth0")


def _fate(cell: Cell) -> tuple[str, bool]:
    masqueraded = any(one.source == "masquerade" for one in cell)
    if any(one.kind == "endpoint" for one in cell):
        # kube-proxy's rules are sorted as texts
        return ", ".join(sorted(one.to for one in cell)), masqueraded
    names = {"rejected": "REJECT", "dropped": "DROP", "nothing": ""}
    return names[cell[0].kind], masqueraded


def rows(matrix: Matrix, via: str, sender: str) -> list[Row]:
    return [row for row in matrix.rows if (row.entry.via, row.sender) == (via, sender)]


def five() -> Cluster:
    return Cluster(read_inputs([FIVE / "input.yaml"], config=FIVE / "kube-proxy.yaml"))


@pytest.mark.parametrize("via", ["node-port", "load-balancer"])
def test_two_of_five_nodes_drop(via: str) -> None:
    matrix = make_matrix(columns(five()))
    (row,) = rows(matrix, via, "outside")
    dropping = [
        name
        for name, cell in zip(matrix.columns, row.cells, strict=True)
        if [one.kind for one in cell] == ["dropped"]
    ]
    assert dropping == ["worker-2", "worker-4"]
    (inside,) = rows(matrix, via, "pod")
    assert {len(cell) for cell in inside.cells} == {4}


SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: {name}, namespace: default}}
spec:
  type: {type}
  clusterIP: {ip}
  clusterIPs: [{ip}]
  ipFamilies: [IPv4]
  externalIPs: [{external}]
  ports: [{{port: {port}, nodePort: {node_port}}}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {name}-1
  namespace: default
  labels: {{kubernetes.io/service-name: {name}}}
addressType: IPv4
endpoints: {endpoints}
ports: [{{port: {target}}}]
"""
NODE = """\
apiVersion: v1
kind: Node
metadata: {{name: {name}}}
status: {{addresses: [{{type: InternalIP, address: {address}}}]}}
"""


def service(
    name: str,
    ip: str,
    *endpoints: str,
    external: str = "",
    port: int = 80,
    target: int = 8080,
    node_port: int = 0,
) -> str:
    return SERVICE.format(
        name=name,
        ip=ip,
        external=external,
        port=port,
        target=target,
        node_port=node_port or "null",
        type="NodePort" if node_port else "ClusterIP",
        endpoints=json.dumps([{"addresses": [one]} for one in endpoints]),
    )


def node(name: str, address: str) -> str:
    return NODE.format(name=name, address=address)


def made(*objects: str, cidr: str = "10.10.0.0/16") -> Cluster:
    text = "---\n".join(objects)
    return Cluster(read_inputs([Source("made.yaml", text.encode())], flags={"cluster_cidr": cidr}))


# Each takes packets of default/web or of its endpoints, in one way.
OTHERS = {
    "the external IP": service("a", "10.200.1.1", "10.10.1.9", external="198.51.100.9"),
    "the node port as an external IP of the node": service(
        "a", "10.200.1.1", "10.10.1.9", external="172.18.0.2", port=30080
    ),
    "an endpoint's address, without endpoints": service(
        "a", "10.200.1.1", external="10.10.1.2", port=8080
    ),
    "an endpoint's port as a node port, without endpoints": service(
        "a", "10.200.1.1", node_port=31000
    ),
    "an endpoint of one that takes its external IP": service(
        "a", "10.200.1.1", "10.200.1.3", external="198.51.100.9", target=80
    )
    + "---\n"
    + service("b", "10.200.1.3"),
}


@pytest.mark.parametrize("what", OTHERS)
def test_services_that_take_part_are_planned(what: str) -> None:
    """What one Service's cells are among all is what they are where it alone is wanted."""
    web = service(
        "web",
        "10.200.1.10",
        "10.10.1.2",
        "172.18.0.2",
        external="198.51.100.9",
        node_port=30080,
        target=31000 if "port as a node port" in what else 8080,
    )
    unrelated = service("z", "10.200.1.99", "10.10.1.77", node_port=30099)
    cluster = made(OTHERS[what], web, unrelated, node("one", "172.18.0.2"))
    keys = find_service_port(cluster, "default/web")
    some = cluster.only(keys)
    names = {key.name for key in some.keys}
    assert "default/z" not in names
    assert len(names) >= 2
    among_all, alone = (make_matrix(columns(one), keys) for one in (cluster, some))
    assert alone.rows == among_all.rows
    # and it makes a difference that the other one is there
    without = make_matrix(columns(made(web, node("one", "172.18.0.2"))), keys)
    assert without.rows != alone.rows


def test_a_taken_entry_point_is_noted() -> None:
    web = service("web", "10.200.1.10", "10.10.1.2", external="198.51.100.9")
    matrix = make_matrix(columns(made(OTHERS["the external IP"], web, node("one", "172.18.0.2"))))
    note = "default/web: its external IP 198.51.100.9:80 is taken by default/a"
    assert note in matrix.notes


def test_the_nodes_own_endpoint_is_masqueraded_to_itself() -> None:
    """Hairpin: an endpoint on the host network, and the node as the client."""
    web = service("web", "10.200.1.10", "172.18.0.2", "10.10.1.2")
    matrix = make_matrix(
        columns(made(web, node("one", "172.18.0.2"), node("two", "172.18.0.3"), cidr="0.0.0.0/0"))
    )
    (row,) = rows(matrix, "cluster-ip", "node")
    seen = [{one.to: one.source for one in cell} for cell in row.cells]
    assert seen == [
        {"10.10.1.2:8080": "", "172.18.0.2:8080": "masquerade"},
        {"10.10.1.2:8080": "", "172.18.0.2:8080": ""},
    ]


def test_source_ranges_have_a_sender_inside_and_one_outside() -> None:
    case = next(c for c in FIXTURE_CASES if c.name == "loadbalancer-source-ranges")
    matrix = make_matrix(columns(cluster_of(case)))
    ranges = [ipaddress.ip_network("203.0.113.0/24"), ipaddress.ip_network("10.1.0.0/16")]
    for sender, kind, inside in (
        ("outside", "dropped", False),
        ("source-range", "endpoint", True),
        ("pod", "dropped", False),
    ):
        (row,) = rows(matrix, "load-balancer", sender)
        assert {one.kind for cell in row.cells for one in cell} == {kind}
        addresses = [ipaddress.ip_address(source) for source in row.sources]
        assert {any(a in one for one in ranges) for a in addresses} == {inside}
        assert row.entry.address not in row.sources


def test_hints_differ_from_zone_to_zone() -> None:
    case = next(c for c in FIXTURE_CASES if c.name == "zone-hints")
    (row,) = rows(make_matrix(columns(cluster_of(case))), "cluster-ip", "pod")
    assert [[one.to for one in cell] for cell in row.cells] == [
        ["10.10.1.2:8080"],
        ["10.10.2.2:8080"],
    ]


def test_senders_that_cannot_be_are_left_out() -> None:
    matrix = make_matrix(columns(five()))
    assert {row.sender for row in matrix.rows if row.entry.via == "localhost"} == {"localhost"}
    assert {row.entry.via for row in matrix.rows if row.sender == "localhost"} == {"localhost"}
    off = Cluster(read_inputs([FIVE / "input.yaml"], flags={"iptables_localhost_nodeports": False}))
    assert not rows(make_matrix(columns(off)), "localhost", "localhost")


def test_pods_are_of_their_node() -> None:
    matrix = make_matrix(columns(five()))
    (row,) = rows(matrix, "cluster-ip", "pod")
    assert [source.rpartition(".")[0] for source in row.sources] == [
        f"10.10.{number}" for number in range(1, 6)
    ]


def test_large_clusters_without_comments_are_the_same() -> None:
    """Above 1000 endpoints kube-proxy leaves the comments of the Services' own rules out."""
    many = [f"10.11.{number // 250}.{number % 250}" for number in range(1001)]
    large = made(
        service("web", "10.200.1.10", "10.10.1.2"),
        service("many", "10.200.1.11", *many),
        node("one", "172.18.0.2"),
    )
    assert "default/web -> 10.10.1.2" not in large.node("one").compilation.text
    keys = find_service_port(large, "default/web")
    assert make_matrix(columns(large), keys) == make_matrix(columns(large.only(keys)), keys)


def test_an_unknown_address_is_not_guessed() -> None:
    text = compile_rules([FIVE / "input.yaml"], node="worker-1").text
    matrix = make_matrix([Column("dump", parse_rules(text))])
    assert not [row for row in matrix.rows if row.sender == "node"]
    (row,) = [row for row in matrix.rows if row.entry.via == "node-port"]
    assert [one.kind for one in row.cells[0]] == ["unknown"]
    assert "node ports: not looked at on dump: the node's address is not known" in matrix.notes


REJECTING = "-A INPUT -p tcp -m tcp --dport 6443 -j REJECT --reject-with icmp-host-prohibited\n"


def test_where_the_address_matters_the_cell_is_undecided() -> None:
    api = made(service("api", "10.200.1.1", "192.168.50.11", target=6443))
    text = node_text(api.node(None).compilation.text)
    # in the table filter, the first of both
    text = text.replace("COMMIT\n", REJECTING + "COMMIT\n", 1)
    unknown, known, other = (
        make_matrix([Column("dump", parse_rules(text), addresses)])
        for addresses in ([], ["192.168.50.11"], ["192.168.50.12"])
    )
    cells = [rows(one, "cluster-ip", "outside")[0].cells[0] for one in (unknown, known, other)]
    assert [[one.kind for one in cell] for cell in cells] == [
        ["undecided"],
        ["rejected"],
        ["endpoint"],
    ]
    assert cells[0][0].to == "whether 192.168.50.11 is an address of the node"
    assert cells[1][0].to == "icmp-host-prohibited"


def test_one_table_alone_is_noted() -> None:
    text = compile_rules([FIVE / "input.yaml"], node="worker-2").text
    nat = text[text.index("*nat") :].replace("*nat\n", "").replace("COMMIT\n", "")
    shown = "".join(line + "\n" for line in nat.splitlines() if line.startswith("-A"))
    chains = sorted({line.split()[1] for line in shown.splitlines()})
    listing = "".join(f"-N {name}\n" for name in chains) + shown
    ruleset = parse_rules(listing, table_hint=lambda *_: "nat")
    if ruleset.whole or "filter" in ruleset.tables:
        pytest.skip("the text shows both tables")
    assert any("filter is not shown" in note for note in make_matrix([Column("d", ruleset)]).notes)


def test_affinity_is_noted() -> None:
    case = next(c for c in FIXTURE_CASES if c.name == "seed-affinity-clientip")
    notes = make_matrix(columns(cluster_of(case))).notes
    assert any(note.startswith("session affinity: new clients") for note in notes)


def test_several_addresses_of_a_node() -> None:
    """Node ports are looked at on each address; where these differ, the cell has both."""
    taken = service("a", "10.200.1.1", "10.10.1.9", external="172.18.0.9", port=30080)
    web = service("web", "10.200.1.10", "10.10.1.2", node_port=30080)
    cluster = made(taken, web, node("one", "172.18.0.2"))
    ruleset = cluster.node("one").ruleset
    matrix = make_matrix([Column("one", ruleset, ["172.18.0.2", "172.18.0.9"])])
    (row,) = rows(matrix, "node-port", "outside")
    assert [(one.at, one.to) for one in row.cells[0]] == [
        ("172.18.0.2", "10.10.1.2:8080"),
        ("172.18.0.9", "10.10.1.9:8080"),
    ]


# The cells that change.


def test_the_same_rules_change_nothing() -> None:
    diff = compare_matrices(columns(five()), columns(five()))
    assert diff.same
    assert (diff.entries, len(diff.nodes), diff.unknown) == (4, 5, 0)
    assert diff.cells == sum(len(row.cells) for row in make_matrix(columns(five())).rows)


def test_changes_are_those_between_both_matrices() -> None:
    """Cell by cell against the two matrices, made by themselves."""
    text = (FIVE / "input.yaml").read_text()
    other = text.replace("externalTrafficPolicy: Local", "externalTrafficPolicy: Cluster")
    sides = [columns(made(*one.split("---\n"), cidr="10.10.0.0/16")) for one in (text, other)]
    diff = compare_matrices(sides[0], sides[1])
    cells = [
        {
            (row.entry, row.sender, name): cell
            for row in matrix.rows
            for name, cell in zip(matrix.columns, row.cells, strict=True)
        }
        for matrix in map(make_matrix, sides)
    ]
    assert cells[0].keys() == cells[1].keys()
    changed = {key for key in cells[0] if cells[0][key] != cells[1][key]}
    assert {(c.entry, c.sender, c.node) for c in diff.changes} == changed
    assert {(c.before, c.after) for c in diff.changes} == {
        (cells[0][key], cells[1][key]) for key in changed
    }
    assert len(changed) == 20


def test_a_service_that_is_gone_leads_nowhere_or_elsewhere() -> None:
    web = service("web", "10.200.1.10", "10.10.1.2")
    heir = service("heir", "10.200.1.10", "10.10.1.3")
    one = node("one", "172.18.0.2")
    before = columns(made(web, one))
    for after, kind in ((columns(made(one)), "nothing"), (columns(made(heir, one)), "endpoint")):
        diff = compare_matrices(before, after)
        found = {r.kind for c in diff.changes if c.entry.key.name == "default/web" for r in c.after}
        assert found == {kind}


def test_another_pod_cidr_does_not_hide_a_change() -> None:
    """The pod stays the same where the rules recognize another network."""
    web, one = service("web", "10.200.1.10", "10.10.1.2"), node("one", "172.18.0.2")
    sides = [columns(made(web, one, cidr=cidr)) for cidr in ("10.10.0.0/16", "10.99.0.0/16")]
    diff = compare_matrices(sides[0], sides[1])
    assert [(c.sender, c.after[0].source) for c in diff.changes] == [("pod", "masquerade")]


def test_nodes_on_one_side_are_not_compared() -> None:
    old, new = columns(five()), columns(five(), ["worker-1", "worker-2"])
    diff = compare_matrices(old, new)
    assert diff.nodes == ("worker-1", "worker-2")
    assert diff.not_compared == tuple(
        f"worker-{number}, which is only in OLD" for number in (3, 4, 5)
    )


def test_rounding_is_no_change() -> None:
    """Another order of the same endpoints gives shares that differ in the tenth digit."""
    text = compile_rules([FIVE / "input.yaml"], node="worker-1").text
    lines = text.splitlines(keepends=True)
    places = [n for n, line in enumerate(lines) if "0.2500000000" in line or "0.3333333333" in line]
    first, second = places[:2]
    ends = [lines[place].rpartition(" -j ") for place in (first, second)]
    lines[first], lines[second] = ends[0][0] + " -j " + ends[1][2], ends[1][0] + " -j " + ends[0][2]
    sides = [[Column("one", parse_rules(one), ["172.18.0.2"])] for one in (text, "".join(lines))]
    cells = [make_matrix(side).rows[0].cells[0] for side in sides]
    assert cells[0] != cells[1]
    assert compare_matrices(sides[0], sides[1]).same


def test_addresses_are_sorted_as_numbers() -> None:
    given = ["10.0.0.10:80", "10.0.0.9:80", "10.0.0.9:8", "[fd00::2]:80"]
    assert sorted(given, key=natural) == ["10.0.0.9:8", "10.0.0.9:80", "10.0.0.10:80", given[3]]
