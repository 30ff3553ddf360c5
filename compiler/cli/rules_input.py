"""Rules from whatever a user has: manifests, restore text, dumps of a node, kube-proxy's log."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from compiler.analysis.kube_chains import holds_kube_proxy_rules, table_hint
from compiler.api import Compilation
from compiler.cli.messages import warning_lines
from compiler.cli.options import CompileOptions
from compiler.cli.output import say
from compiler.errors import InputError, Problem
from compiler.family import IPV4, IPV6, Family
from compiler.manifests.source import STDIN, Source, read_source
from compiler.netfilter.dumps import Dump, is_log, is_rules, last_restore_input, split_dumps
from compiler.netfilter.parse import decode, parse_rules
from compiler.netfilter.rule import Ruleset


@dataclass(frozen=True)
class RulesInput:
    """One side of a question: its name and either rules (dumps, a log) or paths of manifests."""

    name: str
    dumps: tuple[Dump, ...] = ()
    log: str = ""
    manifests: tuple[str | Source, ...] = ()

    @property
    def families(self) -> set[Family]:
        """The families that its rules tell; none for manifests, and where rules tell none."""
        return {dump.family for dump in self.dumps if dump.family}


@dataclass(frozen=True)
class Rules:
    """Rules that were read: the ruleset, what the other backend holds, the text's lines."""

    name: str
    ruleset: Ruleset
    text: str
    other_backend: Ruleset | None = None
    compilation: Compilation | None = None


def open_input(paths: Sequence[str]) -> RulesInput:
    """Look at a side's paths: one file may be rules; folders and several paths are manifests.

    Raises InputError where a path can't be read, or where rules stand among manifests.
    """
    if any(path == STDIN for path in paths[1:]) and paths[0] == STDIN:
        raise InputError(Problem("<stdin>", "named twice", "name `-` once"))
    sources: list[str | Source] = []
    for path in paths:
        if path != STDIN and Path(path).is_dir():
            sources.append(path)
            continue
        source = Source("<stdin>", sys.stdin.buffer.read()) if path == STDIN else read_source(path)
        text = decode(source.text) if _may_be_rules(source.text) else ""
        if text and is_rules(text):
            if len(paths) > 1:
                message = "rules among several paths"
                raise InputError(Problem(source.name, message, "one file of rules, or manifests"))
            return rules_text(source.name, text)
        sources.append(source)
    return RulesInput(", ".join(_names(sources)), manifests=tuple(sources))


def _may_be_rules(raw: bytes) -> bool:
    """Say whether it is worth decoding: a manifest of 200 MB is not."""
    begin = raw[:65536].lstrip()
    return begin[:1] in (b"*", b"-", b"#", b"[") or b"Restoring iptables" in raw


def _names(sources: Iterable[str | Source]) -> list[str]:
    return [source.name if isinstance(source, Source) else source for source in sources]


def rules_text(name: str, text: str) -> RulesInput:
    """Take text that is rules."""
    if is_log(text):
        return RulesInput(name, log=text)
    return RulesInput(name, tuple(split_dumps(text)))


def choose_family(sides: Sequence[RulesInput], options: CompileOptions) -> Family | None:
    """Choose the family of a question: as asked, or the one that all rules tell; None where open.

    Raises InputError where the rules of the sides are of different families.
    """
    wanted: Family | None = Family(options.ip_family or IPV4)
    told = [(side, side.families) for side in sides if side.families]
    if options.ip_family is None:
        wanted = None
        common = set.intersection(*(families for _, families in told)) if told else set()
        if common:
            wanted = IPV4 if IPV4 in common else IPV6
        elif told:
            side, families = told[-1]
            message = f"holds rules of {' and '.join(sorted(families))} only"
            raise InputError(Problem(side.name, message, f"the family of {told[0][0].name}"))
    for side, families in told:
        if wanted is not None and wanted not in families:
            message = f"holds rules of {' and '.join(sorted(families))} only"
            raise InputError(Problem(side.name, message, f"rules of {wanted}"))
    return wanted


def load_rules(side: RulesInput, options: CompileOptions, family: Family | None) -> Rules:
    """Compile or parse one side. Raises InputError."""
    if side.manifests:
        if family is not None:
            options = replace(options, ip_family=family)
        compilation = options.compile(side.manifests)
        ruleset = parse_rules(compilation.text, side.name, family=compilation.plan.family)
        return Rules(side.name, ruleset, compilation.text, compilation=compilation)
    if side.log:
        text = last_restore_input(side.log, family)
        if text is None:
            message = "a kube-proxy log without restore input"
            raise InputError(Problem(side.name, message, "a log of kube-proxy -v=9"))
        return Rules(side.name, _parse(text, side.name, family), text)
    dumps = [dump for dump in side.dumps if family is None or dump.family in (family, None)]
    rulesets = [
        replace_backend(_parse(dump.text, side.name, family or dump.family), dump) for dump in dumps
    ]
    # where both backends were dumped into one file, the one with kube-proxy's rules is meant
    best = max(range(len(rulesets)), key=lambda place: holds_kube_proxy_rules(rulesets[place]))
    others = [ruleset for place, ruleset in enumerate(rulesets) if place != best]
    return Rules(side.name, rulesets[best], dumps[best].text, others[0] if others else None)


def replace_backend(ruleset: Ruleset, dump: Dump) -> Ruleset:
    """Say which backend a dump is of, where its own header does not."""
    if dump.backend is None or ruleset.backend == dump.backend:
        return ruleset
    return Ruleset(
        ruleset.family, ruleset.tables, dump.backend, ruleset.whole, ruleset.other_backend,
        ruleset.unknown, ruleset.lines,
    )  # fmt: skip


def _parse(text: str, name: str, family: Family | None) -> Ruleset:
    return parse_rules(text, name, family=family, table_hint=table_hint)


def tell_about(rules: Rules, *, verbose: bool) -> None:
    """Tell what a reader must know of how a side was read."""
    if rules.compilation is not None:
        for line in warning_lines(rules.compilation.warnings):
            say(line)
    unknown = rules.ruleset.unknown
    if unknown and verbose:
        for words in unknown:
            say(f"{rules.name}:{words.line}: {words.words} ({words.times}) compared as text")
    elif unknown:
        told = ", ".join(words.words for words in unknown[:3])
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        say(f"{rules.name}: compared as text, since not known: {told}{more}")
