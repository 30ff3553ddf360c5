"""What the rules of `lint` ask about the input: everything computed once, when it is asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from compiler.analysis.lint.dump import NodeDump
from compiler.analysis.lint.rule import Field, Need
from compiler.analysis.lint.suppression import Suppressions
from compiler.analysis.lint.written_config import WrittenConfig
from compiler.errors import Problem
from compiler.family import Family
from compiler.kube_rules.jumps import with_jumps
from compiler.kube_rules.node_rules import NodeRules
from compiler.manifests.fields import Fields
from compiler.manifests.reader import Manifests
from compiler.manifests.schema import EndpointSlice, Manifest, Node, Service, ServicePort
from compiler.manifests.source import Source
from compiler.manifests.text import decode
from compiler.manifests.workloads import WORKLOAD_KINDS, Workload, read_workloads
from compiler.netfilter.index import index_rules
from compiler.netfilter.ruleset import Ruleset
from compiler.proxy.cluster_plan import ClusterPlan, NodeName
from compiler.proxy.configuration import ProxyConfig
from compiler.proxy.endpoint import EndpointInfo
from compiler.proxy.iptables_plan import project
from compiler.proxy.node import LocalNode, local_node, node_name
from compiler.proxy.plan import Plan, PlannedServicePort
from compiler.proxy.release import Release
from compiler.proxy.service_port import ServicePortInfo
from compiler.render import render_chunks


@dataclass(frozen=True)
class LintInput:
    """What `lint` was given: see `Context`, which has the same and all that follows from it."""

    sources: tuple[Source, ...]
    manifests: Manifests
    config: ProxyConfig
    has_config: bool
    config_source: Source | None
    release: Release
    families: tuple[Family, ...]
    node: str | None = None
    node_addresses: tuple[str, ...] = ()
    nfacct: bool = False
    random_fully: bool = True
    dumps: tuple[NodeDump, ...] = ()
    clients: int | None = None
    upgrade_to: Release | None = None


@dataclass(frozen=True, eq=False)
class Port:
    """A service port in one family: `info` is what its Service says, `cluster` plans it.

    `service` and `index` are the object and the place of the port in `spec.ports`.
    """

    info: ServicePortInfo
    service: Service
    index: int
    cluster: ClusterPlan

    @property
    def subject(self) -> str:
        """What messages call it, such as `Service default/web:http`."""
        return f"Service {self.info.name}"

    @property
    def spec(self) -> ServicePort:
        """The port as it was written."""
        ports = self.service.spec.ports if self.service.spec else None
        return (ports or [])[self.index]

    @cached_property
    def endpoints(self) -> list[EndpointInfo]:
        """All of its endpoints, in any state."""
        return self.cluster.endpoints(self.info)

    @cached_property
    def slices(self) -> Sequence[EndpointSlice]:
        """The slices of its Service and family that kube-proxy looks at."""
        return self.cluster.slices(self.info)

    def on(self, node: NodeName) -> PlannedServicePort:
        """Return it as a node plans it."""
        return self.cluster.on(self.info, node)

    def groups(self) -> list[tuple[tuple[NodeName, ...], PlannedServicePort]]:
        """Return its different plans, each with the nodes that have it: few, however many nodes."""
        return self.cluster.groups(self.info)

    def at(self, *path: str | int) -> Field:
        """Return a field of the port itself, such as `at("nodePort")`."""
        return Field(self.service, ("spec", "ports", self.index, *path))

    def at_service(self, *path: str | int) -> Field:
        """Return a field of the Service, such as `at_service("spec", "sessionAffinity")`."""
        return Field(self.service, path)


class Context:
    """The input of `lint` and what follows from it; rules must not change anything in it.

    `has_config` is whether kube-proxy's configuration was given, by file or flags: a rule about a
    default must not report one that the cluster may have set. `clients` is `--clients`. `finished`
    are the ids of the rules that ran; those of group PR0 run last.
    """

    def __init__(self, given: LintInput) -> None:
        self.given = given
        self.manifests = given.manifests
        self.config, self.has_config = given.config, given.has_config
        self.release, self.families = given.release, given.families
        self.dumps = given.dumps
        self.clients = given.clients
        self._clusters: dict[Family, ClusterPlan] = {}
        self._newer: dict[Family, ClusterPlan] = {}
        self._compiled: dict[tuple[Family, NodeName], Ruleset] = {}
        self._not_checked: dict[tuple[str, str], None] = {}
        self.fields = Fields(given.sources, given.manifests)
        self.suppressions = Suppressions(given.manifests.services)
        self.finished: set[str] = set()

    # The objects.

    @property
    def services(self) -> list[Service]:
        """All Services, also those that kube-proxy skips."""
        return self.manifests.services

    @property
    def slices(self) -> list[EndpointSlice]:
        """All EndpointSlices, also those that kube-proxy does not look at."""
        return self.manifests.endpoint_slices

    @property
    def nodes(self) -> list[Node]:
        """The Node objects."""
        return self.manifests.nodes

    @cached_property
    def workloads(self) -> list[Workload]:
        """The Pods, Deployments and other workloads; empty where none were given."""
        skipped = {kind.removesuffix("List") for kind in self.manifests.skipped_kinds}
        # those that the control plane's part was made from are not counted as skipped
        if WORKLOAD_KINDS & skipped or self.manifests.texts:
            return read_workloads(self.given.sources)
        return []

    @property
    def pods(self) -> list[Workload]:
        """The Pods among the workloads."""
        return [one for one in self.workloads if one.kind == "Pod"]

    def plain(self, one: Manifest) -> Mapping[str, object]:
        """Return an object with every field that was written, such as a Service's selector.

        This looks at the text again: ask for the few objects in question, not for all.
        """
        return self.fields.plain(one)

    # The plan.

    def cluster(self, family: Family) -> ClusterPlan:
        """Return the service ports of a family as each node plans them."""
        if family not in self._clusters:
            given = self.given
            self._clusters[family] = ClusterPlan(
                given.manifests,
                given.config,
                family,
                given.release,
                node=given.node,
                node_addresses=given.node_addresses,
            )
        return self._clusters[family]

    @cached_property
    def ports(self) -> list[Port]:
        """All service ports that kube-proxy serves, of every family that is looked at."""
        return [port for family in self.families for port in self._ports_of(family)]

    def _ports_of(self, family: Family) -> Iterator[Port]:
        cluster = self.cluster(family)
        for info in cluster.infos:
            service = self._services[info.namespace, info.service]
            index = next(
                place
                for place, port in enumerate((service.spec and service.spec.ports) or ())
                if (port.name or "") == info.port_name and (port.protocol or "TCP") == info.protocol
            )
            yield Port(info, service, index, cluster)

    @cached_property
    def _services(self) -> Mapping[tuple[str, str], Service]:
        return {
            (one.metadata.namespace or "default", one.metadata.name or ""): one
            for one in self.services
            if one.metadata
        }

    @cached_property
    def ports_by_service(self) -> Mapping[int, list[Port]]:
        """The service ports by the identity of their Service: `ports_by_service[id(service)]`."""
        found: defaultdict[int, list[Port]] = defaultdict(list)
        for port in self.ports:
            found[id(port.service)].append(port)
        return found

    def local_node(self, family: Family, node: NodeName) -> LocalNode:
        """Return what a family's rules know of a node."""
        found = self._nodes.get(node or "")
        return local_node(node, found, self.config, family, self.given.node_addresses)

    @cached_property
    def _nodes(self) -> Mapping[str, Node]:
        return {node_name(one): one for one in reversed(self.nodes)}

    def plan(self, family: Family, node: NodeName) -> Plan:
        """Return a node's whole plan; ask for single service ports where that is enough."""
        return self.cluster(family).plan(node)

    # The plan of another release.

    @property
    def newer(self) -> Release | None:
        """The release to compare with, if one was given."""
        return self.given.upgrade_to

    def newer_cluster(self, family: Family) -> ClusterPlan:
        """Return the service ports of a family as `newer` plans them: ask only where it is set."""
        if family not in self._newer:
            given = self.given
            self._newer[family] = ClusterPlan(
                given.manifests,
                given.config,
                family,
                given.upgrade_to or given.release,
                node=given.node,
                node_addresses=given.node_addresses,
            )
        return self._newer[family]

    # The rules.

    def compiled(self, family: Family, node: NodeName) -> Ruleset:
        """Return a node's rules, with the jumps from built-in chains: to evaluate packets."""
        if (family, node) not in self._compiled:
            self._compiled[family, node] = self.rules(self.plan(family, node))
        return self._compiled[family, node]

    def node_rules(self, family: Family, node: NodeName) -> NodeRules:
        """Return what a node's compiled rules mean."""
        return NodeRules(self.compiled(family, node))

    def rules_of(self, ports: Sequence[Port], node: NodeName) -> Ruleset:
        """Return the rules that a node would have for some service ports of one family alone.

        For the evaluation of packets to them, where the cluster is large. Other service ports that
        take the same traffic are not seen.
        """
        cluster = ports[0].cluster
        return self.rules(cluster.plan(node, [port.info for port in ports]))

    def rules(self, plan: Plan) -> Ruleset:
        """Return the rules of a plan, with the jumps from built-in chains."""
        given = self.given
        projected = project(plan, nfacct=given.nfacct, random_fully=given.random_fully)
        return with_jumps(index_rules(render_chunks(projected), plan.family))

    # The configuration as it was written.

    @cached_property
    def written_config(self) -> WrittenConfig:
        """Return what the file of the configuration has, whatever flags override of it."""
        return WrittenConfig(self.given.config_source)

    # Places, and what is not known.

    def config_line(self, file: str, number: int) -> str:
        """Return a line of the configuration's file; empty for other files."""
        source = self.given.config_source
        if source is None or source.name != file:
            return ""
        lines = decode(source.text).split("\n")
        return lines[number - 1] if 0 < number <= len(lines) else ""

    def at(self, one: Manifest | Workload, *path: str | int) -> Field:
        """Return a field of an object: `at(service, "spec", "type")`."""
        return Field(one, path)

    def has(self, need: Need) -> bool:
        """Whether a kind of input was given."""
        return {
            "services": bool(self.services or self.slices),
            "workloads": bool(self.workloads),
            "config": self.has_config,
            "dumps": bool(self.dumps),
            "clients": self.clients is not None,
            "upgrade": self.newer is not None,
        }[need]

    def not_checked(self, rule: str, reason: str) -> None:
        """Note what a rule (its id) could not look at, for the user to know."""
        self._not_checked[rule, reason] = None

    def is_checked(self, rule: str) -> bool:
        """Whether a rule (its id) has finished, and could look at everything."""
        return rule in self.finished and all(rule != one for one, _ in self._not_checked)

    @property
    def unchecked(self) -> tuple[tuple[str, str], ...]:
        """What was noted by `not_checked`: the id of the rule and the reason."""
        return tuple(self._not_checked)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """What a compile would warn of: the configuration, feature gates, the manifests."""
        gates = self.cluster(self.families[0]).warnings
        return (*self.config.warnings, *gates, *self.manifests.warnings)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What plans of nodes could not decide."""
        found = (one for cluster in self._clusters.values() for one in cluster.problems)
        return tuple(dict.fromkeys(found))
