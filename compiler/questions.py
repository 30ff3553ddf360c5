"""Every question about rules as a function of values; `compiler.api` offers them to callers.

A side of a question is what was compiled (`Compilation`), what was parsed (`Ruleset`), or a file of
rules in any form that iptables prints or takes: restore text, `iptables-save`, `iptables -S`.
Nothing is printed, written or kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict, Unpack

from compiler.errors import ARGUMENT, InputError, Problem
from compiler.family import Family
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
    from compiler.analysis.lint.context import Context
    from compiler.analysis.lint.dump import NodeDump
    from compiler.analysis.lint.run import LintReport
    from compiler.compilation import Compilation, Inputs
    from compiler.proxy.release import Release

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


class LintOptions(TypedDict, total=False):
    """The options of `lint`."""

    config: str | os.PathLike[str] | Source | None
    flags: Mapping[str, object] | None
    node: str | None
    kube_version: str | None
    ip_family: str | None
    nfacct: bool
    random_fully: bool
    node_addresses: Sequence[str]
    check_fields: bool
    workers: int
    clients: int | None
    upgrade_to: str | None


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
    `options` are those of `compile_rules`, and two more: `clients` is how many clients reach a
    Service by one node, `upgrade_to` the release that rules about versions compare with. Every
    node is looked at unless `node` names one, and both families unless `ip_family` does. Raises
    `InputError`.
    """
    from compiler.analysis.lint.dump import text_dumps
    from compiler.analysis.lint.run import run_rules
    from compiler.analysis.lint.selection import selected

    chosen = selected(select, ignore)
    sources = [one if isinstance(one, Source) else read_source(one) for one in rules]
    dumps = [dump for source in sources for dump in text_dumps(source.name, decode(source.text))]
    return run_rules(lint_context(manifests, dumps, **options), chosen)


def lint_context(
    manifests: Sequence[str | os.PathLike[str] | Source] | str | os.PathLike[str],
    dumps: Sequence[NodeDump] = (),
    **options: Unpack[LintOptions],
) -> Context:
    """Read the input of `lint`. Raises `InputError`."""
    from compiler.analysis.lint.context import Context, LintInput
    from compiler.compilation import open_config, open_sources
    from compiler.proxy.node import choose_node

    node, newer = options.get("node"), options.get("upgrade_to")
    settings = open_config(options.get("config"))
    sources = open_sources([manifests] if isinstance(manifests, str | os.PathLike) else manifests)
    inputs = _read_inputs(sources, settings, options)
    choose_node(inputs.manifests.nodes, node, inputs.config)  # raises where there is no such node
    upgrade_to = None if newer is None else _newer_release(newer, inputs.release)
    return Context(
        LintInput(
            tuple(sources),
            inputs.manifests,
            inputs.config,
            has_config=settings is not None or _is_set(options.get("flags")),
            config_source=settings,
            release=inputs.release,
            families=(inputs.family,) if inputs.family else tuple(Family),
            node=node,
            node_addresses=tuple(options.get("node_addresses", ())),
            nfacct=options.get("nfacct", False),
            random_fully=options.get("random_fully", True),
            dumps=tuple(dumps),
            clients=options.get("clients"),
            upgrade_to=upgrade_to,
        )
    )


def _read_inputs(
    sources: Sequence[Source], settings: Source | None, options: LintOptions
) -> Inputs:
    from compiler.compilation import read_inputs
    from compiler.proxy.node import check_node_port_addresses

    inputs = read_inputs(
        sources,
        config=settings,
        flags=options.get("flags"),
        node=options.get("node"),
        kube_version=options.get("kube_version"),
        ip_family=options.get("ip_family"),
        node_addresses=options.get("node_addresses", ()),
        check_fields=options.get("check_fields", False),
        workers=options.get("workers", 1),
    )
    if problems := check_node_port_addresses(inputs.config, inputs.release):
        raise InputError(problems)
    return inputs


def _newer_release(version: str, release: Release) -> Release:
    """Read the release to compare with. Raises `InputError` where it is not newer."""
    from compiler.compilation import read_release

    newer = read_release(version, "upgrade_to")
    if newer.version <= release.version:
        message = f"Kubernetes {newer} is not newer than the cluster's {release}"
        hint = f"give the version that the cluster has with {ARGUMENT}"
        raise InputError(Problem("", message, hint, argument="kube_version"))
    return newer


def _is_set(flags: Mapping[str, object] | None) -> bool:
    return any(value is not None for value in (flags or {}).values())
