"""The rules of every node of a cluster at once.

What does not depend on the node is decided and rendered once. A node's text is a frame, which is
the node's own, and in its three places one part per service port. Most of these parts are the same
on every node, so a node is known by those that differ, and nodes with the same are rendered once.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain, islice
from typing import NamedTuple, cast

from compiler.cluster import Cluster
from compiler.compilation import Inputs, check_nfacct, read_inputs
from compiler.errors import InputError, Problem
from compiler.kube_rules.service_port import Key
from compiler.manifests.reader import Manifests, Progress
from compiler.manifests.source import Source
from compiler.proxy.cluster_plan import ClusterPlan, NodeName
from compiler.proxy.iptables_plan import IptablesPlan, project
from compiler.proxy.node import NodePorts, check_node_port_addresses
from compiler.proxy.own_settings import for_each_node
from compiler.proxy.plan import LocalTraffic, Plan, PlannedServicePort
from compiler.proxy.service_port import count_service_ports
from compiler.render import LOCAL_TRAFFIC, ServicePortText, render_frame, render_service_port

_MARK = LOCAL_TRAFFIC.encode()

# Parts of service ports that are joined to a chunk, which a processor's cache should hold.
PIECES_AT_ONCE = 512


class _Flavour(NamedTuple):
    """What of a node is in the text of its service ports, beside their plans."""

    local_traffic: str | None
    localhost: bool


class _OfNode(NamedTuple):
    """All that a node's text is made of. Equal ones give equal texts, and others different ones.

    `others` are the parts of service ports that are not those of most nodes, by place.
    """

    frame: tuple[bytes, ...]
    local_traffic: str
    flavour: _Flavour
    others: tuple[tuple[int, ServicePortText], ...]


@dataclass(frozen=True, eq=False)
class EqualNodes:
    """Nodes that have the same rules, and these rules. `nodes` are in natural order."""

    nodes: tuple[str, ...]
    _made_of: _OfNode
    _most: Sequence[ServicePortText]

    def chunks(self) -> Iterator[bytes]:
        """Write the text for `iptables-restore`, in UTF-8 and in chunks that a cache holds."""
        parts = self.parts
        first, second, third, last = self._made_of.frame
        own = self._made_of.local_traffic.encode()
        filters, chains, nat = zip(*parts, strict=True) if parts else ((), (), ())
        pieces = chain([first], filters, [second], chains, [third], nat, [last])
        while some := list(islice(pieces, PIECES_AT_ONCE)):
            chunk = b"".join(some)
            yield chunk.replace(_MARK, own) if own else chunk

    @property
    def parts(self) -> list[ServicePortText]:
        """What each service port adds, in the order of `AllNodes.keys`."""
        parts = list(self._most)
        for place, part in self._made_of.others:
            parts[place] = part
        return parts

    def has_the_frame_of(self, other: EqualNodes) -> bool:
        """Say whether two nodes' rules are the same beside those of service ports."""
        mine, others = self._made_of, other._made_of
        return mine.frame == others.frame and mine.local_traffic == others.local_traffic

    @property
    def text(self) -> str:
        """The same as a whole. It is put together each time."""
        return b"".join(self.chunks()).decode()


@dataclass(frozen=True, eq=False)
class AllNodes:
    """The rules of every node of a cluster.

    `groups` are the nodes with equal rules, by their first node. `keys` are the
    service ports that the rules are for, `other_family_service_ports` is how many the manifests
    have in the other family. `standalone` is whether the texts have the jumps from the built-in
    chains. `warnings` are those of `Compilation`.
    """

    inputs: Inputs
    groups: tuple[EqualNodes, ...]
    keys: tuple[Key, ...]
    other_family_service_ports: int
    standalone: bool
    warnings: tuple[Problem, ...]

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes, in natural order: `worker-2` is before `worker-10`."""
        return tuple(sorted(self._by_name, key=natural))

    @cached_property
    def _by_name(self) -> Mapping[str, EqualNodes]:
        return {node: group for group in self.groups for node in group.nodes}

    def group(self, node: str) -> EqualNodes:
        """Return the nodes that have the same rules as one of them. Raises KeyError."""
        return self._by_name[node]

    def text(self, node: str) -> str:
        """Return a node's text for `iptables-restore`. Raises KeyError for a node that is none."""
        return self.group(node).text


