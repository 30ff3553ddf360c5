"""Every question about rules as a function of values; `compiler.api` offers them to callers.

A side of a question is what was compiled (`Compilation`), what was parsed (`Ruleset`), or a file of
rules in any form that iptables prints or takes: restore text, `iptables-save`, `iptables -S`.
Nothing is printed, written or kept.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from compiler.kube_rules.chains import table_hint
from compiler.kube_rules.jumps import as_loaded, with_jumps
from compiler.manifests.source import Source, read_source, read_sources
from compiler.netfilter.evaluate import Packet
from compiler.netfilter.evaluate import evaluate as evaluate_rules
from compiler.netfilter.host import Host
from compiler.netfilter.index import index_rules
from compiler.netfilter.outcome import Outcome
from compiler.netfilter.parse import decode, parse_rules
from compiler.netfilter.ruleset import Ruleset

if TYPE_CHECKING:
    from compiler.analysis.delta import Delta
    from compiler.analysis.diff import RulesDiff
    from compiler.analysis.findings import Finding
    from compiler.analysis.graph.model import Graph
    from compiler.analysis.lint.run import LintReport
    from compiler.analysis.matrix import Matrix
    from compiler.analysis.matrix_diff import MatrixDiff
    from compiler.analysis.node_view import Column
    from compiler.analysis.packet_request import PacketRequest
    from compiler.analysis.sticky.load import Load
    from compiler.analysis.sticky.play import Settings
    from compiler.analysis.sticky.run import StickyAnswer
    from compiler.analysis.trace import Trace
    from compiler.analysis.who import Answer, Known
    from compiler.compilation import Compilation
    from compiler.lint_input import LintOptions
    from compiler.manifests.reader import Manifests
    from compiler.snapshots.directory import SnapshotsReport
    from compiler.snapshots.review import Review

    Rules = Ruleset | Compilation | Source | str | os.PathLike[str]


def read_rules(rules: Rules, *, like: Ruleset | None = None) -> Ruleset:
    """Return rules as values: compiled, parsed already, in memory (`Source`), or a file's path.

    `like` is a ruleset that most of these rules are expected to equal; where they do, its reading
    of them is taken. Raises `InputError` with line and column of each problem.
    """
    if isinstance(rules, Ruleset):
        return rules
    if isinstance(rules, Source | str | os.PathLike):
        source = rules if isinstance(rules, Source) else read_source(rules)
        return parse_rules(decode(source.text), source.name, like=like, table_hint=table_hint)
    return index_rules(rules.chunks(), rules.plan.family)


def diff(old: Rules, new: Rules, *, host: Host | None = None) -> RulesDiff:
    """Say what changes for traffic from one ruleset to another of the same IP family.

    `host` is what is known of the node (its addresses, its routes); what is not known is compared
    for both answers. `RulesDiff.same` is true only where no packet is treated differently;
    `may_differ` and `not_compared` say what that does not cover. Raises `InputError`.
    """
    from compiler.analysis.diff import diff_rules

    before = read_rules(old)
    return diff_rules(before, read_rules(new, like=before), host)


def verify(
    expected: Rules, found: Rules, *, other_backend: Rules | None = None
) -> tuple[Finding, ...]:
    """Say how a node's rules (`found`) differ from those that it should have; empty where not.

    `other_backend` is what the other of iptables-legacy and iptables-nft holds on that node.
    Findings whose severity is `information` are no faults. Raises `InputError`.
    """
    from compiler.analysis.verify import verify_rules

    wanted = read_rules(expected)
    other = None if other_backend is None else read_rules(other_backend)
    return verify_rules(wanted, read_rules(found, like=wanted), other)


def delta(old: Rules, new: Rules, *, like_kube_proxy: bool = False) -> Delta:
    """Return the smallest text for `iptables-restore --noflush` that turns `old` into `new`.

    With `like_kube_proxy` it repeats what kube-proxy's own partial sync repeats. Raises
    `InputError`.
    """
    from compiler.analysis.delta import delta_rules

    wanted = read_rules(new)
    present = read_rules(old, like=wanted)
    return delta_rules(present, wanted, like_kube_proxy=like_kube_proxy)


def read_columns(  # all but the first by name
    manifests: Sequence[str | os.PathLike[str] | Source] | os.PathLike[str],
    *,
    nodes: Sequence[str] = (),
    config: str | os.PathLike[str] | Source | None = None,
    flags: Mapping[str, object] | None = None,
    kube_version: str | None = None,
    ip_family: str | None = None,
) -> tuple[Column, ...]:
    """Compile manifests for several nodes, for `matrix`: `nodes`, or all that have a Node.

    The other arguments are `compile_rules`' own. Raises `InputError`.
    """
    from compiler.analysis.node_view import Column
    from compiler.cluster import Cluster
    from compiler.compilation import read_inputs

    inputs = read_inputs(
        manifests, config=config, flags=flags, kube_version=kube_version, ip_family=ip_family
    )
    cluster = Cluster(inputs)
    found = [cluster.node(name) for name in cluster.choose_nodes(nodes)]
    return tuple(Column(one.name, one.ruleset, one.addresses, one.pod_cidr) for one in found)


def matrix(columns: Sequence[Column], services: Sequence[str] = ()) -> Matrix:
    """Say where every entry point of the Services leads, by sender and node.

    `columns` are nodes' rules (`read_columns`, or `Column` of a ruleset that was read), `services`
    the wanted ones (`namespace/name`, `namespace/name:port`), all by default. Raises
    NoSuchServiceError for a name that is none.
    """
    from compiler.analysis.matrix import make_matrix, named_keys

    return make_matrix(columns, named_keys(columns, services))


def matrix_diff(
    old: Sequence[Column], new: Sequence[Column], services: Sequence[str] = ()
) -> MatrixDiff:
    """Say which cells of the matrix change; only a packet for each cell is compared.

    Nodes are matched by name. Raises NoSuchServiceError.
    """
    from compiler.analysis.matrix import named_keys
    from compiler.analysis.matrix_diff import compare_matrices

    return compare_matrices(old, new, named_keys([*old, *new], services))


def graph(
    column: Column,
    services: Sequence[str] = (),
    *,
    sender: str = "",
    names: Mapping[str, str] | None = None,
) -> tuple[Graph, ...]:
    """Draw where the traffic of Services goes on a node: a graph for each of their service ports.

    `services` are those of `matrix`, `column` is one of `read_columns` or of a ruleset that was
    read. `sender` is `pod`, `node`, `outside`, `localhost` or an address, whose way alone is drawn.
    `names` are what is known of endpoints, by address. Raises NoSuchServiceError, and
    `RequestError` for a sender that is none.
    """
    from compiler.analysis.graph.draw import draw
    from compiler.analysis.node_view import NodeView
    from compiler.analysis.packet_request import Resolver
    from compiler.kube_rules.destinations import find_service_port
    from compiler.kube_rules.senders import SENDER_KINDS

    view = NodeView(column)
    named = (key for name in services for key in find_service_port(view.rules, name))
    keys = tuple(dict.fromkeys(named)) if services else view.rules.keys
    kind = not sender or sender in SENDER_KINDS
    chosen = None if kind else Resolver(view.around).named_sender(sender)
    return tuple(draw(view, key, names, wanted=sender, sender=chosen) for key in keys)


def evaluate(rules: Rules, packet: Packet, *, host: Host | None = None) -> tuple[Outcome, ...]:
    """Say what becomes of the first packet of a connection; the shares add up to exactly 1.

    Rules without built-in chains, as kube-proxy writes them, get them with kube-proxy's jumps.
    `host` is what is known of the node. Where a match that rules can't answer decides, an outcome
    is `undecided` and names it. Raises `InputError`, and ValueError for a packet of addresses that
    are none.
    """
    return evaluate_rules(with_jumps(read_rules(rules)), packet, host)


def trace(
    rules: Rules, request: PacketRequest, *, node_addresses: Sequence[str] = ()
) -> tuple[Trace, ...]:
    """Say where a packet goes and why: one answer for each service port that the request means.

    `node_addresses` are the node's own, as far as they are known; what depends on others is
    answered for both cases. Endpoints in the pods' CIDR are taken not to be among them. Rules
    without built-in chains get them, with kube-proxy's jumps and the policy ACCEPT. Raises
    `InputError`, and `RequestError` for a request that these rules can't answer.
    """
    from compiler.analysis.packet_request import Resolver
    from compiler.analysis.trace import trace_packet
    from compiler.kube_rules.node_rules import NodeRules
    from compiler.kube_rules.senders import Surroundings

    node = NodeRules(as_loaded(read_rules(rules)))
    surroundings = Surroundings(node, node_addresses)
    return tuple(
        trace_packet(node, resolved.packet, surroundings.host_for(resolved.packet))
        for resolved in Resolver(surroundings).resolve(request)
    )


def who(
    asked: str,
    *,
    manifests: Sequence[str | os.PathLike[str] | Source] = (),
    rules: str | os.PathLike[str] | Source | None = None,
    node: str | None = None,
) -> Answer:
    """Say what a chain, hash, rule, address, port or Service means, and which fields it is due to.

    It is looked up in `manifests`, where the names of chains are computed, or else in a file of
    `rules`; with neither a rule is explained by its own words. `node` is the node whose rules are
    meant. `Answer.found` is false where any of it was found nowhere. Raises `InputError`.
    """
    from compiler.analysis.asked import read_asked
    from compiler.analysis.who import Known, answer
    from compiler.compilation import compile_rules

    question = read_asked(asked)
    known = Known()
    if manifests:
        given = [item for item in manifests if isinstance(item, Source)]
        paths = [item for item in manifests if not isinstance(item, Source)]
        sources = [*given, *read_sources(paths, bytes)]
        compilation = compile_rules(sources, node=node)
        known = known_from_manifests(sources, compilation.manifests, compilation, node=node)
    elif rules is not None:
        source = rules if isinstance(rules, Source) else read_source(rules)
        known = known_from_rules(decode(source.text), source.name, lambda: read_rules(source))
    return answer(question, known)


def known_from_manifests(
    sources: Sequence[Source],
    objects: Manifests,
    compilation: Compilation | None,
    *,
    node: str | None = None,
) -> Known:
    """Gather what questions of `who` are answered from: manifests, compiled if that is possible.

    `objects` were read from `sources`. Without a compilation it is not known which chains a node
    has.
    """
    from compiler.analysis.causes import Causes
    from compiler.analysis.names import names_of, slices_of
    from compiler.analysis.on_node import OnNode, searched
    from compiler.analysis.who import Known
    from compiler.manifests.origins import Origins
    from compiler.proxy.node import choose_node

    files = ", ".join(source.name for source in sources[:3]) + ", ..." * (len(sources) > 3)
    config = compilation.config if compilation else None
    known = Known(
        names_of(objects),
        Causes(Origins(objects, sources), config, slices_of(objects.endpoint_slices)),
        searched=searched(objects.services, objects.endpoint_slices, files),
    )
    if compilation is not None:
        name = choose_node(objects.nodes, node, compilation.config)
        known.on_node = OnNode(compilation.iptables, name)
        known.rules = lambda: with_jumps(read_rules(compilation))
        known.rules_name = f"the rules of {known.on_node.name}"
    return known


def snapshots(
    folder: str | os.PathLike[str] = ".",
    names: Sequence[str] = (),
    *,
    allow_commands: bool = False,
    workers: int = 1,
) -> SnapshotsReport:
    """Compile the snapshots of the nearest `proxyrules.yaml` and compare them with their files.

    `folder` is where the file is looked for, upwards. `names` are the snapshots that are wanted,
    all without any. Their commands are only run with `allow_commands`. With more than one of
    `workers` this process may be forked. `SnapshotsReport.current` says whether the files are what
    they should be, and each of its `files` has the text. Raises `InputError`.
    """
    from compiler.snapshots.directory import report_on

    return report_on(Path(folder), names, allow_commands=allow_commands, workers=workers)


def review(
    base: str,
    head: str | None = None,
    *,
    folder: str | os.PathLike[str] = ".",
    allow_commands: bool = False,
    workers: int = 1,
    lint: bool = False,
) -> Review:
    """Say what changes for traffic between two states of a git repository, for all its snapshots.

    `base` is a revision: its merge base with `head` is compared with `head`, by default with the
    work tree. With `lint` both sides are looked at with all its rules; `Review.findings` are the
    warnings and errors that are new. The other arguments are those of `snapshots`. `Review.same` is
    true only where no packet is treated differently and everything was compared. Raises
    `InputError`, and `GitError` where git is not installed or fails.
    """
    from compiler.analysis.lint.selection import selected
    from compiler.snapshots.review import review as review_repository

    rules = selected((), ()) if lint else ()
    return review_repository(
        Path(folder), base, head, allow_commands=allow_commands, workers=workers, rules=rules
    )


def known_from_rules(text: str, name: str, parsed: Callable[[], Ruleset]) -> Known:
    """Gather what questions of `who` are answered from: the names that rules show."""
    from compiler.analysis.rule_names import names_in
    from compiler.analysis.who import Known

    return Known(names_in(text), searched=name, rules=parsed, rules_name=f"the rules of {name}")


def sticky(
    manifests: Sequence[str | os.PathLike[str] | Source],
    load: Load,
    *,
    seconds: float,
    events: Sequence[str] = (),
    service: str = "",
    via: str = "cluster-ip",
    nodes: Sequence[str] = (),
    settings: Settings | None = None,
    **options: object,
) -> StickyAnswer:
    """Play what session affinity does with the connections of a load while a cluster changes.

    `events` are like `10m=rollout:web` (`compiler.analysis.sticky.events.KINDS`), `service` names
    the Service port where there are several, `via` is `cluster-ip`, `node-port`, `external-ip` or
    `load-balancer`, `nodes` are those that clients come in by. `settings` has the seed and the
    length of lists; its seconds are replaced. `options` are those of `compile_rules`. Raises
    `InputError`, and `StickyError` for what can't be played.
    """
    from compiler.analysis.sticky.events import read_event
    from compiler.analysis.sticky.play import Settings
    from compiler.analysis.sticky.run import Question, answer
    from compiler.analysis.sticky.timeline import Pace, Timeline
    from compiler.changing_cluster import ChangingCluster

    cluster = ChangingCluster(options, tuple(nodes))
    world = cluster.read(manifests)
    read = [read_event(text, lambda path: Path(path).exists()) for text in events]
    named = cluster.service(world, service)
    timeline = Timeline(world, named, Pace(), lambda path: cluster.read([path]))
    steps, at = tuple(timeline.run(read, seconds)), tuple(nodes)
    chosen = replace(settings or Settings(seconds), seconds=seconds)
    return answer(Question(steps, cluster.states, load, chosen, service=service, via=via, nodes=at))


def lint(
    manifests: Sequence[str | os.PathLike[str] | Source] | str | os.PathLike[str],
    rules: Sequence[str | os.PathLike[str] | Source] = (),
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
    **options: Unpack[LintOptions],
) -> LintReport:
    """Find what is legal in manifests and rules, and will surprise in production.

    `rules` are dumps of nodes. `select` and `ignore` are ids of rules or beginnings of ids
    (`PR1`); the longest that fits a rule decides, and all rules are selected where none is.
    `options` are those of `compile_rules` and some more: `from_workloads`, `nodes` and `cluster`
    are those of `complete_manifests`, `clients` is how many clients reach a Service by one node,
    `upgrade_to` the release that rules about versions compare with. Every
    node is looked at unless `node` names one, and both families unless `ip_family` does. Raises
    `InputError`.
    """
    from compiler.analysis.lint.dump import text_dumps
    from compiler.analysis.lint.run import run_rules
    from compiler.analysis.lint.selection import selected
    from compiler.lint_input import lint_context

    chosen = selected(select, ignore)
    sources = [one if isinstance(one, Source) else read_source(one) for one in rules]
    dumps = [dump for source in sources for dump in text_dumps(source.name, decode(source.text))]
    return run_rules(lint_context(manifests, dumps, **options), chosen)
