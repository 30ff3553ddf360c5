"""What `generated_clusters` adds to a cluster about its nodes: settings, CNI plugins, dumps.

All of it has random numbers of its own, so that what is added here changes nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

CNI = ("calico-node", "cilium", "aws-node", "kube-flannel-ds")
# Gates that are on anyway, and gone later on.
GATES = ("LoadBalancerIPMode", "TopologyAwareHints")

KINDS_OF_REFUSAL = {
    "all": ["-A FORWARD -j REJECT --reject-with icmp-host-prohibited"],
    "policy": [],
    "one-network": ["-A FORWARD -d 10.244.0.0/24 -j DROP"],
    "node": ["-A OUTPUT -d 10.244.0.0/16 -j REJECT --reject-with icmp-port-unreachable"],
    "but-pods": [
        "-A FORWARD -s 10.244.0.0/16 -j ACCEPT",
        "-A FORWARD -j REJECT --reject-with icmp-host-prohibited",
    ],
    "but-bridge": ["-A FORWARD -i cni0 -j ACCEPT", "-A FORWARD -j DROP"],
    "others": ["-A FORWARD -s 192.0.2.0/24 -j DROP", "-A FORWARD -p udp --dport 9 -j DROP"],
    "none": [],
}
BESIDE = ("no", "no", "no", "empty", "kube-proxy", "policy", "others", "warning")


@dataclass(frozen=True)
class Dump:
    """A node's dump: its text, and what was put there (see `dump`)."""

    text: str
    endpoints: tuple[str, ...]
    mark: int
    refusal: str
    beside: str
    copies: int
    modes: str
    counters: tuple[int, int]
    foreign_marks: tuple[tuple[str, str, int, int], ...]


def settings_of(
    seed: int, objects: tuple[Object, ...], config: Object | None, options: dict[str, Any]
) -> tuple[tuple[Object, ...], Object | None, dict[str, Any]]:
    """Return objects, configuration and options with more in them."""
    rng = random.Random(f"settings {seed}")
    options = dict(options)
    version = options.get("kube_version")
    if version and version != "1.37" and rng.random() < 0.7:
        options["upgrade_to"] = f"1.{rng.randint(int(version[2:]) + 1, 37)}"
    if config is None:
        return objects, None, options
    config = dict(config)
    if rng.random() < 0.15:
        config["mode"] = rng.choice(["ipvs", "userspace", "nftables"])
        options["flags"] = {"proxy_mode": "iptables"}
    if version in {"1.30", "1.31", "1.32"} and rng.random() < 0.4:
        config["featureGates"] = {gate: True for gate in GATES if rng.random() < 0.7}
    if config.get("detectLocalMode") == "NodeCIDR":
        objects = tuple(_with_fewer_cidrs(one, rng) for one in objects)
    if rng.random() < 0.3:
        objects = (*objects, _daemon_set(rng.choice(CNI)))
        config["iptables"] = {
            **config.get("iptables", {}),
            "masqueradeBit": rng.choice([7, 9, 13, 14, 16, 31]),
        }
    return objects, config, options


def _with_fewer_cidrs(one: Object, rng: random.Random) -> Object:
    if one["kind"] != "Node":
        return one
    cidrs = one["spec"]["podCIDRs"]
    return {**one, "spec": {"podCIDRs": rng.choice([cidrs, cidrs[:1], cidrs[1:], []])}}


def _daemon_set(name: str) -> Object:
    labels = {"k8s-app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": "kube-system"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"hostNetwork": True, "containers": [{"name": "main", "image": "cni:1"}]},
            },
        },
    }


def dumps_of(seed: int, objects: Sequence[Object]) -> tuple[Dump, ...]:
    """Return dumps of nodes, with rules that kube-proxy could have written for the objects."""
    rng = random.Random(f"dumps {seed}")
    return tuple(_dump(rng, objects) for _ in range(rng.choice([0, 0, 1, 1, 2])))


def _dump(rng: random.Random, objects: Sequence[Object]) -> Dump:
    mark = 1 << rng.choice([14, 14, 14, 15, 16])
    refusal = rng.choice([*KINDS_OF_REFUSAL, "none", "none", "none"])
    modes = rng.choice(["iptables"] * 6 + ["both", "both-unused", "ipvs"])
    if modes == "ipvs":
        text = ipvs_text()
        return Dump(text, (), 0, "none", "no", 0, modes, (0, 0), ())
    marks = tuple(foreign_mark(rng) for _ in range(rng.randint(0, 2))) if refusal == "none" else ()
    beside = rng.choice(BESIDE)
    copies = rng.choice([0, 1, 2, 9, 10, 40])
    counters = rng.choice([(0, 0), (3, 10), (99, 50_000), (100, 50_000), (100, 500_000)])
    rows, endpoints = _service_rules(objects, mark)
    nat = [
        "-A PREROUTING -j KUBE-SERVICES",
        "-A OUTPUT -j KUBE-SERVICES",
        "-A POSTROUTING -j KUBE-POSTROUTING",
        f"-A KUBE-MARK-MASQ -j MARK --set-xmark {mark:#x}/{mark:#x}",
        f"-A KUBE-POSTROUTING -m mark ! --mark {mark:#x}/{mark:#x} -j RETURN",
        f"-A KUBE-POSTROUTING -j MARK --set-xmark {mark:#x}/0x0",
        "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
        *(rows if modes != "both-unused" else [row for row in rows if "cluster IP" not in row]),
    ]
    if modes != "iptables":
        nat.append("-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ")
    invalid, total = counters
    filter_ = [
        "-A INPUT -j KUBE-FIREWALL",
        "-A FORWARD -j KUBE-FORWARD",
        f"[{invalid}:{invalid * 52}] -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
        f"-A KUBE-FORWARD -m mark --mark {mark:#x}/{mark:#x} -j ACCEPT",
        f"[{total}:0] -A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        *["-A KUBE-FIREWALL -m mark --mark 0x8000/0x8000 -j DROP"] * copies,
        *KINDS_OF_REFUSAL[refusal],
    ]
    mangle: list[str] = []
    for table, chain, value, mask in marks:
        row = f"-A {chain} -i wg0 -j MARK --set-xmark {value:#x}/{mask:#x}"
        (mangle if table == "mangle" else filter_).append(row)
    policy = "DROP" if refusal == "policy" else "ACCEPT"
    text = "".join(
        [
            "# Generated by iptables-save v1.8.9 (nf_tables) on Tue Apr  2 08:12:40 2024\n",
            "# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n"
            if beside == "warning"
            else "",
            _table("mangle", mangle, "ACCEPT"),
            _table("nat", nat, "ACCEPT"),
            _table("filter", filter_, policy),
            _beside(beside),
        ]
    )
    used = tuple(endpoints) if modes != "both-unused" else ()
    return Dump(text, used, mark, refusal, beside, copies, modes, counters, marks)


