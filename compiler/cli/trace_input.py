"""What `trace` asks its question of: rules, what is known of the node, affinity lists."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from compiler.analysis.affinity_lists import (
    AffinityLists,
    Pin,
    lists_from_kernel,
    lists_from_pins,
)
from compiler.analysis.expectations import ExpectationError, Expected, read_expected
from compiler.analysis.packet_request import PacketRequest, RequestError, Resolved, Resolver
from compiler.analysis.trace import Trace, Way, trace_packet
from compiler.cli.exit_codes import Failure
from compiler.cli.options import CompileOptions
from compiler.cli.packet_options import PacketOptions
from compiler.cli.rules_input import Rules, load_sides, open_input, open_live, report_reading
from compiler.errors import InputError, Problem
from compiler.family import IPV4, IPV6, Family
from compiler.kube_rules.jumps import as_loaded, has_builtin_chains
from compiler.kube_rules.node_rules import NodeRules
from compiler.kube_rules.senders import Surroundings
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.host import Host

if TYPE_CHECKING:
    from compiler.compilation import Compilation
    from compiler.manifests.source import Source

_PIN = re.compile(r"(?P<client>[^=]+)=(?P<endpoint>.+),(?P<age>\d+(?:\.\d+)?)s?\Z")
_CLOCK = re.compile(r"(\d+):(\d+)\Z")


@dataclass(frozen=True)
class Traced:
    """One node's rules, and what is known besides; `limits` is what was not looked at, in words."""

    name: str
    rules: NodeRules
    surroundings: Surroundings
    resolver: Resolver
    lists: AffinityLists = field(default_factory=AffinityLists)
    limits: tuple[str, ...] = ()

    def resolve(self, request: PacketRequest) -> tuple[Resolved, ...]:
        """Return the packets that are asked for. Raises InputError, naming the option."""
        try:
            return self.resolver.resolve(request)
        except RequestError as error:
            raise InputError(Problem(f"--{error.field}", error.message, error.hint)) from None

    def trace(self, packet: Packet) -> Trace:
        """Follow a packet.

        Where the node's addresses are not known, and too many answers depend on them, translated
        destinations are taken for others' (`notes` says so).
        """
        host = self.surroundings.host_for(packet)
        found = trace_packet(self.rules, packet, host)
        if host.addresses is None and any(map(_depends_on_addresses, found.ways)):
            none = structs.replace(host, addresses=frozenset())
            return trace_packet(self.rules, packet, none)
        return found

    def notes(self, trace: Trace) -> Iterator[str]:
        """Say what an answer rests on that was not given."""
        yield from self._assumed(trace)
        for name, client in sorted(self.lists.pushed_out):
            if client == trace.packet.source:
                yield f"the list {name} is full: {client} was pushed out by later clients"
        for way in trace.ways:
            for name in way.outcome.lists:
                if name[1:] in self.lists.full and name[1:] not in trace.packet.lists:
                    yield (
                        f"the list {name[1:]} is full: adding this client pushes out the one seen"
                        " longest ago"
                    )

    def _assumed(self, trace: Trace) -> Iterator[str]:
        """Name what was taken as given, where it makes a difference."""
        packet, host = trace.packet, self.surroundings.host_for(trace.packet)

        def differs(packet: Packet, host: Host) -> bool:
            return _treatments(trace_packet(self.rules, packet, host)) != _treatments(trace)

        own = (packet.source,) if not packet.local else ()
        if host.addresses is None and differs(packet, structs.replace(host, elsewhere=own)):
            yield (
                "the node's addresses are not known: endpoints in the pods' CIDR are taken not to"
                " be among them (--node-address)"
            )
        if host.addresses is None and any(
            map(_depends_on_addresses, trace_packet(self.rules, packet, host).ways)
        ):
            yield (
                "the node's addresses are not known: no endpoint is taken for one of them"
                " (--node-address)"
            )
            host = structs.replace(host, addresses=frozenset())
        named = [name.replace("+", "0") for name in self.surroundings.named_interfaces]
        listed = ", ".join(named[:4]) + (f" and {len(named) - 4} more" if named[4:] else "")
        words = f"by an interface that no rule names; by one of {listed} that may differ"
        unnamed = packet.interface == self.surroundings.unnamed_interface
        # one question about all interfaces first: rules may be many, and the answer is mostly no
        if (
            unnamed
            and differs(structs.replace(packet, interface=None), host)
            and any(differs(structs.replace(packet, interface=name), host) for name in named)
        ):
            yield f"comes in {words} (--in-interface)"
        leaving = (tuple((route, name) for route, _ in host.routes) for name in named)
        if differs(packet, structs.replace(host, routes=())) and any(
            differs(packet, structs.replace(host, routes=routes)) for routes in leaving
        ):
            yield f"leaves {words}"


