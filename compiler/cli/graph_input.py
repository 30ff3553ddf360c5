"""From the arguments of `graph` to graphs: one node's rules, its service ports, a sender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from compiler.analysis.graph.draw import draw
from compiler.analysis.graph.model import Graph
from compiler.analysis.node_view import Column, NodeView
from compiler.analysis.packet_request import RequestError, Resolver
from compiler.cli.messages import report_notes, warning_lines
from compiler.cli.options import STDIN, CompileOptions
from compiler.cli.output import report
from compiler.cli.rules_input import (
    RulesInput,
    choose_family,
    load_sides,
    open_input,
    report_reading,
)
from compiler.cli.trace_input import address_of_pod
from compiler.errors import InputError, Problem
from compiler.kube_rules.destinations import NoSuchServiceError, ServicePorts, find_service_port
from compiler.kube_rules.senders import SENDER_KINDS, Sender
from compiler.kube_rules.service_port import Key
from compiler.manifests.schema import EndpointSlice

# Without a Service, more service ports than this are a wall of pictures.
MOST = 20
# Pods' names are not looked for in larger files: reading all of their objects takes seconds.
_NAMES_WITHIN = 8 * 1024 * 1024
_FILE_ENDINGS = (".yaml", ".yml", ".json", ".save", ".rules")


@dataclass(frozen=True)
class Pictured:
    """One node's rules, the service ports that are wanted, and where names come from."""

    view: NodeView
    keys: tuple[Key, ...]
    side: RulesInput
    nodes: Mapping[Key, Mapping[str, str]]
    limits: tuple[str, ...] = ()

    def graphs(self, wanted: str) -> list[Graph]:
        """Draw every service port, all of it or the way of one sender. Raises InputError."""
        sender = self._sender(wanted)
        made = [
            draw(self.view, key, self._names(key), wanted=wanted, sender=sender)
            for key in self.keys
        ]
        return [replace(one, notes=(*one.notes, *self.limits)) for one in made]

    def _sender(self, wanted: str) -> Sender | None:
        """Return the sender that has an address or a name, None for a kind of sender."""
        if not wanted:
            return None
        for kind in SENDER_KINDS:
            if kind == wanted:
                found = self.view.senders[kind]
                if isinstance(found, str):
                    hint = "add --node-address" if kind == "node" else "give an address"
                    raise InputError(Problem("--from", found, hint))
                return None
        family = self.view.family
        names = (
            partial(address_of_pod, self.side.manifests, family) if self.side.manifests else None
        )
        try:
            return Resolver(self.view.around, names).named_sender(wanted)
        except RequestError as error:
            raise InputError(Problem("--from", error.message, error.hint)) from None

    def _names(self, key: Key) -> Mapping[str, str]:
        """Return the Pod and node of each endpoint (`web-1 on worker-1`), as far as known."""
        from compiler.analysis.names import words_of_endpoints

        pods = self._pods(key.name.partition(":")[0])
        return words_of_endpoints(pods, self.nodes.get(key, {}))

    def _pods(self, service: str) -> Mapping[str, str]:
        from compiler.control_plane.pod_names import pods_of_service
        from compiler.manifests.source import Source, read_sources

        given = [one for one in self.side.manifests if isinstance(one, Source)]
        paths = [one for one in self.side.manifests if not isinstance(one, Source)]
        sources = given + read_sources(paths, lambda: b"")
        small = [one for one in sources if len(one.text) <= _NAMES_WITHIN]
        if len(small) < len(sources):
            mebibytes = _NAMES_WITHIN // 1024 // 1024
            report(f"names of Pods are not read from files of more than {mebibytes} MiB")
        return pods_of_service(small, service)


def split_arguments(arguments: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Tell the paths from the Service behind them, which may be missing.

    The last of several arguments is a Service where no file has its name.
    """
    last = arguments[-1]
    is_path = last == STDIN or last.endswith(_FILE_ENDINGS) or Path(last).exists()
    if len(arguments) < 2 or is_path:
        return tuple(arguments), ""
    return tuple(arguments[:-1]), last


def read_pictured(paths: Sequence[str], service: str, options: CompileOptions) -> Pictured:
    """Read manifests or rules. Raises InputError."""
    side = open_input(paths)
    if side.manifests:
        return _of_manifests(side, service, options)
    (loaded,) = load_sides((side,), options)
    report_reading(loaded, verbose=False)
    name = Path(loaded.name).name if loaded.name != "<stdin>" else loaded.name
    view = NodeView(Column(name, loaded.ruleset, options.node_addresses))
    if not view.rules.keys:
        hint = "are they of a node with kube-proxy?"
        raise InputError(Problem(loaded.name, "no service ports in these rules", hint))
    keys = chosen(view.rules, service, loaded.name)
    limits = tuple(f"not looked at: {words}" for words in loaded.not_compared)
    return Pictured(view, keys, side, {}, limits)


def _of_manifests(side: RulesInput, service: str, options: CompileOptions) -> Pictured:
    from compiler.proxy.service_port import count_service_ports

    family = choose_family((side,), options)
    cluster = replace(options, ip_family=options.ip_family or family).read(side.manifests)
    read = cluster.inputs.manifests
    try:
        keys = chosen(cluster, service, side.name)
    except InputError as error:
        raise InputError(error.problems, read.warnings) from error
    report_notes(read.notes, read.assumed, verbose=False)
    some = cluster.only(keys)
    node = some.node(options.node)
    for line in warning_lines(node.compilation.warnings):
        report(line)
    others = count_service_ports(read.services, cluster.inputs.family.other)
    if others and options.ip_family is None:
        other = cluster.inputs.family.other
        words = f"{side.name}: {others} {other.api_name} service port{'s'[: others > 1]}"
        report(f"{words} left out; --ip-family {other.value} reads them")
    column = Column(node.name or "any node", node.ruleset, node.addresses, node.pod_cidr)
    slices = some.inputs.manifests.endpoint_slices
    # with what the control plane added, where that was wanted
    named = replace(side, manifests=read.texts or side.manifests)
    return Pictured(NodeView(column), keys, named, nodes_by_key(keys, slices))


def nodes_by_key(keys: Sequence[Key], slices: Sequence[EndpointSlice]) -> dict[Key, dict[str, str]]:
    """Return the node of each endpoint by its address, by service port."""
    from compiler.analysis.names import nodes_of_endpoints, slices_of

    by_service = slices_of(slices)
    return {key: nodes_of_endpoints(by_service.get(key.name.partition(":")[0], ())) for key in keys}


def chosen(ports: ServicePorts, service: str, name: str) -> tuple[Key, ...]:
    """Return the service ports that are wanted. Raises InputError where there is none."""
    if service:
        try:
            return find_service_port(ports, service)
        except NoSuchServiceError as error:
            raise InputError(Problem(name, str(error), error.hint)) from error
    if not ports.keys:
        raise InputError(Problem(name, "no service ports", "give manifests with a Service"))
    if len(ports.keys) > MOST:
        first = ports.keys[0].name
        message = f"{len(ports.keys):,} service ports are too many for pictures without a SERVICE"
        raise InputError(Problem(name, message, f"name one, such as {first}"))
    return ports.keys
