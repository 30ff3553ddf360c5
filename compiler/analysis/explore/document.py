"""The document that a page looks answers up in: a head, an index, and a detail per service port.

Its values are those of JSON. Details are made one by one, as they are asked for, so that those of
ten thousand Services are never in memory at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypedDict

from compiler.analysis.explore.knowledge import Knowledge
from compiler.analysis.explore.state import StateMaker
from compiler.analysis.explore.values import Value
from compiler.analysis.node_view import Column, NodeView
from compiler.kube_rules.senders import Sender, SenderKind
from compiler.kube_rules.service_port import Key

FORMAT = 1
_SENDERS: Mapping[SenderKind, str] = {
    "pod": "a Pod of this node",
    "node": "this node itself",
    "outside": "a client outside the cluster",
    "localhost": "this node, from localhost",
}


class Document(TypedDict):
    """What a page shows, as JSON has it. `details` are made one by one, in the order of `index`."""

    head: Value
    index: list[Value]
    details: Iterable[Value]


@dataclass(frozen=True)
class Finding:
    """A finding of lint; `service` is `namespace/name`, empty where it is about none."""

    rule: str
    severity: str
    service: str
    message: str
    hint: str
    place: str


@dataclass(frozen=True)
class Side:
    """What is explored: nodes' rules, and what is known beside them.

    `version` is the Kubernetes version that the rules were compiled for, empty for others.
    """

    name: str
    columns: Sequence[Column]
    knowledge: Knowledge
    version: str = ""


@dataclass
class Exploration:
    """Everything that a document is made of.

    `title` and `inputs` are as a reader knows them. There are one or two sides: an old and a new
    one. `wanted` are the service ports, all by default. `changes` are the lines of `diff` by
    service port, with what it calls the change. `not_looked` says what the document makes no claim
    about.
    """

    title: str
    inputs: Sequence[str]
    sides: Sequence[Side]
    program: str
    wanted: Sequence[Key] | None = None
    findings: Sequence[Finding] = ()
    changes: Mapping[Key, tuple[str, Sequence[str]]] = field(default_factory=dict)
    not_looked: Sequence[str] = ()

    @cached_property
    def makers(self) -> list[tuple[int, StateMaker]]:
        """The nodes of all sides."""
        return [
            (number, StateMaker(NodeView(column), side.knowledge))
            for number, side in enumerate(self.sides)
            for column in side.columns
        ]

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """The service ports of all nodes, in byte order of their names."""
        found = {key for _, maker in self.makers for key in maker.view.rules.keys}
        return tuple(sorted(found if self.wanted is None else found.intersection(self.wanted)))

    def document(self) -> Document:
        """Return the document; its `details` can be read once."""
        return {"head": self._head(), "index": list(self._index()), "details": self._details()}

    def _head(self) -> Value:
        view = self.makers[0][1].view
        return {
            "format": FORMAT,
            "program": self.program,
            "title": self.title,
            "inputs": list(self.inputs),
            "kubeVersion": self.sides[-1].version or None,
            "family": view.family.value,
            "sides": [side.name for side in self.sides] if len(self.sides) > 1 else [],
            "views": [_view(number, maker.view) for number, maker in self.makers],
            "findings": [
                {
                    "rule": one.rule,
                    "severity": one.severity,
                    "service": one.service or None,
                    "message": one.message,
                    "hint": one.hint,
                    "place": one.place,
                }
                for one in self.findings
            ],
            "notLooked": list(self.not_looked),
        }

    def _index(self) -> Iterator[Value]:
        by_service: dict[str, list[int]] = {}
        for place, finding in enumerate(self.findings):
            by_service.setdefault(finding.service, []).append(place)
        for key in self.keys:
            # of the newer side, where it has the service port
            having = [(side, one) for side, one in self.makers if key in one.view.rules]
            newest = [one for side, one in having if side == having[-1][0]]
            service = newest[0].knowledge.service(key)
            spec = service.spec if service else None
            internal, external = newest[0].policies(key)
            yield {
                "name": str(key),
                "protocol": key.protocol.upper(),
                "type": (spec.type or "ClusterIP") if spec else "",
                "internalPolicy": internal,
                "externalPolicy": external,
                "affinity": max(one.affinity(key) for one in newest),
                "endpoints": len({end for one in newest for end in one.endpoints(key)}),
                "findings": by_service.get(key.name.partition(":")[0], []),
                "change": self.changes[key][0] if key in self.changes else "",
            }
            self._forget(key)

    def _details(self) -> Iterator[Value]:
        for key in self.keys:
            states: dict[str, int] = {}
            values: list[Value] = []
            by_view: list[int | None] = []
            for side, maker in self.makers:
                if key not in maker.view.rules:
                    by_view.append(None)
                    continue
                value = maker.state(key, self._before(maker) if side else None)
                place = states.setdefault(json.dumps(value), len(values))
                if place == len(values):
                    values.append(value)
                by_view.append(place)
            changes = self.changes[key][1] if key in self.changes else ()
            yield {
                "name": str(key),
                "byView": by_view,
                "changes": list(changes),
                "states": values,
            }
            self._forget(key)

    def _forget(self, key: Key) -> None:
        for _, maker in self.makers:
            maker.forget(key)
        for side in self.sides:
            side.knowledge.forget()

    def _before(self, maker: StateMaker) -> StateMaker | None:
        """Return the same node on the old side; one of each side is the same one."""
        old = [one for side, one in self.makers if not side]
        if len(old) == 1 and len(self.makers) == 2:
            return old[0]
        return next((one for one in old if one.view.name == maker.view.name), None)


def _view(side: int, view: NodeView) -> Value:
    senders: list[Value] = []
    notes: list[str] = []
    for kind, words in _SENDERS.items():
        one = view.senders[kind]
        if isinstance(one, Sender):
            senders.append(
                {
                    "id": kind,
                    "words": words,
                    "address": one.address,
                    "local": one.local,
                    "interface": one.interface,
                }
            )
        else:
            notes.append(f"not tried: from {kind}: {one}")
    if view.host.addresses is None:
        notes.append(
            "the node's addresses are not known: no endpoint is taken for one of them "
            "(--node-address)"
        )
    notes += view.limits()
    return {
        "node": view.name,
        "side": side,
        "label": view.name,
        "senders": senders,
        "notes": notes,
    }