def _depends_on_addresses(way: Way) -> bool:
    return "is an address of the node" in way.undecided_by


def _treatments(trace: Trace) -> list[object]:
    return [
        [(way.outcome_name, way.share, way.source) for way in case.ways] for case in trace.cases
    ]


def read_traced(
    inputs: Sequence[str],
    packet: PacketOptions,
    options: CompileOptions,
    *,
    live: bool,
    verbose: bool,
) -> Traced:
    """Read rules or manifests. Raises InputError, and Failure where the kernel can't be read."""
    if options.ip_family is None and (family := _family_of(packet)) is not None:
        options = replace(options, ip_family=family)
    side = open_live() if live else open_input(inputs)
    (loaded,) = load_sides((side,), options)
    report_reading(loaded, verbose=verbose)
    addresses, pod_cidr = node_facts(loaded.compilation, options)
    if live and not addresses:
        from compiler.cli.live import own_addresses

        addresses = own_addresses()
    rules = NodeRules(as_loaded(loaded.ruleset))
    surroundings = Surroundings(rules, addresses, pod_cidr=pod_cidr)
    lists = _lists(packet, rules, live=live)
    texts = loaded.compilation.manifests.texts if loaded.compilation else ()
    names = partial(address_of_pod, texts or side.manifests, rules.ruleset.family)
    resolver = Resolver(surroundings, names if side.manifests else None, lists.stamps)
    return Traced(loaded.name, rules, surroundings, resolver, lists, tuple(_limits(loaded)))


def _family_of(packet: PacketOptions) -> Family | None:
    """Return the IP family of the addresses that are given, None where there are none."""
    for text in (packet.sender, packet.to.rpartition("/")[0] or packet.to):
        for part in (text, text.rpartition(":")[0]):
            try:
                version = ipaddress.ip_address(part.strip("[]")).version
            except ValueError:
                continue
            return IPV4 if version == 4 else IPV6
    return None


def node_facts(
    compilation: Compilation | None, options: CompileOptions
) -> tuple[tuple[str, ...], str]:
    """Return the node's addresses and the CIDR of its Pods, as far as manifests have them."""
    if compilation is None:
        return options.node_addresses, ""
    from compiler.proxy.node import choose_node, local_node, node_name

    manifests, config = compilation.manifests, compilation.config
    name = choose_node(manifests.nodes, options.node, config)
    found = next((node for node in manifests.nodes if node_name(node) == name), None)
    family = compilation.plan.family
    node = local_node(name, found, config, family, options.node_addresses)
    return node.outer_addresses, node.pod_cidr or ""


def address_of_pod(manifests: Sequence[str | Source], family: Family, name: str) -> str | None:
    """Return the address of the Pod or endpoint with a name, None where there is none.

    Raises RequestError where there are several.
    """
    from compiler.control_plane.pod_names import pod_addresses
    from compiler.manifests.source import Source, read_sources

    given = [one for one in manifests if isinstance(one, Source)]
    paths = [one for one in manifests if not isinstance(one, Source)]
    sources = given + read_sources(paths, lambda: b"")
    found = pod_addresses(sources, name, family)
    if len(found) > 1:
        message = f'several Pods or endpoints are called "{name}"'
        raise RequestError("from", message, f"give one of {', '.join(found)}")
    return found[0] if found else None


