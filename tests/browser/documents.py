"""Documents of `explore`, made by hand: what the page must show whatever the rules are."""

from __future__ import annotations

import ipaddress
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

from compiler.analysis.explore.document import Document

Json = dict[str, Any]


def view(**changes: object) -> Json:
    senders = [
        sender("pod", "a Pod of this node", "10.10.1.7"),
        sender("node", "this node", "172.18.0.2", local=True),
        sender("outside", "outside the cluster", "198.51.100.7", interface="eth0"),
    ]
    made = {"node": "worker-1", "side": 0, "label": "worker-1", "senders": senders, "notes": []}
    return made | changes


def sender(
    name: str, words: str, address: str, *, local: bool = False, interface: str | None = None
) -> Json:
    return {
        "id": name,
        "words": words,
        "address": address,
        "local": local,
        "interface": interface,
    }


def head(**changes: object) -> Json:
    made = {
        "format": 1,
        "program": "proxyrules 0.1.0",
        "title": "cluster.yaml on worker-1",
        "inputs": ["cluster.yaml"],
        "kubeVersion": "1.37",
        "family": "ipv4",
        "sides": [],
        "views": [view()],
        "findings": [],
        "notLooked": ["lint: rules PR6xx need a dump"],
    }
    return made | changes


def entry_of(name: str, **changes: object) -> Json:
    made = {
        "name": name,
        "protocol": "TCP",
        "type": "ClusterIP",
        "internalPolicy": "Cluster",
        "externalPolicy": "",
        "affinity": 0,
        "endpoints": 3,
        "findings": [],
        "change": "",
    }
    return made | changes


def detail_of(
    name: str,
    count: int = 3,
    affinity: int = 0,
    *,
    address: str = "10.96.0.10",
    first: str = "10.10.1.2",
    comment: str = "",
    cases: Sequence[str] = ("",),
) -> Json:
    """Return a service port with a cluster IP and this many endpoints."""
    service = Service(name, count, affinity, address, first, comment=comment or name, cases=cases)
    return {
        "name": name,
        "byView": [0],
        "changes": [],
        "states": [service.state()],
    }


class Service:
    """A service port with one entry point, as kube-proxy's rules would have it."""

    def __init__(
        self,
        name: str,
        count: int,
        affinity: int,
        address: str,
        first: str,
        *,
        comment: str,
        cases: Sequence[str],
    ) -> None:
        self.name, self.affinity, self.address = name, affinity, address
        self.comment, self.cases = comment, cases
        start = ipaddress.ip_address(first)
        self.endpoints = [str(start + place) for place in range(count)]
        self.count = count
        self.v6 = start.version == 6
        self.rules: list[Json] = []
        self.dispatch = f"KUBE-SVC-{zlib.crc32(name.encode()):010d}"

    def port_of(self, address: str, port: int) -> str:
        return f"[{address}]:{port}" if self.v6 else f"{address}:{port}"

    def rule(self, chain: str, *words: tuple[str, str], why: str, origin: str = "") -> int:
        self.rules.append(
            {
                "table": "nat",
                "chain": chain,
                "text": " ".join(text for text, _ in words),
                "words": [list(word) for word in words],
                "why": why,
                "from": origin,
            }
        )
        return len(self.rules) - 1

    def state(self) -> Json:
        chains = self.chains()
        return {
            "summary": [["type", "ClusterIP"], ["cluster IP", f"{self.address}:80"]],
            "origin": [{"what": f"Service {self.name}", "place": "cluster.yaml:5"}],
            "chains": chains,
            "rules": self.rules,
            "graph": self.graph(),
            "ways": self.ways(),
            "entries": [self.entry()],
        }

    def chains(self) -> list[Json]:
        comment = (f'-m comment --comment "{self.comment}"', "a comment, for people")
        self.jump = self.rule(
            "KUBE-SERVICES",
            ("-A KUBE-SERVICES", "appends to the chain KUBE-SERVICES"),
            comment,
            (f"-d {self.address}/{128 if self.v6 else 32}", "to the cluster IP"),
            (f"-j {self.dispatch}", "goes on in the Service's chain"),
            why=f"packets to {self.address} go on in {self.dispatch}",
            origin=f"cluster.yaml:9: Service {self.name}: spec.clusterIP",
        )
        self.chances: list[int] = []
        self.pins: list[int] = []
        for place, address in enumerate(self.endpoints if self.affinity else ()):
            seconds = f"--seconds {self.affinity} --reap --name KUBE-SEP-{place:05d}"
            self.pins.append(
                self.rule(
                    self.dispatch,
                    (f"-A {self.dispatch}", ""),
                    (
                        f"-m recent --rcheck {seconds}",
                        f"clients that the list has had for at most {self.affinity} s",
                    ),
                    (f"-j KUBE-SEP-{place:05d}", f"goes on to {address}"),
                    why=f"clients of {address} come back to it",
                )
            )
        for place, address in enumerate(self.endpoints):
            left = len(self.endpoints) - place
            self.chances.append(
                self.rule(
                    self.dispatch,
                    (f"-A {self.dispatch}", ""),
                    comment,
                    (
                        f"-m statistic --mode random --probability {1 / left:.11f}",
                        f"one of {left} of the packets that come here",
                    ),
                    (f"-j KUBE-SEP-{place:05d}", f"goes on to {address}"),
                    why=f"sends one of {left} new connections to {address}",
                )
            )
        self.translations = [
            self.rule(
                f"KUBE-SEP-{place:05d}",
                (f"-A KUBE-SEP-{place:05d}", ""),
                ("-p tcp -m tcp", "TCP only"),
                ("-j DNAT", "rewrites the destination"),
                (f"--to-destination {self.port_of(address, 8080)}", "to this endpoint"),
                why=f"the destination becomes {address}",
            )
            for place, address in enumerate(self.endpoints)
        ]
        made = [("KUBE-SERVICES", "entry points", [self.jump])]
        made.append((self.dispatch, "endpoints of the cluster", [*self.pins, *self.chances]))
        made += [
            (f"KUBE-SEP-{place:05d}", f"endpoint {address}", [self.translations[place]])
            for place, address in enumerate(self.endpoints)
        ]
        return [
            {"table": "nat", "chain": chain, "words": words, "rules": rules}
            for chain, words, rules in made
        ]

    def graph(self) -> Json:
        nodes = [
            node("entry", "entry", self.entry_words()),
            node("svc", "cluster", "endpoints of the cluster", chain=self.dispatch),
        ]
        edges = [edge("entry", "svc", rules=[self.jump])]
        for place, address in enumerate(self.endpoints[:20]):
            words = self.port_of(address, 8080)
            nodes.append(node(f"e{place}", "endpoint", words, chain=f"KUBE-SEP-{place:05d}"))
            share = [1, len(self.endpoints)]
            edges.append(edge("svc", f"e{place}", share=share, rules=[self.chances[place]]))
            if self.affinity:
                pins = {"kind": "return", "affinity": self.affinity, "rules": [self.pins[place]]}
                edges.append(edge("svc", f"e{place}", **pins))
        return {"nodes": nodes, "edges": edges, "notes": ["hairpin packets are masqueraded"]}

    def ways(self) -> list[Json]:
        firsts = (self.chances, self.pins) if self.affinity else (self.chances,)
        return [self.way(place, first[place]) for place in range(self.count) for first in firsts]

    def way(self, place: int, first: int) -> Json:
        target = self.port_of(self.endpoints[place], 8080)
        return {
            "outcome": target,
            "words": f"to {target}",
            "verdict": "accepted",
            "answer": "",
            "translatedTo": target,
            "source": "",
            "delivered": False,
            "policy": "",
            "decidedBy": self.translations[place],
            "masqueradedBy": None,
            "reasons": [],
            "path": [self.jump, first, self.translations[place]],
            "stamps": [f"KUBE-SEP-{place:05d}"] if self.affinity else [],
        }

    def entry_words(self) -> str:
        return f"via cluster IP {self.port_of(self.address, 80)}"

    def entry(self) -> Json:
        step = 2 if self.affinity else 1
        count = self.count
        everywhere = [["0" * 32, "f" * 32]] if self.v6 else [["00000000", "ffffffff"]]
        cell = {
            "local": False,
            "interface": None,
            "sources": everywhere,
            "states": ["NEW"],
            "cases": [
                {"if": words, "ways": [[place * step, 1, count] for place in range(count)]}
                for words in self.cases
            ],
            "pins": [
                [f"KUBE-SEP-{place:05d}", self.affinity, place * 2 + 1]
                for place in range(count if self.affinity else 0)
            ],
        }
        return {
            "via": "cluster-ip",
            "words": self.entry_words(),
            "to": [self.address],
            "port": 80,
            "protocol": "tcp",
            "cells": [cell, cell | {"local": True}],
            "notLooked": "",
        }


