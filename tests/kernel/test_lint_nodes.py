"""What the rules of `lint` about settings, dumps and upgrades warn of happens to real packets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from compiler.api import compile_rules
from compiler.family import IPV4
from compiler.manifests.source import Source
from compiler.netfilter.evaluate import Packet
from compiler.questions import lint
from tests.cases import node_text
from tests.kernel.box import BACKENDS
from tests.kernel.manifests import Object
from tests.kernel.wire import GONE, NODE, Fate, Wire, fresh_wire, program

pytestmark = pytest.mark.kernel

CIDR = "10.88.0.0/15"
POD, HERE, THERE = "10.88.0.5", "10.88.0.9", "10.89.0.9"
CLUSTER_IP, EXTERNAL = "10.200.1.10", "198.51.100.7"


@pytest.fixture(scope="module", params=BACKENDS)
def wire(request: pytest.FixtureRequest) -> Iterator[tuple[Wire, str]]:
    with fresh_wire() as made:
        yield made, request.param


def manifests(endpoints: Sequence[Object], **spec: Any) -> list[Source]:
    ports = [{"name": "http", "port": 80}]
    nodes = [
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name},
            "status": {"addresses": [{"type": "InternalIP", "address": ip}]},
        }
        for name, ip in (("here", NODE[0]), ("there", "192.168.0.77"))
    ]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"clusterIP": CLUSTER_IP, "ports": ports, **spec},
    }
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": endpoints,
    }
    value = {"apiVersion": "v1", "kind": "List", "items": [*nodes, service, slice_]}
    return [Source("cluster.json", json.dumps(value).encode())]


def at(address: str, node: str, **more: Any) -> Object:
    return {"addresses": [address], "nodeName": node, **more}


def compiled(sources: list[Source], version: str | None = None, **flags: object) -> str:
    """Return the rules of the node `here`, with kube-proxy's jumps."""
    flags = flags or {"cluster_cidr": CIDR}
    made = compile_rules(sources, node="here", kube_version=version, flags=flags, ip_family="ipv4")
    return node_text(made.text)


def load(wire: Wire, backend: str, text: str, more: str = "") -> None:
    """Replace a backend's rules; `more` is loaded beside them."""
    wire.shell(f"{program(backend, IPV4)}-restore", text)
    if more:
        wire.shell(f"{program(backend, IPV4)}-restore --noflush", more)


