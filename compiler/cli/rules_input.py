"""From a command's arguments to rulesets: manifests, rules, a log of kube-proxy, or the kernel.

A command opens its sides and loads them together:

    sides = gathered(lambda: open_input([old]), lambda: open_input([new]))
    before, after = load_sides(sides, options)

`open_input` takes what a MANIFEST or OLD argument may name (a file, a folder, `-`), `open_rules`
what can only be rules (`--against`), `open_live` is `--live`. Nothing is compiled or parsed before
`load_sides`, which gives all sides in one IP family. Problems of all sides are reported together.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from compiler.cli.live import dump_kernel
from compiler.cli.messages import report_notes, warning_lines
from compiler.cli.options import CompileOptions
from compiler.cli.output import report
from compiler.errors import InputError, Problem
from compiler.family import IPV4, IPV6, Family
from compiler.kube_rules.chains import table_hint
from compiler.kube_rules.log import is_log, last_restore_input
from compiler.kube_rules.node_dump import read_node_dump
from compiler.manifests.source import STDIN, Source, read_source
from compiler.netfilter.backend import tables_of
from compiler.netfilter.dumps import (
    Dump,
    is_rules,
    other_listing,
    split_dumps,
)
from compiler.netfilter.index import index_rules
from compiler.netfilter.parse import decode, parse_rules
from compiler.netfilter.ruleset import Ruleset

if TYPE_CHECKING:
    from compiler.compilation import Compilation


T = TypeVar("T")

_STDIN_NAME = "<stdin>"
_MANIFEST_KEY = re.compile(rb"^[ {-]*[\"']?(?:apiVersion|kind)[\"']? *:", re.MULTILINE)


@dataclass(frozen=True)
class RulesInput:
    """One side of a question: its name and either rules (dumps, a log, the kernel) or manifests."""

    name: str
    dumps: tuple[Dump, ...] = ()
    log: str = ""
    manifests: tuple[str | Source, ...] = ()
    live: bool = False

    @property
    def families(self) -> set[Family]:
        """The families that its rules show; none for manifests, the kernel and empty rules."""
        return {dump.family for dump in self.dumps if dump.family}


@dataclass(frozen=True)
class Rules:
    """Rules that were read.

    `text` is what `ruleset` was parsed from (empty where it was compiled: its chains keep the
    lines), `other_backend` what the other backend of the same dump holds, `compilation` the
    compilation that made the text, if the side was manifests. `left_out` says what of the other IP
    family was not looked at though no family was chosen.
    """

    name: str
    ruleset: Ruleset
    text: str
    other_backend: Ruleset | None = None
    compilation: Compilation | None = None
    left_out: str = ""

    @property
    def not_compared(self) -> tuple[str, ...]:
        """What of the side is not in `ruleset` and may act on packets, in words."""
        other = self.other_backend
        backend = f"its {tables_of(other.backend)}" if other and other.acts else ""
        return tuple(f"{self.name}: {words}" for words in (self.left_out, backend) if words)


def gathered(*parts: Callable[[], T]) -> tuple[T, ...]:
    """Run every part and return their results. Raises `InputError` with the problems of all."""
    results: list[T] = []
    problems: dict[Problem, None] = {}
    warnings: dict[Problem, None] = {}
    for part in parts:
        try:
            results.append(part())
        except InputError as error:
            problems |= dict.fromkeys(error.problems)
            warnings |= dict.fromkeys(error.warnings)
    if problems:
        raise InputError(problems, warnings)
    return tuple(results)


def open_input(paths: Sequence[str]) -> RulesInput:
    """Open a side: one path may be rules or a log; folders and several paths are manifests.

    Raises `InputError` where a path can't be read, is rules among several paths, or is a listing
    of rules that can't be read back (`iptables -L`).
    """
    sources: list[str | Source] = []
    for path in paths:
        if path != STDIN and (not path or Path(path).is_dir()):
            sources.append(path)  # an empty path is reported with those of the manifests
            continue
        source = _read_stdin() if path == STDIN else read_source(path)
        text = decode(source.text) if _may_be_rules(source.text) else ""
        if listing := other_listing(text):
            raise InputError(Problem(source.name, f"this is {listing[0]}", listing[1], line=1))
        if text and (is_rules(text) or is_log(text)):
            if len(paths) > 1:
                message = "rules can't be combined with other paths"
                hint = "give one file of rules, or only manifests"
                raise InputError(Problem(source.name, message, hint))
            return _rules_text(source.name, text)
        sources.append(source)
    return RulesInput(", ".join(_names(sources)), manifests=tuple(sources))


def open_rules(path: str) -> RulesInput:
    """Open a side that must be rules. Raises `InputError` where it is not, or can't be read."""
    side = open_input([path])
    if side.manifests:
        given = side.manifests[0]
        message = "this is a folder" if isinstance(given, str) else "not iptables rules"
        if isinstance(given, Source) and _MANIFEST_KEY.search(given.text):
            message = "these are manifests, not rules"
        hint = "use the output of iptables-save or iptables -S, or a kube-proxy -v=9 log"
        raise InputError(Problem(side.name, message, hint))
    return side