def node(key: str, kind: str, words: str, **more: object) -> Json:
    made = {"key": key, "kind": kind, "words": words, "detail": "", "chain": "", "count": 1}
    return made | {"change": ""} | more


def edge(source: str, target: str, **more: object) -> Json:
    made: Json = {"source": source, "target": target, "kind": "way", "condition": ""}
    made |= {"share": None, "masquerade": [], "affinity": None, "change": "", "rules": []}
    return made | more


def small(**of_head: object) -> Document:
    """Return a few service ports of all kinds."""
    web = detail_of("default/web:http")
    sticky = detail_of("default/sticky:http", affinity=60, address="10.96.0.11")
    unsure = detail_of(
        "default/unsure:http",
        2,
        address="10.96.0.12",
        cases=("10.0.0.1 is an address of the node", "10.0.0.1 is no address of the node"),
    )
    return {
        "head": head(**of_head),
        "index": [
            entry_of("default/web:http"),
            entry_of("default/sticky:http", affinity=60, type="NodePort"),
            entry_of("default/unsure:http", endpoints=2),
        ],
        "details": [web, sticky, unsure],
    }


def many(services: int, endpoints: int) -> Document:
    """Return a document of this many service ports; their details are made as they are read."""
    names = [f"team-{number % 40}/service-{number}:http" for number in range(services)]

    def details() -> Iterator[Json]:
        start = ipaddress.IPv4Address("10.128.0.0")
        for number, name in enumerate(names):
            first = str(start + number * endpoints)
            address = str(ipaddress.IPv4Address("10.96.0.0") + number)
            yield detail_of(name, endpoints, address=address, first=first)

    index = [entry_of(name, endpoints=endpoints) for name in names]
    return {"head": head(), "index": index, "details": details()}


def finding(service: str | None) -> Json:
    return {
        "rule": "PR301",
        "severity": "warning",
        "service": service,
        "message": "open to every source address",
        "hint": "give source ranges",
        "place": "cluster.yaml:12:3",
    }


def first_state(document: Document) -> Json:
    """Return the state of the first service port, for a test to change."""
    details: Any = document["details"]
    state: Json = details[0]["states"][0]
    return state