def _lists(packet: PacketOptions, rules: NodeRules, *, live: bool) -> AffinityLists:
    folders = [one for one in packet.recent if Path(one).is_dir()]
    if live and not packet.recent:
        return _live_lists()
    if folders:
        if len(packet.recent) > 1:
            raise InputError(Problem("--recent", "one folder, or pins", "leave the others out"))
        return _copied(folders[0], packet.clock)
    if packet.clock:
        raise InputError(Problem("--clock", "is for a folder of lists", "add --recent FOLDER"))
    pins, problems = [], []
    for text in packet.recent:
        try:
            pins.append(_pin(text))
        except ValueError as error:
            message, _, hint = str(error).partition("; ")
            problems.append(Problem("--recent", message, hint))
    if problems:
        raise InputError(problems)
    try:
        return lists_from_pins(rules, pins)
    except LookupError as error:
        message = f"no affinity list for the endpoint {error.args[0]}"
        hint = "give an endpoint of a Service with sessionAffinity: ClientIP"
        raise InputError(Problem("--recent", message, hint)) from None


def _pin(text: str) -> Pin:
    found = _PIN.match(text)
    if not found:
        raise ValueError(f'"{text}" is no folder and no pin; use CLIENT=ENDPOINT,SECONDS-AGO')
    try:
        client = str(ipaddress.ip_address(found["client"].strip("[]")))
    except ValueError:
        raise ValueError(f'"{found["client"]}" is not an IP address; give the client\'s') from None
    return Pin(client, found["endpoint"], float(found["age"]))


def _copied(folder: str, clock: str) -> AffinityLists:
    found = _CLOCK.match(clock)
    if not found or int(found[2]) == 0:
        message = "is required for a folder of lists: their stamps are in jiffies"
        hint = "use JIFFIES:HZ, of /proc/timer_list and CONFIG_HZ"
        raise InputError(Problem("--clock", message if not clock else f'"{clock}"', hint))
    texts = {}
    try:
        for path in sorted(Path(folder).iterdir()):
            if path.is_file():
                texts[path.name] = path.read_text(errors="replace")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InputError(Problem(folder, f"can't be read: {reason}")) from None
    if not any("last_seen: " in text for text in texts.values()):
        hint = "copy the files of /proc/net/xt_recent into it"
        raise InputError(Problem(folder, "has no affinity lists with clients", hint))
    return lists_from_kernel(texts, int(found[1]), int(found[2]))


def _live_lists() -> AffinityLists:
    from compiler.lab.affinity import LISTS, list_limit, read_clock
    from compiler.lab.errors import LabError

    try:
        texts = {path.name: path.read_text() for path in LISTS.iterdir()}
    except OSError:
        return AffinityLists()
    if not any("last_seen: " in text for text in texts.values()):
        return AffinityLists()
    try:
        clock = read_clock()
    except LabError as error:
        raise Failure(str(LISTS), str(error)) from None
    return lists_from_kernel(texts, clock.jiffies, clock.rate, list_limit() or 100)


def _limits(loaded: Rules) -> Iterator[str]:
    """Say what of the node is not in the rules that were read."""
    ruleset = loaded.ruleset
    if ruleset.nft_tables:
        listed = ", ".join(ruleset.nft_tables)
        yield f"not looked at: nft tables {listed}, which iptables does not show"
    yield from (f"not looked at: {words}" for words in loaded.not_compared)
    if loaded.compilation is None and not any(
        has_builtin_chains(ruleset, table) for table in ruleset.tables
    ):
        yield "not looked at: the node's other rules, which this text does not have"


def expectations(texts: Sequence[str]) -> tuple[Expected, ...]:
    """Read `--expect`. Raises InputError with all that can't be read."""
    found, problems = [], []
    for text in texts:
        try:
            found.append(read_expected(text))
        except ExpectationError as error:
            problems.append(Problem("--expect", error.message, error.hint))
    if problems:
        raise InputError(problems)
    return tuple(found)