def compile_all_nodes(  # noqa: PLR0913  # all but the first by name
    manifests: Sequence[str | os.PathLike[str] | Source] | os.PathLike[str] | Manifests,
    *,
    config: str | os.PathLike[str] | Source | None = None,
    flags: Mapping[str, object] | None = None,
    kube_version: str | None = None,
    ip_family: str | None = None,
    nfacct: bool = False,
    random_fully: bool = True,
    standalone: bool = False,
    progress: Progress | None = None,
    check_fields: bool = False,
    workers: int = 1,
) -> AllNodes:
    """Compile the rules of every node that has a Node object, in little more time than one's.

    A node's text equals that of `compile_rules` with its name for `node`, or its `standalone`. The
    arguments are those of `compile_rules`. A `hostnameOverride` and, of several nodes, a specific
    `bindAddress` are one node's own: they are ignored, and in the warnings. Raises
    `InputError` with every problem of the input, also where there is no Node.
    """
    inputs = read_inputs(
        manifests,
        config=config,
        flags=flags,
        kube_version=kube_version,
        ip_family=ip_family,
        progress=progress,
        check_fields=check_fields,
        workers=workers,
    )
    return compile_inputs_for_all(
        inputs, nfacct=nfacct, random_fully=random_fully, standalone=standalone
    )


def compile_inputs_for_all(
    inputs: Inputs, *, nfacct: bool = False, random_fully: bool = True, standalone: bool = False
) -> AllNodes:
    """Compile what was read for every node; see `compile_all_nodes`. Raises `InputError`."""
    problems = check_nfacct(inputs.release, wanted=nfacct)
    try:
        Cluster(inputs).all_nodes()
    except InputError as error:
        problems += error.problems
    problems += check_node_port_addresses(inputs.config, inputs.release)
    if problems:
        raise InputError(problems)
    family, several = inputs.family, len(inputs.manifests.nodes) > 1
    config, ignored = for_each_node(inputs.config, family, several=several)
    plan = ClusterPlan(inputs.manifests, config, family, inputs.release)
    renderer = _Renderer(plan, nfacct=nfacct, random_fully=random_fully, standalone=standalone)
    groups = renderer.groups()
    if plan.problems:
        raise InputError(plan.problems)
    return AllNodes(
        inputs,
        groups,
        tuple(Key(info.name, info.protocol.lower()) for info in plan.infos),
        count_service_ports(inputs.manifests.services, family.other),
        standalone,
        config.warnings + ignored + plan.warnings + inputs.manifests.warnings,
    )


def natural(name: str) -> list[tuple[int, str]]:
    """Return what names are sorted by: `worker-2` is before `worker-10`."""
    return [
        (int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"([0-9]+)", name)
    ]