def foreign_mark(rng: random.Random) -> tuple[str, str, int, int]:
    """Return table, chain, value and mask of a rule of others."""
    table, chain = rng.choice(
        [("mangle", "PREROUTING"), ("mangle", "FORWARD"), ("filter", "FORWARD")]
    )
    value = rng.choice([0, 0x100, 0x4000, 0x10000])
    return table, chain, value, rng.choice([value or 0x1, 0xFFFF, 0xFFFFFFFF])


def ipvs_text() -> str:
    """Return a dump of a node in ipvs mode."""
    rows = [
        "-A PREROUTING -j KUBE-SERVICES",
        "-A KUBE-LOAD-BALANCER -j KUBE-MARK-MASQ",
        "-A KUBE-SERVICES -m set --match-set KUBE-LOAD-BALANCER dst,dst -j KUBE-LOAD-BALANCER",
        "-A KUBE-SERVICES -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT",
    ]
    return _table("nat", rows, "ACCEPT")


def _service_rules(objects: Sequence[Object], mark: int) -> tuple[list[str], list[str]]:
    """Write the rules of IPv4 cluster IPs, and return their endpoints."""
    rows: list[str] = []
    used: list[str] = []
    number = 0
    for service in objects:
        if service["kind"] != "Service":
            continue
        name = f"{service['metadata']['namespace']}/{service['metadata']['name']}"
        for port in service["spec"]["ports"]:
            label = f"{name}:{port['name']}" if "name" in port else name
            protocol = port["protocol"].lower()
            endpoints = list(_endpoints(objects, service, port))
            if not endpoints:
                continue
            number += 1
            chain = f"KUBE-SVC-{number:016}"
            there = (
                f"-d {service['spec']['clusterIP']}/32 -p {protocol} -m comment"
                f' --comment "{label} cluster IP" -m {protocol} --dport {port["port"]}'
            )
            rows.append(f"-A KUBE-SERVICES {there} -j {chain}")
            rows.append(f"-A {chain} ! -s 10.244.0.0/16 {there} -j KUBE-MARK-MASQ")
            for place, endpoint in enumerate(endpoints):
                last = f"KUBE-SEP-{number:08}{place:08}"
                share = 1 / (len(endpoints) - place)
                random_ = f"-m statistic --mode random --probability {share:.10f}"
                rows.append(f"-A {chain} {random_ if share < 1 else ''} -j {last}")
                rows.append(f"-A {last} -s {endpoint.split(':')[0]}/32 -j KUBE-MARK-MASQ")
                rows.append(f"-A {last} -p {protocol} -j DNAT --to-destination {endpoint}")
            used += endpoints
    return rows, used


def _endpoints(objects: Sequence[Object], service: Object, port: Object) -> list[str]:
    found = []
    for one in objects:
        if one["kind"] != "EndpointSlice" or one["addressType"] != "IPv4":
            continue
        owner = one["metadata"]["labels"].get("kubernetes.io/service-name")
        if owner != service["metadata"]["name"]:
            continue
        for other in one["ports"]:
            if (other.get("name"), other["protocol"]) == (port.get("name"), port["protocol"]):
                found += [
                    f"{endpoint['addresses'][0]}:{other['port']}" for endpoint in one["endpoints"]
                ]
    return found


def _table(name: str, rows: Sequence[str], forward: str) -> str:
    builtin = {
        "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
        "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
        "filter": ("INPUT", "FORWARD", "OUTPUT"),
    }[name]
    lines = [f":{one} {forward if one == 'FORWARD' else 'ACCEPT'} [0:0]" for one in builtin]
    own = [row.partition("-A ")[2].partition(" ")[0] for row in rows]
    targets = [row.rpartition("-j ")[2].partition(" ")[0] for row in rows]
    own += [one for one in targets if one.startswith("KUBE-")]
    lines += [f":{one} - [0:0]" for one in dict.fromkeys(own) if one not in builtin]
    return "\n".join([f"*{name}", *lines, *rows, "COMMIT", ""])


def _beside(kind: str) -> str:
    """Return the dump of legacy tables that follows."""
    head = "# Generated by iptables-save v1.8.9 on Tue Apr  2 08:12:41 2024\n"
    if kind in {"no", "warning"}:
        return ""
    if kind == "kube-proxy":
        return head + _table("nat", ["-A KUBE-SERVICES -j RETURN"], "ACCEPT")
    rows = KINDS_OF_REFUSAL["others"] if kind == "others" else []
    return head + _table("filter", rows, "DROP" if kind == "policy" else "ACCEPT")