def emptied(table: str, policy: str = "ACCEPT") -> str:
    hooks = {
        "filter": ("INPUT", "FORWARD", "OUTPUT"),
        "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
        "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    }[table]
    lines = [f":{one} {policy if one == 'FORWARD' else 'ACCEPT'} [0:0]" for one in hooks]
    return "\n".join([f"*{table}", *lines, "COMMIT", ""])


def packet(wire: Wire, destination: str, source: str = POD, **more: Any) -> Packet:
    interface = "cni0" if source == POD else "eth0"
    port = {"destination_port": 80, "source_port": wire.next_port()}
    return Packet(source=source, destination=destination, interface=interface, **(port | more))


def saved(wire: Wire, backend: str, options: str = "") -> str:
    return wire.shell(f"{program(backend, IPV4)}-save {options}")


def reported(rule: str, dump: str = "", sources: Sequence[Source] = (), **options: Any) -> int:
    """Return how often lint reports something by a rule."""
    rules = [Source("node.save", dump.encode())] if dump else []
    return len(lint(sources, rules, select=[rule], **options).findings)


def test_nothing_is_masqueraded_and_pods_are_dropped(wire: tuple[Wire, str]) -> None:
    made, backend = wire
    sources = manifests(
        [at(THERE, "there")],
        type="NodePort",
        externalIPs=[EXTERNAL],
        externalTrafficPolicy="Local",
    )
    packets = [packet(made, CLUSTER_IP, "203.0.113.9"), packet(made, EXTERNAL)]
    load(made, backend, compiled(sources))
    masqueraded, served = made.send(packets)
    assert (masqueraded.destination, masqueraded.source) == (THERE, NODE[0])
    assert served.destination == THERE
    load(made, backend, compiled(sources, proxy_mode="iptables"))
    packets = [packet(made, CLUSTER_IP, "203.0.113.9"), packet(made, EXTERNAL)]
    plain, dropped = made.send(packets, lambda place: place == 0)
    assert (plain.destination, plain.source) == (THERE, "203.0.113.9")
    assert dropped == GONE
    assert reported("PR501", sources=sources, flags={"cluster_cidr": CIDR}) == 0
    kind = "kind: KubeProxyConfiguration\napiVersion: kubeproxy.config.k8s.io/v1alpha1\n"
    settings = Source("kube-proxy.yaml", kind.encode())
    assert reported("PR501", sources=sources, config=settings) == 1


def test_a_mark_of_others_masquerades(wire: tuple[Wire, str]) -> None:
    made, backend = wire
    mark = "*mangle\n-A PREROUTING -i cni0 -j MARK --set-xmark {}\nCOMMIT\n"
    text = compiled(manifests([at(THERE, "there")]))
    sources = {}
    for bits in ("0x4000/0x4000", "0x100/0x100"):
        load(made, backend, text + emptied("mangle"), mark.format(bits))
        (fate,) = made.send([packet(made, THERE, destination_port=8080)])
        sources[bits] = fate.source, reported("PR502", saved(made, backend))
    load(made, backend, text + emptied("mangle"))
    assert sources == {"0x4000/0x4000": (NODE[0], 1), "0x100/0x100": (POD, 0)}


def test_invalid_packets_are_dropped(wire: tuple[Wire, str]) -> None:
    made, backend = wire
    sources = manifests([at(THERE, "there")])
    answer: Object = {"flags": frozenset({"SYN", "ACK"}), "destination_port": 8080}
    load(made, backend, compiled(sources, cluster_cidr=CIDR, conntrack_tcp_be_liberal=True))
    (passed,) = made.send([packet(made, THERE, **answer)])
    assert passed.kind == "forward"
    load(made, backend, compiled(sources))
    answers = [packet(made, THERE, **answer) for _ in range(120)]
    *dropped, passed = made.send(
        [*answers, packet(made, THERE, destination_port=8080)], lambda place: place == 120
    )
    assert set(dropped) == {GONE}
    assert passed.kind == "forward"
    assert reported("PR503", saved(made, backend, "-c")) == 1
    assert reported("PR503", saved(made, backend)) == 0


def test_copies_of_a_rule_are_there_as_often_as_they_were_added(wire: tuple[Wire, str]) -> None:
    made, backend = wire
    rows = "-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP\n"
    text = compiled(manifests([at(THERE, "there")]))
    load(made, backend, text, f"*filter\n{rows * 10}COMMIT\n")
    assert saved(made, backend).count("0x8000/0x8000 -j DROP") == 10
    assert reported("PR601", saved(made, backend)) == 1


def test_leftover_rules_take_connections(wire: tuple[Wire, str]) -> None:
    """Rules of the iptables mode for a Pod that is gone, beside chains of the ipvs mode."""
    made, backend = wire
    load(made, backend, compiled(manifests([at(THERE, "there")])))
    assert reported("PR603", saved(made, backend)) == 0
    ipvs = "*nat\n:KUBE-LOAD-BALANCER - [0:0]\n-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ\nCOMMIT\n"
    load(made, backend, compiled(manifests([at(THERE, "there")])), ipvs)
    (fate,) = made.send([packet(made, CLUSTER_IP)])
    assert fate.destination == THERE
    assert reported("PR603", saved(made, backend)) == 1


@pytest.mark.parametrize("accept", [False, True])
def test_a_rule_of_others_rejects(wire: tuple[Wire, str], accept: bool) -> None:
    made, backend = wire
    rows = f"-A FORWARD -s {CIDR} -j ACCEPT\n" if accept else ""
    rows += "-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n"
    load(made, backend, compiled(manifests([at(THERE, "there")])), f"*filter\n{rows}COMMIT\n")
    (fate,) = made.send([packet(made, CLUSTER_IP)])
    expected = "forward" if accept else Fate("answer", "icmp-host-prohibited")
    assert expected in (fate, fate.kind)
    assert reported("PR604", saved(made, backend)) == (not accept)


def test_an_upgrade_changes_where_connections_go(wire: tuple[Wire, str]) -> None:
    made, backend = wire
    hints = {name: {"hints": {"forNodes": [{"name": name}]}} for name in ("here", "there")}
    sources = manifests([at(HERE, "here", **hints["here"]), at(THERE, "there", **hints["there"])])
    found = {}
    for version in ("1.33", "1.34"):
        load(made, backend, compiled(sources, version))
        fates = made.send([packet(made, CLUSTER_IP) for _ in range(40)])
        found[version] = {fate.destination for fate in fates}
    # all forty to one of two once in 2^39 runs
    assert found == {"1.33": {HERE, THERE}, "1.34": {HERE}}
    assert reported("PR701", sources=sources, kube_version="1.33", upgrade_to="1.34") == 1
    assert reported("PR701", sources=sources, kube_version="1.34", upgrade_to="1.35") == 0


@pytest.mark.parametrize("policy", ["ACCEPT", "DROP"])
def test_the_other_backend_drops(policy: str) -> None:
    text = compiled(manifests([at(THERE, "there")]))
    with fresh_wire() as made:
        load(made, "nft", text)
        load(made, "legacy", emptied("filter", policy))
        # what goes to the node itself passes in any case
        packets = [packet(made, CLUSTER_IP), packet(made, NODE[0], destination_port=9)]
        fate, _ = made.send(packets, lambda place: place == 1 or policy == "ACCEPT")
        assert fate.kind == ("gone" if policy == "DROP" else "forward")
        dump = saved(made, "nft") + saved(made, "legacy")
        assert reported("PR602", dump) == (policy == "DROP")