def open_live() -> RulesInput:
    """Open this machine's kernel, which `load_sides` reads once it knows the IP family."""
    return RulesInput("iptables-save", live=True)


def load_sides(sides: Sequence[RulesInput], *options: CompileOptions) -> tuple[Rules, ...]:
    """Compile or parse all sides, in one IP family.

    `options` are those of each side, or one for all. The family is the one that `--ip-family` or
    the rules give, else that of the last manifests that have service ports. The kernel is read
    last.

    Raises `InputError` where a side has no rules of that family, and `Failure` for the kernel.
    """
    config = _read_config(options[0].config)
    cluster = options[0].with_cluster_read().cluster
    each = [
        replace(options[place % len(options)], config=config, cluster=cluster)
        for place in range(len(sides))
    ]
    family = choose_family(sides, each[0])
    loaded = _load_manifests(sides, each, family)
    if family is None:
        # Rules that name no family have few rules, and are read as the manifests' family.
        family = _common_family(tuple(loaded.values())) if loaded else None
        for place, rules in loaded.items():
            if rules.ruleset.family != family:
                loaded[place] = load_rules(sides[place], each[place], family)
    # Most chains of rules equal those of another side, whose reading of them is then taken.
    like = next((rules.ruleset for rules in loaded.values()), None)
    problems: dict[Problem, None] = {}  # once each: both sides may be one file
    for place in sorted(set(range(len(sides))) - loaded.keys(), key=lambda at: sides[at].live):
        try:
            loaded[place] = load_rules(sides[place], each[place], family, like=like)
        except InputError as error:
            problems |= dict.fromkeys(error.problems)
            continue
        family = family or loaded[place].ruleset.family
        like = like or loaded[place].ruleset
    if problems:
        raise InputError(problems)
    return tuple(loaded[place] for place in range(len(sides)))


def _load_manifests(
    sides: Sequence[RulesInput], options: Sequence[CompileOptions], family: Family | None
) -> dict[int, Rules]:
    """Compile the sides that are manifests, by their place."""
    places = [place for place, side in enumerate(sides) if side.manifests]
    indexed: dict[str, Ruleset] = {}
    compiled = gathered(
        *(partial(_compile, sides[place], options[place], family, indexed) for place in places)
    )
    return dict(zip(places, compiled, strict=True))


def _read_config(config: str | Source | None) -> Source | None:
    """Read the configuration once for all sides: a pipe can't be read again."""
    if config is None or isinstance(config, Source):
        return config
    return _read_stdin() if config == STDIN else read_source(config)


def _common_family(loaded: Sequence[Rules]) -> Family:
    """Return the family of the last side that has service ports; the others can follow."""
    families = [
        rules.ruleset.family
        for rules in loaded
        if rules.compilation is not None and rules.compilation.plan.service_ports
    ]
    if families:
        return families[-1]
    return loaded[-1].ruleset.family if loaded else IPV4


def _read_stdin() -> Source:
    if sys.stdin is None:
        raise InputError(Problem(_STDIN_NAME, "is closed", "redirect a file to it"))
    return Source(_STDIN_NAME, sys.stdin.buffer.read())


def _may_be_rules(raw: bytes) -> bool:
    """Say whether it is worth decoding: a manifest of 200 MB is not."""
    begin = raw[:65536].lstrip()
    return begin[:1] in (b"*", b"-", b"#", b"[", b"C", b"t") or b"Restoring iptables" in raw


def _names(sources: Iterable[str | Source]) -> list[str]:
    return [source.name if isinstance(source, Source) else source for source in sources]


def _rules_text(name: str, text: str) -> RulesInput:
    if is_log(text):
        return RulesInput(name, log=text)
    return RulesInput(name, tuple(split_dumps(text)))


def choose_family(sides: Sequence[RulesInput], options: CompileOptions) -> Family | None:
    """Choose the family of a question: as asked, or the one that all rules show; None if open.

    Raises `InputError` where the rules of the sides are of different families.
    """
    wanted = Family(options.ip_family) if options.ip_family else None
    shown = [(side, side.families) for side in sides if side.families]
    if wanted is None and shown:
        common = set.intersection(*(families for _, families in shown))
        if not common:
            side, families = shown[-1]
            message = f"has only {_listed(families)} rules, but {shown[0][0].name} has "
            message += f"{_listed(shown[0][1])} ones"
            raise InputError(Problem(side.name, message, "give both sides in one IP family"))
        wanted = IPV4 if IPV4 in common else IPV6
    for side, families in shown:
        if wanted is not None and wanted not in families:
            message = f"has only {_listed(families)} rules"
            hint = f"--ip-family {wanted.value} asks for {wanted.api_name} ones"
            raise InputError(Problem(side.name, message, hint))
    return wanted


