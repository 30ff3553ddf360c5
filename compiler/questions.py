"""Every question about rules as a function of values; `compiler.api` offers them to callers.

A side of a question is what was compiled (`Compilation`), what was parsed (`Ruleset`), or a file of
rules in any form that iptables prints or takes: restore text, `iptables-save`, `iptables -S`.
Nothing is printed, written or kept.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from compiler.kube_rules.chains import table_hint
from compiler.kube_rules.jumps import with_jumps
from compiler.manifests.source import Source, read_source
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
    from compiler.analysis.sticky.load import Load
    from compiler.analysis.sticky.play import Settings
    from compiler.analysis.sticky.run import Answer
    from compiler.compilation import Compilation

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


def evaluate(rules: Rules, packet: Packet, *, host: Host | None = None) -> tuple[Outcome, ...]:
    """Say what becomes of the first packet of a connection; the shares add up to exactly 1.

    Rules without built-in chains, as kube-proxy writes them, get them with kube-proxy's jumps.
    `host` is what is known of the node. Where a match that rules can't answer decides, an outcome
    is `undecided` and names it. Raises `InputError`, and ValueError for a packet of addresses that
    are none.
    """
    return evaluate_rules(with_jumps(read_rules(rules)), packet, host)


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
) -> Answer:
    """Play what session affinity does with the connections of a load while a cluster changes.

    `events` are like `10m=rollout:web` (`compiler.analysis.sticky.events.KINDS`), `service` names
    the Service port where there are several, `via` is `cluster-ip`, `node-port`, `external-ip` or
    `load-balancer`, `nodes` are those that clients come in by. `settings` has the seed and the
    length of lists; its seconds are replaced. `options` are those of `compile_rules`. Raises
    `InputError`, and `StickyError` for what can't be played.
    """
    from pathlib import Path

    from compiler.analysis.sticky.events import read_event
    from compiler.analysis.sticky.play import Settings
    from compiler.analysis.sticky.run import Question, answer
    from compiler.analysis.sticky.timeline import Pace, Timeline
    from compiler.cluster import Cluster

    cluster = Cluster(options, tuple(nodes))
    world = cluster.read(manifests)
    read = [read_event(text, lambda path: Path(path).exists()) for text in events]
    named = cluster.service(world, service)
    timeline = Timeline(world, named, Pace(), lambda path: cluster.read([path]))
    steps = tuple(timeline.run(read, seconds))
    chosen = replace(settings or Settings(seconds), seconds=seconds)
    question = Question(
        steps, cluster.states, load, chosen, service=service, via=via, nodes=tuple(nodes)
    )
    return answer(question)