class _Renderer:
    """Renders every distinct plan of a service port once, and puts nodes together from them."""

    def __init__(
        self, plan: ClusterPlan, *, nfacct: bool, random_fully: bool, standalone: bool
    ) -> None:
        self._standalone = standalone
        self._nodes = sorted((node for node in plan.nodes if node is not None), key=natural)
        self._groups = [plan.groups(info) for info in plan.infos]
        self._frames = {node: plan.frame(node) for node in self._nodes}
        projected: dict[_Own, IptablesPlan] = {}
        for frame in self._frames.values():
            if _own(frame) not in projected:
                projected[_own(frame)] = project(frame, nfacct=nfacct, random_fully=random_fully)
        self._projected = projected
        # All in one go, which takes half the time; several groups may share a plan.
        ports = {id(port): port for some in self._groups for _, port in some}
        whole = project(replace(self._frames[self._nodes[0]], service_ports=list(ports.values())))
        self._ports = dict(zip(ports, whole.service_ports, strict=True))
        self._probabilities = whole.probabilities
        self._rendered: dict[tuple[int, _Flavour], ServicePortText] = {}
        # Equal parts are the same object, so that comparing nodes costs little.
        self._known: dict[ServicePortText, ServicePortText] = {}

    def groups(self) -> tuple[EqualNodes, ...]:
        """Return the nodes with equal rules, by their first node."""
        flavours = self._flavours()
        most = {one: self._parts_of_most(one) for one in set(flavours.values())}
        others = self._others(flavours, most)
        rendered: dict[NodePorts, tuple[bytes, ...]] = {}
        equal: defaultdict[_OfNode, list[str]] = defaultdict(list)
        for node in self._nodes:
            own = self._projected[_own(self._frames[node])]
            node_ports = self._frames[node].node_ports
            if node_ports not in rendered:
                rendered[node_ports] = render_frame(own, standalone=self._standalone)
            mark = flavours[node].local_traffic == LOCAL_TRAFFIC
            local = own.local_traffic if mark and own.local_traffic else ""
            one = _OfNode(rendered[node_ports], local, flavours[node], tuple(others[node]))
            equal[one].append(node)
        return tuple(
            EqualNodes(tuple(nodes), one, most[one.flavour]) for one, nodes in equal.items()
        )

    def _flavours(self) -> dict[str, _Flavour]:
        """Say what of each node is in the text of its service ports.

        Where nodes have Pod networks of their own, every service port has them: it is rendered with
        a mark in their place.
        """
        plans = {node: self._projected[_own(frame)] for node, frame in self._frames.items()}
        differ = len({plan.local_traffic for plan in plans.values()} - {None}) > 1
        return {
            node: _Flavour(
                LOCAL_TRAFFIC if differ and plan.local_traffic else plan.local_traffic,
                self._frames[node].node_ports.localhost,
            )
            for node, plan in plans.items()
        }

    def _parts_of_most(self, flavour: _Flavour) -> list[ServicePortText]:
        """Return the parts of all service ports, each as most nodes have it."""
        return [self._part(max(some, key=_count)[1], flavour) for some in self._groups]

    def _others(
        self,
        flavours: Mapping[str, _Flavour],
        most: Mapping[_Flavour, Sequence[ServicePortText]],
    ) -> dict[str, list[tuple[int, ServicePortText]]]:
        """Find the parts that each node has otherwise than most nodes, with their places."""
        others: dict[str, list[tuple[int, ServicePortText]]] = {node: [] for node in self._nodes}
        for place, some in enumerate(self._groups):
            usual = max(some, key=_count)
            for group in some:
                if group is usual:
                    continue
                parts = {one: self._part(group[1], one) for one in most}
                for node in cast("tuple[str, ...]", group[0]):  # each is a Node's
                    part = parts[flavours[node]]
                    if part is not most[flavours[node]][place]:
                        others[node].append((place, part))
        return others

    def _part(self, port: PlannedServicePort, flavour: _Flavour) -> ServicePortText:
        key = id(port), flavour
        if key not in self._rendered:
            found = self._ports[id(port)]
            own = next(
                plan
                for own, plan in self._projected.items()
                if own.node_ports.localhost is flavour.localhost
            )
            alone = replace(
                own,
                local_traffic=flavour.local_traffic,
                probabilities=self._probabilities,
                service_ports=[found],
                chains=list(found.chains.declared()),
            )
            part = render_service_port(alone)
            self._rendered[key] = self._known.setdefault(part, part)
        return self._rendered[key]


class _Own(NamedTuple):
    """What nodes' plans differ in beside service ports."""

    node_ports: NodePorts
    local_traffic: LocalTraffic | None


def _own(frame: Plan) -> _Own:
    return _Own(frame.node_ports, frame.local_traffic)


def _count(group: tuple[tuple[NodeName, ...], PlannedServicePort]) -> int:
    return len(group[0])