def _listed(families: Iterable[Family]) -> str:
    return " and ".join(family.api_name for family in sorted(families))


def load_rules(
    side: RulesInput,
    options: CompileOptions,
    family: Family | None,
    *,
    like: Ruleset | None = None,
) -> Rules:
    """Compile or parse one side. Raises `InputError`, and `Failure` where the kernel can't be read.

    Without a family manifests and rules decide it; the kernel is then read for IPv4. `like` is
    another side, which most chains of rules are expected to equal (`parse_rules`).
    """
    if side.manifests:
        return _compile(side, options, family, {})
    if side.live:
        dump = _rules_text(*dump_kernel(family or IPV4))
        return load_rules(dump, options, family or IPV4, like=like)
    if side.log:
        text = last_restore_input(side.log, family)
        if text is None:
            kind = f"{family.api_name} " if family else ""
            message = f"this kube-proxy log has no {kind}restore input"
            raise InputError(Problem(side.name, message, "kube-proxy writes it with -v=9"))
        return Rules(side.name, _parse(text, side.name, family, like), text)
    return _parse_dumps(side, options, family, like)


def _compile(
    side: RulesInput,
    options: CompileOptions,
    family: Family | None,
    indexed: dict[str, Ruleset],
) -> Rules:
    """Compile one side; `indexed` has the rules of the other sides, by their text."""
    chosen = options.ip_family is not None
    if family is not None:
        options = replace(options, ip_family=family)
    compilation = options.compile(side.manifests)
    plan = compilation.plan
    text = "".join(compilation.chunks())
    if (ruleset := indexed.get(text)) is None:
        ruleset = indexed[text] = index_rules([text], plan.family)
    others, left_out = compilation.other_family_service_ports, ""
    if others and not chosen:
        left_out = f"{others} {plan.family.other.api_name} service port{'s'[: others > 1]}"
    return Rules(side.name, ruleset, "", compilation=compilation, left_out=left_out)


def _parse_dumps(
    side: RulesInput, options: CompileOptions, family: Family | None, like: Ruleset | None
) -> Rules:
    dumps = [dump for dump in side.dumps if family is None or dump.family in (family, None)]
    best, rulesets = read_node_dump(dumps, side.name, family, like=like)
    others = [ruleset for place, ruleset in enumerate(rulesets) if place != best]
    left_out = ""
    if options.ip_family is None:
        rest = {dump.family for dump in side.dumps if dump not in dumps and dump.acts}
        left_out = f"its {_listed(one for one in rest if one)} rules" if rest else ""
    return Rules(
        side.name,
        rulesets[best],
        dumps[best].text,
        others[0] if others else None,
        left_out=left_out,
    )


def _parse(text: str, name: str, family: Family | None, like: Ruleset | None) -> Ruleset:
    return parse_rules(text, name, family=family, like=like, table_hint=table_hint)


def report_reading(rules: Rules, *, verbose: bool) -> None:
    """Report what a reader must know about how a side was read."""
    if rules.compilation is not None:
        read = rules.compilation.manifests
        report_notes(read.notes, read.assumed, verbose=verbose)
        for line in warning_lines(rules.compilation.warnings):
            report(line)
    report_left_out(rules)
    report_other_backend(rules)
    unknown = rules.ruleset.unknown
    if unknown and verbose:
        for words in unknown:
            report(f"{rules.name}:{words.line}: {words.words} ({words.times}) compared as text")
    elif unknown:
        shown = ", ".join(words.words for words in unknown[:3])
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        report(f"{rules.name}: unknown, so compared as text: {shown}{more}")


def report_other_backend(rules: Rules) -> None:
    """Report that rules of the other backend, which packets pass too, were not looked at."""
    other = rules.other_backend
    if other is not None and other.acts:
        left_out = f"{rules.name}: its {tables_of(other.backend)} left out"
        report(f"{left_out}; use a separate file for them")
    elif other is None and rules.ruleset.other_backend:
        report(f"{rules.name}: iptables warns about legacy tables, which this dump does not show")


def report_left_out(rules: Rules) -> None:
    """Report that only one IP family of a side was looked at."""
    if rules.left_out:
        other = rules.ruleset.family.other.value
        report(f"{rules.name}: {rules.left_out} left out; --ip-family {other} reads them")
